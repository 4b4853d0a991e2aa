"""At equal training loss L2 leaves more filters dead than weight decay, and Adam more than SGD.

BasicNet (width 1/4) on digits, each meaning of weight decay at six strengths. A curve is a rule and a coupling, a point a
strength: means over seeds, bands their whole range. (a) Dead share against training loss: where two curves lie on one another,
the couplings do the same at other strengths, as decoupled and independent decay must. (b) The same against Λ, the sum of
η·λ_eff/D over the steps: by how many e-folds the decay alone shrinks a scale. (c) Test error against dead share.
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.style import COUPLING_DASHES, letter, page_width, palette, rule_label
from mechanisms.measures.matched_loss import ends_with_loss
from mechanisms.records.loading import Need

NEEDS = (
    Need("full_scale", "matched_coupling", seeds=5),
    Need("full_scale", "matched_coupling", seeds=5, table="curve"),
)


def draw(features: pd.DataFrame, curve: pd.DataFrame) -> Figure:
    """Three panels; colour is the rule, line style the coupling."""
    ends = ends_with_loss(features, curve)
    runs = ends[ends["spec.regularizer.strength"] > 0]
    rules = list(dict.fromkeys(runs["spec.rule"]))
    colours = dict(zip(rules, palette(len(rules)), strict=True))
    figure, panels = plt.subplots(1, 3, figsize=(page_width(), 2.7))
    for key, one in runs.groupby(["spec.rule", "spec.regularizer.coupling"], sort=False):
        rule, coupling = str(key[0]), str(key[1])
        style: dict[str, Any] = {"color": colours[rule], "linestyle": COUPLING_DASHES[coupling]}
        label = f"{rule_label(rule).partition(',')[0]}, {coupling}"
        _line(panels[0], one, "train_loss", "dead", style, label)
        _line(panels[1], one, "pull", "dead", style, None)
        _line(panels[2], one, "dead", "test_error", style, None)
    panels[0].set(xscale="log", xlabel="training loss", ylabel="dead filters (share)", ylim=(-0.02, None))
    panels[1].set(xscale="log", xlabel="Λ, e-folds by decay alone", ylabel="dead filters (share)", ylim=(-0.02, None))
    panels[2].set(xlabel="dead filters (share)", ylabel="test error (share)", yscale="log")
    panels[0].set_title(f"n = {runs['seed'].nunique()} seeds")
    for index, axes in enumerate(panels):
        letter(axes, index)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="lower center", ncol=5, handlelength=2.4, columnspacing=1.2)
    figure.tight_layout(rect=(0, 0.1, 1, 1), w_pad=1.0)
    return figure


def _line(axes: Axes, runs: pd.DataFrame, across: str, up: str, style: dict[str, Any], label: str | None) -> None:
    """Means over seeds against one another, in the order of `across`, with the range of `up`; losses have geometric means."""
    positions = np.log(runs[across]) if across == "train_loss" else runs[across]
    by = runs.assign(at=positions).groupby("spec.regularizer.strength")
    points = pd.DataFrame({"at": by["at"].mean(), "mean": by[up].mean(), "low": by[up].min(), "high": by[up].max()}).sort_values(
        "at"
    )
    at = np.exp(points["at"]) if across == "train_loss" else points["at"]
    axes.plot(at, points["mean"], marker="o", markersize=2.5, label=label, **style)
    axes.fill_between(at, points["low"], points["high"], color=style["color"], alpha=0.12, linewidth=0)
