"""What makes a filter against what reads it, filter by filter at the end of the training.

Squared scale plus squared shift, against the squared norm of the outgoing weights, at preset `short` (photographs of 16 × 16
pixels, width 1/4). Under gradient flow the loss conserves the difference of both and L2 shrinks it: with SGD and L2 filters
lie on the diagonal. No such law is known for Adam: under coupled L2 what is silent has lost its outgoing weights too, under
independent decay filters lie above the diagonal. Layers C1 to C6, whose outgoing weights meet a BatchNorm. Silent filters are
crosses; values under 1e-12 are drawn at 1e-12.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.panels.outcomes import LOOKS, at_end, by_fate
from figures.panels.sparsity import heading, labelled
from figures.style import letter, page_width
from mechanisms.claims.measured.treated_runs import LAST
from mechanisms.measures.forces import balance
from mechanisms.records.loading import Need

NEEDS = (Need("full_scale", "optimizers", ("preset=short",)),)
SMALLEST, LARGEST = 1e-12, 1e3


def draw(features: pd.DataFrame) -> Figure:
    """One panel a setting."""
    last = at_end(labelled(features[features["layer"] != LAST]))
    squares = balance(last)[["affine_square", "outgoing_square"]].clip(lower=SMALLEST)
    last = last.assign(affine_square=squares["affine_square"], outgoing_square=squares["outgoing_square"])
    labels = list(dict.fromkeys(last["label"]))
    figure, panels = plt.subplots(1, len(labels), figsize=(page_width(), 2.7), sharey=True, squeeze=False)
    for index, (axes, label) in enumerate(zip(panels[0], labels, strict=True)):
        rows = last[last["label"] == label]
        _scatter(axes, rows)
        axes.set_title(heading(rows))
        axes.set_xlabel("γ² + β²")
        letter(axes, index)
    panels[0, 0].set_ylabel("‖outgoing weights‖²")
    n = f"n = {last['seed'].nunique()} seeds"
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="lower center", ncol=3, title=n)
    figure.tight_layout(rect=(0, 0.13, 1, 1), w_pad=0.4)
    return figure


def _scatter(axes: Axes, rows: pd.DataFrame) -> None:
    for fate, some in by_fate(rows):
        colour, marker, _ = LOOKS[fate]
        x, y = some["affine_square"], some["outgoing_square"]
        axes.plot(x, y, marker, color=colour, markersize=2.2, alpha=0.5, rasterized=True, label=fate)
    axes.plot((SMALLEST, LARGEST), (SMALLEST, LARGEST), ":", color="0.4", linewidth=0.9, label="equal")
    axes.set(xscale="log", yscale="log", xlim=(SMALLEST / 3, LARGEST), ylim=(SMALLEST / 3, LARGEST))
