"""BatchNorm scale and shift of every filter at the end: SGD beside Adam.

BasicNet (width 1/4) on 20,000 photographs of 16 × 16 pixels, 6,000 steps; one point a filter, all layers and seeds. Crosses
are silent on the whole training set. Upper row: scale and shift as they are; a filter is silent where its shift is negative
enough. Lower row: size of the scale alone, sorted from the largest to the smallest filter, one line a seed: under Adam with
coupled L2 the scales of most filters spread over many orders of magnitude. Values under 1e-8 are drawn at 1e-8.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.panels.outcomes import LOOKS, at_end, by_fate
from figures.panels.sparsity import heading, labelled
from figures.style import letter, page_width, palette
from mechanisms.records.loading import Need

NEEDS = (Need("full_scale", "optimizers", ("preset=short",)),)
SMALLEST = 1e-8


def draw(features: pd.DataFrame) -> Figure:
    """One column a setting."""
    last = at_end(labelled(features))
    labels = list(dict.fromkeys(last["label"]))
    figure, panels = plt.subplots(2, len(labels), figsize=(page_width(), 4.1), sharey="row", squeeze=False)
    for (upper, lower), label in zip(panels.T, labels, strict=True):
        rows = last[last["label"] == label]
        upper.set_title(heading(rows))
        _scatter(upper, rows)
        _sorted(lower, rows)
    panels[0, 0].set_ylabel("shift β")
    panels[1, 0].set_ylabel("|scale γ|")
    for index, axes in enumerate(panels.flat):
        letter(axes, index)
    n = last.groupby(["label", "seed"]).ngroups // len(labels)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="lower center", ncol=2, title=f"n = {n} seeds")
    figure.tight_layout(rect=(0, 0.09, 1, 1), w_pad=0.4)
    return figure


def _scatter(axes: Axes, rows: pd.DataFrame) -> None:
    for fate, some in by_fate(rows):
        colour, marker, _ = LOOKS[fate]
        axes.plot(some["scale"], some["shift"], marker, color=colour, markersize=2.2, alpha=0.5, rasterized=True, label=fate)
    axes.axhline(0, color="0.7", linewidth=0.6, zorder=0)
    axes.set_xlabel("scale γ")


def _sorted(axes: Axes, rows: pd.DataFrame) -> None:
    for (_, run), colour in zip(rows.groupby("seed"), palette(8), strict=False):
        sizes = np.sort(run["scale"].abs().clip(lower=SMALLEST))[::-1]
        axes.plot(100 * np.arange(1, len(sizes) + 1) / len(sizes), sizes, color=colour, linewidth=0.9)
    axes.set(xlabel="filters [%]", yscale="log", ylim=(SMALLEST, 10))
