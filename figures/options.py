"""Command-line options that several verbs of `python -m figures` share."""

from __future__ import annotations

import click

from mechanisms.command_line.options import runs_option, together
from mechanisms.validation import require

FORMATS = ("svg", "pdf", "png")


record_options = together(
    runs_option,
    click.option("--jobs", type=click.IntRange(1), default=1, metavar="N", help="Processes that make records (default: 1)."),
    click.option("--run-missing", is_flag=True, help="Make missing full-scale records too."),
)
"""Where records are, and how missing ones are made."""


def require_width(width: float | None) -> float:
    """A valid width of figures in inches, the usual one where none is given."""
    from figures.style import NARROWEST, TWO_COLUMNS, WIDEST

    if width is None:
        return TWO_COLUMNS
    require(NARROWEST <= width <= WIDEST, "--width", width, f"{NARROWEST:g} to {WIDEST:g} inches")
    return width
