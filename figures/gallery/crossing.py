"""Where L2 and weight decay change places: where the denominator of the rule is the learning rate.

Adam at η = 1e-3, λ = 1e-3 coupled and independent, on a feature that a fraction p of the exemplars use. (a) Where it settles;
lines are the closed forms, points simulations (mean over features and seeds). (b) The difference, with 95 % intervals over seeds
(smaller than the points); line: closed forms. Rarer features, whose gradient scale is below η, lose more under L2, more common
ones more under decay. The vertical line is the p at which D = η.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.panels.toy_theory import one, replicates, settles
from figures.style import COUPLING_DASHES, letter, page_width, palette
from mechanisms.measures.statistics import paired_difference
from mechanisms.records.loading import Need
from mechanisms.theory.feature import crossing_activity

NEEDS = (Need("toy", "crossing"),)
COUPLINGS = ("coupled", "independent")
MARKERS = "os"


def draw(features: pd.DataFrame) -> Figure:
    """Two panels against p: where the feature settles, and the difference of the couplings."""
    figure, panels = plt.subplots(1, 2, figsize=(page_width(), 2.7))
    activities = np.geomspace(features["spec.gradient.p"].min(), features["spec.gradient.p"].max(), 60)
    lines = {}
    for coupling, colour, marker in zip(COUPLINGS, palette(2), MARKERS, strict=True):
        rows = features[features["spec.regularizer.coupling"] == coupling]
        lines[coupling] = np.array([settles(rows.iloc[0], p, factors=1) for p in activities])
        panels[0].plot(activities, lines[coupling], COUPLING_DASHES[coupling], color=colour, label=f"{coupling}, closed form")
        means = rows.groupby("spec.gradient.p")["product_mean"].mean()
        panels[0].plot(means.index, means, marker, color=colour, label=f"{coupling}, simulated")
    panels[1].plot(activities, lines["independent"] - lines["coupled"], color="black", label="closed forms")
    _differences(panels[1], features)
    for index, (axes, label) in enumerate(zip(panels, ("final w", "final w, independent − coupled"), strict=True)):
        _mark_crossing(axes, features)
        axes.set(xscale="log", xlabel="p, fraction of exemplars that use the feature", ylabel=label)
        axes.set_xticks([0.1, 0.2, 0.5, 1], ["0.1", "0.2", "0.5", "1"])
        axes.minorticks_off()
        axes.legend()
        letter(axes, index)
    panels[0].set_title(f"n = {replicates(features)} each")
    figure.tight_layout(w_pad=1.5)
    return figure


def _differences(axes: Axes, features: pd.DataFrame) -> None:
    means = features.groupby(["spec.regularizer.coupling", "spec.gradient.p", "seed"])["product_mean"].mean()
    activities = np.sort(features["spec.gradient.p"].unique())
    found = [paired_difference(means["independent", p], means["coupled", p]) for p in activities]
    value, low, high = (np.array([getattr(each, name) for each in found]) for name in ("value", "low", "high"))
    axes.errorbar(activities, value, (value - low, high - value), fmt="D", color=palette(3)[2], label="simulated", markersize=3)
    axes.axhline(0, color="0.6", linewidth=0.6, zorder=0)


def _mark_crossing(axes: Axes, features: pd.DataFrame) -> None:
    fields = {name: one(features, f"gradient.{name}") for name in ("batch_size", "curvature", "noise")}
    place = crossing_activity(one(features, "regularizer.strength"), learning_rate=one(features, "learning_rate"), **fields)
    axes.axvline(place, color="0.5", linestyle=":", linewidth=0.9, zorder=0)
    axes.text(place, 0.04, " D = η", transform=axes.get_xaxis_transform(), fontsize=7, color="0.35")
