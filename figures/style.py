"""One look for every figure: column widths, colours that colour-blind readers keep apart, fixed bytes."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mechanisms.law.update_rules import AbstractUpdateRule
from mechanisms.records.specs import choices
from mechanisms.system.files import write_whole

TWO_COLUMNS = 7.0
NARROWEST, WIDEST = 5.5, 16.0
"""Widths in inches: that of a page of two columns, and those at which the text of a figure still has room."""
ADVICE = "choose another folder with --out DIR"

COUPLING_DASHES: dict[str, Any] = {"coupled": "-", "decoupled": ":", "independent": "--"}
COUPLING_LABELS = {
    "coupled": r"coupled ($\lambda w$ in the gradient)",
    "decoupled": r"decoupled ($\eta\lambda w$ a step)",
    "independent": r"independent ($\lambda w$ a step)",
}
SETTINGS: Any = {
    "backend": "Agg",
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "svg.hashsalt": "implicit-filter-sparsity",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "figure.dpi": 200,
    "figure.figsize": (TWO_COLUMNS, 3.0),
}


def rule_label(name: str) -> str:
    """Return what figures call an update rule, by its name in a spec; the name itself for a rule without a label."""
    rule = choices(AbstractUpdateRule).get(name)
    return getattr(rule, "label", "") or name


def page_width() -> float:
    """The width in inches that figures are drawn at."""
    return float(mpl.rcParams["figure.figsize"][0])


def palette(count: int) -> list[str]:
    """`count` categorical colours that colour-blind readers keep apart (at most 10)."""
    return [str(mpl.colors.to_hex(colour)) for colour in sns.color_palette("colorblind", count)]


def shades(count: int) -> list[str]:
    """`count` ordered colours, dark to light, whose order survives in grey."""
    return [str(mpl.colors.to_hex(colour)) for colour in sns.color_palette("viridis", count + 1)[:count]]


@contextlib.contextmanager
def styled(width: float = TWO_COLUMNS) -> Iterator[None]:
    """Within it, matplotlib draws in this package's style, figures of this width in inches; text keeps its size."""
    look: Any = {**mpl.rcParamsDefault, **SETTINGS, "figure.figsize": (width, SETTINGS["figure.figsize"][1])}
    with mpl.rc_context(look):
        yield


def letter(axes: Axes, index: int) -> None:
    """Marks a panel with (a), (b), … left above its title."""
    axes.set_title(f"({chr(ord('a') + index)})", loc="left", fontweight="bold")


def write(figure: Figure, file: IO[bytes], suffix: str) -> None:
    """Writes a figure into an open file; equal data give equal bytes."""
    if figure.get_layout_engine() is not None:  # lay it out once, with the room that its legend asks for
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    for legend in figure.legends:  # by itself a legend follows the tight box, over whatever stands there
        legend.set_bbox_to_anchor((0, 0, 1, 1), transform=figure.transFigure)
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None, "ModDate": None}}.get(suffix, {})
    figure.savefig(file, format=suffix, metadata=metadata, bbox_inches="tight")


def save(figure: Figure, path: Path) -> None:
    """Writes a figure in the format of the path's suffix, whole or not at all."""
    picture = io.BytesIO()
    write(figure, picture, path.suffix[1:])
    write_whole(path, picture.getvalue(), ADVICE)
