"""A panel of what networks answered to changes, against what the layer of competing features did."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from figures.style import palette
from mechanisms.claims.measured.response_table import Answer
from mechanisms.measures.statistics import Estimate

LABELS = {
    "responses": "norms, ε, rate, β1, width, labels",
    "rescale": "sizes at the start",
    "gate": "gates on the loss gradient",
    "factors": "what is decayed",
    "batch_size": "batch size",
}
"""Experiment → what it changes."""
ENDS = (-1.05, 1.05)


def draw_answers(axes: Axes, found: Sequence[Answer]) -> None:
    """Draw a point for each change, with its intervals, and the diagonal."""
    axes.plot(ENDS, ENDS, color="0.6", linewidth=0.8, zorder=0)
    for corner in ((-1.05, 0.0), (0.0, -1.05)):
        axes.add_patch(Rectangle(corner, 1.05, 1.05, color="0.94", linewidth=0, zorder=-1))
    for (kind, label), colour, marker in zip(LABELS.items(), palette(len(LABELS)), "oD^sv", strict=True):
        chosen = [one for one in found if one.kind == kind]
        if not chosen:
            continue
        (x, across), (y, along) = (_with_errors([getattr(one, side) for one in chosen]) for side in ("layer", "network"))
        axes.errorbar(x, y, along, across, fmt=marker, color=colour, markersize=3.2, elinewidth=0.5, label=label)
    axes.set(
        xlim=ENDS,
        ylim=ENDS,
        xlabel="change of the dead share, layer",
        ylabel="change of the dead share, networks",
        aspect="equal",
    )


def _with_errors(found: Sequence[Estimate]) -> tuple[list[float], list[list[float]]]:
    """Return values, and how far their intervals reach below and above."""
    below, above = [one.value - one.low for one in found], [one.high - one.value for one in found]
    return [one.value for one in found], [below, above]
