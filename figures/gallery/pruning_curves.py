"""What pruning costs by each criterion, on networks of BasicNet (width 1/4) that digits trained.

Upper row: Adam under coupled L2, lower row: SGD with momentum under coupled L2. The same share of each layer goes, so that all
criteria make networks of one shape. (a, d) Test error right after pruning, (b, e) after two epochs of tuning; markers are means
over seeds, bars the range of the seeds. Crosses are the same shapes trained from fresh weights, the star what is inactive by
itself removed without tuning, the dotted line the network as it was trained. (c, f) Test error after tuning at the middle ratio
less that of random removal, paired by seed, with 95 % intervals: filled within layers, open over the whole network. No
correction for the number of comparisons.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.panels.criteria_style import LABELS, MARKERS, colours, finite
from figures.style import letter, page_width, rule_label
from mechanisms.measures.pruning_curves import against, shares
from mechanisms.records.loading import Need

NEEDS = (Need("full_scale", "criteria", table="pruned"),)
SHAPES = "layer"
"""The ranking of the curves."""


def draw(pruned: pd.DataFrame) -> Figure:
    """A row of three panels for each rule."""
    rules = list(dict.fromkeys(pruned["spec.train.rule"]))
    size = (page_width(), 2.7 * len(rules) + 0.5)
    figure, panels = plt.subplots(
        len(rules), 3, figsize=size, squeeze=False, gridspec_kw={"width_ratios": [1, 1, 1.15]}, layout="constrained"
    )
    for row, rule in zip(panels, rules, strict=True):
        one = shares(pruned[pruned["spec.train.rule"] == rule])
        for axes, value, label in zip(
            row, ("pruned_test_error", "test_error"), ("right after pruning", "after tuning"), strict=False
        ):
            _curves(axes, one, value)
            axes.set(xlabel="parameters left [%]", ylabel=f"test error {label} [%]", xscale="log", ylim=(0, None))
            _mark_shapes(axes, one)
        row[0].set_title(rule_label(rule), loc="right")
        row[1].set_title(f"n = {one['seed'].nunique()} seeds")
        _differences(row[2], one)
    for index, axes in enumerate(panels.flat):
        letter(axes, index)
    handles, names = panels[0, 1].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncol=6, handlelength=1.4, columnspacing=1.0)
    return figure


def _curves(axes: Axes, pruned: pd.DataFrame, value: str) -> None:
    chosen = pruned[pruned["ranking"] == SHAPES]
    shown = {name: colour for name, colour in colours().items() if name in set(chosen["criterion"])}
    for number, (name, colour) in enumerate(shown.items()):
        one = chosen[(chosen["criterion"] == name) & (chosen["protocol"] == "one_shot")]
        # A few percent apart, so that bars at one shape do not hide each other.
        _with_range(axes, one, value, 1.015 ** (number - len(shown) / 2), color=colour, marker=MARKERS[name], label=LABELS[name])
    if value == "test_error":
        _with_range(
            axes, chosen[chosen["protocol"] == "scratch"], value, 1, color="black", marker="x", linestyle="", label="from scratch"
        )
    implicit = pruned[(pruned["protocol"] == "implicit") & (pruned["criterion"] == "inactive by activation")]
    share, error = 100 * implicit["parameters_share"].mean(), 100 * implicit[value].mean()
    axes.plot([share], [error], "*", color="black", markersize=8, label="inactive by itself", zorder=4)
    axes.axhline(
        100 * pruned.loc[pruned["protocol"] == "trained", value].mean(), color="0.5", linestyle=":", linewidth=0.8, zorder=0
    )


def _mark_shapes(axes: Axes, pruned: pd.DataFrame) -> None:
    chosen = pruned[(pruned["ranking"] == SHAPES) & (pruned["protocol"] == "one_shot")]
    shapes = 100 * chosen.groupby("ratio")["parameters_share"].mean()
    axes.minorticks_off()
    axes.set_xticks([*shapes, 100], [*(f"{share:.2g}" for share in shapes), "100"])


def _with_range(axes: Axes, table: pd.DataFrame, value: str, beside: float, **look: str) -> None:
    ends = 100 * table.groupby("ratio")[value].agg(["mean", "min", "max"])
    left = 100 * beside * table.groupby("ratio")["parameters_share"].mean()
    reach = np.array([ends["mean"] - ends["min"], ends["max"] - ends["mean"]])
    axes.errorbar(left, ends["mean"], reach, elinewidth=0.6, markersize=3, linewidth=0.8, **look)  # type: ignore[arg-type]


def _differences(axes: Axes, pruned: pd.DataFrame) -> None:
    ratios = sorted(pruned.loc[pruned["protocol"] == "one_shot", "ratio"].unique())
    ratio = ratios[len(ratios) // 2]
    compared = against(pruned[(pruned["protocol"] == "one_shot") & (pruned["ratio"] == ratio)])
    inside = compared[compared["ranking"] == SHAPES].sort_values("difference", ascending=False)
    names = list(inside["criterion"])
    for ranking, fill, aside in ((SHAPES, "black", 0.12), ("global", "white", -0.12)):
        one = compared[compared["ranking"] == ranking].set_index("criterion").reindex(names).dropna(subset=["difference"])
        at = np.array([names.index(name) for name in one.index]) + aside
        reach = 100 * np.array([one["difference"] - one["low"], one["high"] - one["difference"]])
        axes.errorbar(
            100 * one["difference"],
            at,
            xerr=finite(reach),
            fmt="o",
            color="black",
            markerfacecolor=fill,
            markersize=3,
            elinewidth=0.6,
        )
    axes.axvline(0, color="0.5", linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names], fontsize=5.5)
    widest = 120 * max(compared["difference"].abs().max(), 0.01)
    axes.set(xlabel="test error less that of random [points]", ylabel="criterion", xlim=(-widest, widest))
    axes.set_title(f"{ratio:.0%} removed")
