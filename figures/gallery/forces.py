"""Who moves a scale: the force of the loss and that of the regularizer over time, in a feature that lives and in one that dies.

The product, scale × outgoing weight, λ = 1e-3. Solid: mean push of the loss away from zero, dashed: mean pull of the regularizer
toward it, both as change of the scale in one step, over features, seeds and neighbouring records; a push of the wrong sign is
left out. Upper row: p = 0.1, above the threshold λ/(ka) = 0.01: both meet, the feature has settled. Lower row: p = 0.002: under
coupled L2 the loss never catches up with the pull until the feature has gone; beside Adam independent decay fades with the
feature, the loss catches up.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.panels.force_lines import averaged_forces
from figures.panels.toy_theory import replicates
from figures.style import letter, page_width, palette, rule_label
from mechanisms.records.loading import Need

NEEDS = (Need("toy", "product"),)
SETTINGS = (("sgd", "coupled"), ("adam", "coupled"), ("adam", "independent"))
ACTIVITIES = (0.1, 0.002)
FORCES = (3e-6, 6e-3)
MOMENTS = 24
"""Log-spaced intervals of steps over which forces are averaged."""


def draw(features: pd.DataFrame) -> Figure:
    """One row for each p, one column for each rule and coupling."""
    figure, panels = plt.subplots(2, 3, figsize=(page_width(), 3.9), sharex=True, sharey="row")
    for row, p in zip(panels, ACTIVITIES, strict=True):
        for axes, (rule, coupling) in zip(row, SETTINGS, strict=True):
            chosen = (features["spec.rule"] == rule) & (features["spec.regularizer.coupling"] == coupling)
            _forces(axes, features[chosen & (features["spec.gradient.p"] == p)])
            axes.set_title(f"{rule_label(rule)},\n{coupling}, p = {p:g}")
        row[0].set_ylabel("change of γ in a step")
    for axes in panels[1]:
        axes.set_xlabel("steps")
    for index, axes in enumerate(panels.flat):
        letter(axes, index)
    n = replicates(features[features["spec.rule"] == "sgd"])
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="lower center", ncol=2, title=f"n = {n} features each")
    figure.tight_layout(rect=(0, 0.09, 1, 1), h_pad=0.6)
    return figure


def _forces(axes: Axes, rows: pd.DataFrame) -> None:
    steps, push, pull = averaged_forces(rows, MOMENTS)
    blue, orange = palette(2)
    axes.plot(steps, push, "-o", color=blue, markersize=2, label="loss, away from zero")
    axes.plot(steps, pull, "--s", color=orange, markersize=2, label="regularizer, toward zero")
    axes.set(xscale="log", yscale="log", ylim=FORCES)
