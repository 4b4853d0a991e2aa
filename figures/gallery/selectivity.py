"""Where a selective feature settles: alone it shrinks, inside a product it dies suddenly.

Final value against the fraction p of exemplars that use the feature; lines are the closed forms of
`mechanisms.theory.feature`, points are simulations (mean over features and seeds, bars one standard deviation over
features). (a) One parameter: coupled L2 leaves a·pk/(pk + λ) under any rule. (b) Scale × outgoing weight, both decayed:
coupled L2 acts on the product as an L1 penalty and kills it where p < λ/(ka) = 0.01; decay that the rule does not
normalize (decoupled, independent) has no threshold.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.panels.toy_theory import settles
from figures.style import letter, page_width, palette
from mechanisms.records.loading import Need
from mechanisms.theory.feature import critical_activity

NEEDS = (Need("toy", "selectivity"),)
SERIES = (
    ("sgd", "coupled", "SGD, coupled", "s", "-"),
    ("adam", "coupled", "Adam, coupled", "o", "-"),
    ("adam", "independent", "Adam, independent", "^", "--"),
    ("adam", "decoupled", "Adam, decoupled", "D", ":"),
)
MODELS = (("selective", "final w", 1, "one parameter"), ("product", "final γ·v", 2, "scale × outgoing weight"))


def draw(features: pd.DataFrame) -> Figure:
    """Two panels: the scalar feature and the product."""
    figure, panels = plt.subplots(1, 2, figsize=(page_width(), 2.6), sharey=True)
    n = features.groupby("seed")["feature"].nunique().sum()
    for index, (axes, (model, quantity, factors, title)) in enumerate(zip(panels, MODELS, strict=True)):
        table = features[features["spec.gradient"] == model]
        for series, colour in zip(SERIES, palette(len(SERIES)), strict=True):
            _series(axes, table, series, colour, factors)
        axes.set(xscale="log", xlabel="p, fraction of exemplars that use the feature", ylabel=quantity, ylim=(-0.04, 1.08))
        axes.set_title(f"{title} (n = {n})")
        letter(axes, index)
    _mark_threshold(panels[1], features[features["spec.gradient"] == "product"])
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="lower center", ncol=4, handlelength=2.6)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    return figure


def _series(axes: Axes, table: pd.DataFrame, series: tuple[str, ...], colour: str, factors: int) -> None:
    rule, coupling, label, marker, dash = series
    chosen = table[(table["spec.rule"] == rule) & (table["spec.regularizer.coupling"] == coupling)]
    ends = chosen.groupby("spec.gradient.p")["product_mean"].agg(["mean", "std"])
    axes.errorbar(
        ends.index, ends["mean"], ends["std"], fmt=marker, color=colour, markersize=3.5, elinewidth=0.7,
        markerfacecolor="white" if rule == "sgd" else colour, zorder=3,
    )  # fmt: skip
    activities = np.geomspace(ends.index.min(), ends.index.max(), 200)
    axes.plot(activities, [settles(chosen.iloc[0], p, factors) for p in activities], color=colour, linestyle=dash)
    axes.plot(
        [], [], color=colour, linestyle=dash, marker=marker, markerfacecolor="white" if rule == "sgd" else colour, label=label
    )


def _mark_threshold(axes: Axes, table: pd.DataFrame) -> None:
    one = table.iloc[0]
    threshold = critical_activity(
        one["spec.regularizer.strength"], curvature=one["spec.gradient.curvature"], target=one["spec.gradient.target"]
    )
    axes.axvline(threshold, color="0.6", linewidth=0.8, zorder=0)
    axes.text(threshold * 0.9, 0.55, "p = λ/(ka)", rotation=90, va="center", ha="right", fontsize=7, color="0.35")
