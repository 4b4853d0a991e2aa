"""What the loss can and cannot change: squared scales and shifts of a layer, and the squared weights that read it.

BasicNet (width 1/4) on scikit-learn's digits at a constant rate; layers C1 to C6, which feed convolution + BatchNorm. (a) Sum
of γ² + β² of a layer over its start, geometric mean over layers and seeds, bands from the lowest to the highest layer. (b)
The same for the squared outgoing weights. Dashed lines: the law of gradient flow, by which the loss changes neither and L2
shrinks both at rate 2ηλ/(1 − μ). SGD with momentum of 0.9, rate 0.1, without and with L2; Adam (β2 = 0.99) under coupled L2,
for which no such law is known.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.style import letter, page_width, palette
from mechanisms.claims.measured.treated_runs import layer_sums
from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import SGD
from mechanisms.records.loading import Need
from mechanisms.theory.layer import layer_sum

NEEDS = (Need("full_scale", "balance", seeds=5),)
SETTINGS = (("sgd", False, "SGD, no L2"), ("sgd", True, "SGD, L2"), ("adam", True, "Adam, coupled L2"))
QUANTITIES = (
    ("affine", r"$\Sigma(\gamma^2+\beta^2)$ over its start"),
    ("outgoing", r"$\Sigma\,\|$outgoing$\|^2$ over its start"),
)


def draw(features: pd.DataFrame) -> Figure:
    """Two panels over training, one line a setting."""
    sums = layer_sums(features)
    figure, panels = plt.subplots(1, 2, figsize=(page_width(), 2.7))
    for index, (axes, (quantity, label)) in enumerate(zip(panels, QUANTITIES, strict=True)):
        for (rule, decayed, name), colour in zip(SETTINGS, palette(len(SETTINGS)), strict=True):
            rows = sums[(sums["spec.rule"] == rule) & ((sums["spec.regularizer.strength"] > 0) == decayed)]
            _over_training(axes, rows, quantity, colour, name)
            if rule == "sgd":
                _law(axes, rows, colour)
        axes.set(xlabel="step", ylabel=label, yscale="log")
        letter(axes, index)
    panels[0].set_title(f"n = {features['seed'].nunique()} seeds, 6 layers")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="lower center", ncol=4)
    figure.tight_layout(rect=(0, 0.08, 1, 1), w_pad=1.5)
    return figure


def _over_training(axes: Axes, rows: pd.DataFrame, quantity: str, colour: str, name: str) -> None:
    start = rows[rows["step"] == 0].set_index(["seed", "layer"])[quantity]
    ratio = (rows.set_index(["seed", "layer", "step"])[quantity] / start).map(np.log)
    by_layer = ratio.groupby(["step", "layer"]).mean().groupby("step").agg(["mean", "min", "max"]).map(np.exp)
    axes.plot(by_layer.index, by_layer["mean"], color=colour, label=name)
    axes.fill_between(by_layer.index, by_layer["min"], by_layer["max"], color=colour, alpha=0.15, linewidth=0)


def _law(axes: Axes, rows: pd.DataFrame, colour: str) -> None:
    rule = SGD(momentum=float(rows["spec.rule.momentum"].iloc[0]))
    law = L2(strength=float(rows["spec.regularizer.strength"].iloc[0]))
    steps = np.unique(rows["step"])
    predicted = layer_sum(1.0, steps, rule, law, learning_rate=float(rows["spec.learning_rate"].iloc[0]))
    label = "law of gradient flow" if law.strength else None
    shown = predicted > 1e-3
    axes.plot(steps[shown], predicted[shown], "--", color=colour, linewidth=0.9, label=label)
