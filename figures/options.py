"""Command-line options that several verbs of `python -m figures` share."""

from __future__ import annotations

import argparse

from mechanisms.command_line.framework import add_runs_argument
from mechanisms.validation import require, require_whole

FORMATS = ("svg", "pdf", "png")


def add_record_arguments(parser: argparse.ArgumentParser) -> None:
    """--runs, --jobs, --run-missing: where records are, and how missing ones are made."""
    add_runs_argument(parser)
    parser.add_argument("--jobs", type=_jobs, default=1, metavar="N", help="processes that make records (%(default)s)")
    parser.add_argument("--run-missing", action="store_true", help="make missing full-scale records too")


def _jobs(text: str) -> int:
    try:
        number = int(text)
        require_whole("--jobs", number, 1)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return number


def require_width(width: float | None) -> float:
    """A valid width of figures in inches, the usual one where none is given."""
    from figures.style import NARROWEST, TWO_COLUMNS, WIDEST

    if width is None:
        return TWO_COLUMNS
    require(NARROWEST <= width <= WIDEST, "--width", width, f"{NARROWEST:g} to {WIDEST:g} inches")
    return width
