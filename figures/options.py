"""Command-line options that several verbs of `python -m figures` share."""

from __future__ import annotations

from mechanisms.validation import require

FORMATS = ("svg", "pdf", "png")


def require_width(width: float | None) -> float:
    """A valid width of figures in inches, the usual one where none is given."""
    from figures.style import NARROWEST, TWO_COLUMNS, WIDEST

    if width is None:
        return TWO_COLUMNS
    require(NARROWEST <= width <= WIDEST, "--width", width, f"{NARROWEST:g} to {WIDEST:g} inches")
    return width
