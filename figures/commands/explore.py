"""The verb `explore`."""

from __future__ import annotations

from mechanisms.command_line.framework import verb
from mechanisms.command_line.options import option
from mechanisms.validation import UserError, require_whole

NEEDED = "python -m figures explore needs Bokeh: pip install 'implicit-filter-sparsity[explore]'"


@verb("--open", "--port 0")
@option("--port N", "0 for any that is free.", 5006)
@option("--open", "Open the page in the usual browser.")
def command(port: int, open: bool) -> None:
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
    serve(port, open_browser=open)
