"""How much each sparsifier lets go at matched error, on MNIST.

(a) Nodes of an MLP of 300 and 100 hidden units, (b) its errors, (c, d) the same for filters of Caffe's LeNet without
BatchNorm. Points in (a, c): largest share of features that becomes constant without tuning while the error on one half of the
test images stays within one point of plain training; strength and order of removal of each method are chosen on that half.
Crosses: what is gone in the chosen network without any removal. (b, d) By how much the error on the other half lies above plain
training's; the grey line is the tolerance. Means over seeds, bars 95 % intervals. Filled: no penalty or step after the update.
Dotted: what papers report of other networks or larger trainings (a: weight sampling; c: entropic regression, from and to).
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.criteria_style import finite
from figures.style import TWO_COLUMNS, letter, palette
from mechanisms.experiments.archive import Need
from mechanisms.matched_error import PLAIN, TOLERANCE, at_matched_error, over_seeds
from mechanisms.published import PUBLISHED_SHARES

NEEDS = (Need("full_scale", "node_pruning", table="removal"), Need("full_scale", "l1_over_l2", table="removal"))
NAMES = {
    "l1_over_l2 by ": "ℓ1/ℓ2 by ",
    "group_lasso of incoming": "group lasso, filters",
    "group_lasso of outgoing": "group lasso, channels",
    "weight_sampling": "sampling",
    "l1, ": "L1, ",
    "l2, ": "L2, ",
}
EXPLICIT = ("sampling", "ℓ1/ℓ2", "group lasso")


def draw(nodes: pd.DataFrame, filters: pd.DataFrame) -> Figure:
    """A row of two panels for each network."""
    found = [over_seeds(at_matched_error(table)) for table in (nodes, filters)]
    heights = [len(one) + 1 for one in found]
    size = (TWO_COLUMNS, 0.19 * sum(heights) + 1.5)
    figure, panels = plt.subplots(2, 2, figsize=size, gridspec_kw={"height_ratios": heights, "width_ratios": [1.5, 1]})
    titles = ("MLP, nodes", "LeNet, filters")
    for row, one, table, title in zip(panels, found, (nodes, filters), titles, strict=True):
        order = one.sort_values("removed", kind="stable", ignore_index=True)
        _points(row[0], order, "removed", "can go at matched error [% of features]")
        _points(row[1], order, "judged_rise", "error above plain training [points]")
        row[0].plot(100 * order["gone"], np.arange(len(order)), "x", color="0.3", markersize=4, label="gone by itself")
        row[0].set_title(f"{title}, n = {table['seed'].nunique()} seeds")
        row[0].set_yticks(range(len(order)), [_label(name) for name in order["method"]])
        row[0].set(xlim=(-2, 100), ylabel="method")
        row[1].axvline(100 * TOLERANCE, color="0.6", linewidth=0.8, zorder=0)
        row[1].set_yticks(range(len(order)), [])
        row[1].set_ylabel("the same methods")
    _published(panels[0, 0], "weight sampling and weight decay", "MLP")
    _published(panels[1, 0], "entropic regression", "LeNet")
    for index, axes in enumerate(panels.flat):
        letter(axes, index)
    handles, names = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="lower center", ncol=5, handlelength=1.4)
    figure.tight_layout(rect=(0, 0.05, 1, 1), w_pad=0.8)
    return figure


def _label(method: str) -> str:
    name = method.partition(": ")[2]
    for told, shown in NAMES.items():
        name = name.replace(told, shown)
    return "plain training" if name == PLAIN else name


def _points(axes: Axes, table: pd.DataFrame, value: str, label: str) -> None:
    explicit = table["method"].map(lambda name: any(one in _label(name) for one in EXPLICIT))
    colours = palette(2)
    kinds = (("without penalty or step", ~explicit, colours[0], colours[0]), ("explicit", explicit, colours[1], "white"))
    for name, marks, colour, fill in kinds:
        one = table[marks]
        reach = 100 * np.array([one[value] - one[f"{value}_low"], one[f"{value}_high"] - one[value]])
        axes.errorbar(
            100 * one[value],
            one.index,
            xerr=finite(reach),
            fmt="o",
            color=colour,
            markerfacecolor=fill,
            markersize=4,
            elinewidth=0.8,
            label=name,
        )
    axes.set_xlabel(label)
    axes.set_ylim(-0.7, len(table) - 0.3)


def _published(axes: Axes, method: str, network: str) -> None:
    (found,) = [one for one in PUBLISHED_SHARES if one.method == method and one.network == network]
    for number, share in enumerate(found.shares):
        axes.axvline(100 * share, color="0.4", linestyle=":", linewidth=1.0, zorder=0, label=None if number else "published")
