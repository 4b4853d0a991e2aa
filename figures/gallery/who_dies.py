"""Who dies: the way of the filters that are silent at the end, beside those that survive.

At preset `short` (photographs of 16 × 16 pixels, width 1/4), all layers and seeds; lines are medians, bands the middle half
of the filters. Upper row: size of the BatchNorm scale. Lower row: activity, the share of images on which a filter is active
at all. Under coupled L2 scale and activity of the casualties fall together; under independent decay the scale goes first.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.panels.outcomes import LOOKS, by_fate, with_fate
from figures.panels.sparsity import heading, labelled
from figures.style import letter, page_width
from mechanisms.records.loading import Need

NEEDS = (Need("full_scale", "optimizers", ("preset=short",)),)
SMALLEST = 1e-8
QUARTILES = (0.25, 0.5, 0.75)


def draw(features: pd.DataFrame) -> Figure:
    """One column a setting that has a regularizer."""
    table = labelled(with_fate(features))
    labels = list(dict.fromkeys(table.loc[table["spec.regularizer.strength"] > 0, "label"]))
    figure, panels = plt.subplots(2, len(labels), figsize=(page_width(), 4.0), sharex=True, sharey="row", squeeze=False)
    for (upper, lower), label in zip(panels.T, labels, strict=True):
        rows = table[table["label"] == label]
        _trajectories(upper, rows.assign(size=rows["scale"].abs().clip(lower=SMALLEST)), "size")
        _trajectories(lower, rows, "activity")
        upper.set_yscale("log")
        upper.set_title(heading(rows))
        lower.set_xlabel("steps")
    panels[0, 0].set_ylabel("|scale γ|")
    panels[1, 0].set(ylabel="activity, share of images", ylim=(-0.03, 1.03))
    for index, axes in enumerate(panels.flat):
        letter(axes, index)
    n = f"n = {features['seed'].nunique()} seeds"
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="lower center", ncol=2, title=n)
    figure.tight_layout(rect=(0, 0.09, 1, 1), w_pad=0.6)
    return figure


def _trajectories(axes: Axes, rows: pd.DataFrame, column: str) -> None:
    for fate, some in by_fate(rows):
        if some.empty:
            continue
        colour, _, dash = LOOKS[fate]
        quartiles = some.groupby("step")[column].quantile(np.array(QUARTILES)).unstack()
        axes.plot(quartiles.index, quartiles[0.5], dash, color=colour, marker=".", markersize=3, label=fate)
        axes.fill_between(quartiles.index, quartiles[0.25], quartiles[0.75], color=colour, alpha=0.2, linewidth=0)
