"""The verb `explore`."""

from __future__ import annotations

import click

from mechanisms.command_line.framework import verb
from mechanisms.validation import UserError, require_whole

NEEDED = "python -m figures explore needs Bokeh: pip install 'implicit-filter-sparsity[explore]'"


@verb("--open", "--port 0")
@click.option("--port", type=int, default=5006, show_default=True, help="0 for any that is free.")
@click.option("--open", "in_browser", is_flag=True, help="Open the page in the usual browser.")
def command(port: int, in_browser: bool) -> None:
    """Open a page on this machine where one turns the knobs of one feature and sees it live or die (extra: explore).

    It is served until Ctrl-C.
    """
    require_whole("--port", port, 0, 65535)
    try:
        from figures.explorer.server import serve
    except ModuleNotFoundError as absent:
        if absent.name not in ("bokeh", "tornado"):
            raise
        raise UserError(NEEDED) from None
    serve(port, open_browser=in_browser)
