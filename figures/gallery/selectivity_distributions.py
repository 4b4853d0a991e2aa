"""How selective filters are, over training: the share of images that leave a filter (nearly) silent.

Cumulative distribution over the filters that are alive at the moment, all layers and seeds, at preset `short` (photographs of
16 × 16 pixels, width 1/4). An image counts as silent where the filter's largest activation is at most a thousandth of the
filter's own maximum. One line a moment: a tenth of the training, three tenths, the end.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.panels.sparsity import heading, labelled
from figures.style import letter, page_width, shades
from mechanisms.measures.sparsity import inactive
from mechanisms.records.loading import Need

NEEDS = (Need("full_scale", "optimizers", ("preset=short",)),)
MOMENTS = (0.1, 0.3, 1.0)
DASHES = (":", "--", "-")


def draw(features: pd.DataFrame) -> Figure:
    """One panel a setting, one line a moment."""
    alive = labelled(features[~inactive(features)])
    labels = list(dict.fromkeys(alive["label"]))
    figure, panels = plt.subplots(1, len(labels), figsize=(page_width(), 2.6), sharey=True, squeeze=False)
    for index, (axes, label) in enumerate(zip(panels[0], labels, strict=True)):
        rows = alive[alive["label"] == label]
        _distributions(axes, rows)
        axes.set_title(heading(rows))
        axes.set(xlabel="selectivity", xlim=(-0.02, 1.02), ylim=(0, 1.02), xticks=(0, 0.5, 1))
        letter(axes, index)
    panels[0, 0].set_ylabel("share of living filters below")
    n = f"n = {features['seed'].nunique()} seeds"
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="lower center", ncol=3, title=n)
    figure.tight_layout(rect=(0, 0.13, 1, 1), w_pad=0.4)
    return figure


def _distributions(axes: Axes, rows: pd.DataFrame) -> None:
    known = np.unique(rows["step"])
    for moment, colour, dash in zip(MOMENTS, shades(len(MOMENTS)), DASHES, strict=True):
        step = known[np.abs(known - moment * rows["spec.steps"].iloc[0]).argmin()]
        values = np.sort(rows.loc[rows["step"] == step, "selectivity"].dropna())
        share = np.arange(1, len(values) + 1) / max(1, len(values))
        axes.plot(values, share, dash, color=colour, drawstyle="steps-post", label=f"after {moment:.0%}")
