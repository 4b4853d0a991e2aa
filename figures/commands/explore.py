"""Open a page on this machine where one turns the knobs of one feature and sees it live or die (extra: explore)."""

from __future__ import annotations

import argparse

from mechanisms.validation import UserError, require_whole

NEEDED = "python -m figures explore needs Bokeh: pip install 'implicit-filter-sparsity[explore]'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument("--port", type=int, default=5006, help="0 for any that is free (%(default)s)")
    parser.add_argument("--open", action="store_true", help="open the page in the usual browser")


def run(options: argparse.Namespace) -> None:
    """Serves the page until Ctrl-C."""
    require_whole("--port", options.port, 0, 65535)
    try:
        from figures.explorer.server import serve
    except ModuleNotFoundError as absent:
        if absent.name not in ("bokeh", "tornado"):
            raise
        raise UserError(NEEDED) from None
    serve(options.port, open_browser=options.open)
