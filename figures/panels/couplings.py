"""Curves of settings: a rule and a coupling each, a point a strength."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from figures.style import COUPLING_DASHES, palette, rule_label


def draw_couplings(axes: Axes, runs: pd.DataFrame, across: str, up: str) -> None:
    """Draw a curve for each rule and coupling through its strengths; colour is the rule, line style the coupling.

    Args:
        axes: where to draw; curves have labels for a legend.
        runs: rows of `ends_with_loss` with positive strengths.
        across, up: their columns; points are means over seeds, geometric ones of losses, and bands the range of `up`.
    """
    rules = list(dict.fromkeys(runs["spec.rule"]))
    colours = dict(zip(rules, palette(len(rules)), strict=True))
    for key, one in runs.groupby(["spec.rule", "spec.regularizer.coupling"], sort=False):
        rule, coupling = str(key[0]), str(key[1])
        style: dict[str, Any] = {"color": colours[rule], "linestyle": COUPLING_DASHES[coupling]}
        label = f"{rule_label(rule).partition(',')[0]}, {coupling}"
        positions = np.log(one[across]) if across == "train_loss" else one[across]
        by = one.assign(at=positions).groupby("spec.regularizer.strength")
        columns = {"at": by["at"].mean(), "mean": by[up].mean(), "low": by[up].min(), "high": by[up].max()}
        points = pd.DataFrame(columns).sort_values("at")
        at = np.exp(points["at"]) if across == "train_loss" else points["at"]
        axes.plot(at, points["mean"], marker="o", markersize=2.5, label=label, **style)
        axes.fill_between(at, points["low"], points["high"], color=style["color"], alpha=0.12, linewidth=0)
