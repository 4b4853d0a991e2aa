"""A scalar under small gradient noise, for every update rule, coupling and strength.

|w| against steps, mean over features and seeds. The gradient is noise of standard deviation 1e-3 for 100 steps and 1e-5
after. Coupled L2 takes the scalar down under every normalizing rule, the faster the smaller the gradient is against λw;
decoupled decay (AdamW in torch) leaves it where it is; independent decay falls at the rate λ under every rule. Adadelta's
ε swamps such gradients: it behaves like SGD.
"""

from __future__ import annotations

from typing import cast

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures.style import COUPLING_DASHES, COUPLING_LABELS, page_width, rule_label, shades
from mechanisms.records.loading import Need

NEEDS = (Need("toy", "decay"),)


def draw(features: pd.DataFrame) -> Figure:
    """One panel a rule; colour is the strength, line style the coupling."""
    rules = list(dict.fromkeys(features["spec.rule"]))
    strengths = sorted(features["spec.regularizer.strength"].unique())
    colours = dict(zip(strengths, shades(len(strengths)), strict=True))
    columns = 3
    rows = -(-len(rules) // columns)
    figure, panels = plt.subplots(
        rows, columns, figsize=(page_width(), 1.75 * rows + 0.6), sharex=True, sharey=True, squeeze=False
    )
    for axes, rule in zip(panels.flat, rules, strict=False):
        _panel(axes, features[features["spec.rule"] == rule], colours)
        axes.set_title(f"{rule_label(rule)}, η = {features.loc[features['spec.rule'] == rule, 'spec.learning_rate'].iloc[0]:g}")
    for axes in panels.flat[len(rules) :]:
        axes.axis("off")
    n = features.groupby(["spec.rule", "seed"])["feature"].nunique().groupby("spec.rule").sum().iloc[0]
    figure.supxlabel("steps", fontsize=8, y=0.085)
    figure.supylabel(f"|w|, mean of n = {n} features", fontsize=8)
    _legend(figure, colours)
    figure.tight_layout(rect=(0, 0.075, 1, 1), w_pad=0.4, h_pad=0.4)
    return figure


def _panel(axes: Axes, table: pd.DataFrame, colours: dict[float, str]) -> None:
    size = table.assign(size=table["scale"].abs())
    for key, one in size.groupby(["spec.regularizer.strength", "spec.regularizer.coupling"]):
        strength, coupling = cast(tuple[float, str], key)
        mean = one.groupby("step")["size"].mean()
        axes.loglog(mean.index, mean, color=colours[strength], linestyle=COUPLING_DASHES[coupling])
    axes.set(xlim=(20, None), ylim=(1e-3, 2))


def _legend(figure: Figure, colours: dict[float, str]) -> None:
    handles = [Line2D([], [], color=colour, label=f"λ = {strength:g}") for strength, colour in colours.items()]
    handles += [Line2D([], [], color="black", linestyle=d, label=COUPLING_LABELS[c]) for c, d in COUPLING_DASHES.items()]
    figure.legend(handles=handles, loc="lower center", ncol=4, columnspacing=1.2, handlelength=2.4)
