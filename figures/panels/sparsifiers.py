"""Panels that figures of sparsifiers share: what each lets go at matched error, and at what error."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.panels.criteria_style import finite
from figures.style import letter, page_width, palette
from mechanisms.claims.published import PUBLISHED_SHARES
from mechanisms.measures.matched_error import PLAIN, TOLERANCE, at_matched_error, over_seeds

NAMES = {
    "l1_over_l2 by ": "ℓ1/ℓ2 by ",
    "group_lasso of incoming": "group lasso, filters",
    "group_lasso of outgoing": "group lasso, channels",
    "weight_sampling": "sampling",
    "l1, ": "L1, ",
    "l2, ": "L2, ",
}
EXPLICIT = ("sampling", "ℓ1/ℓ2", "group lasso")


def draw_sparsifiers(removal: pd.DataFrame, title: str, published: tuple[str, str]) -> Figure:
    """Two panels, one row a method; `published` names the method and network whose published shares are marked."""
    found = over_seeds(at_matched_error(removal)).sort_values("removed", kind="stable", ignore_index=True)
    size = (page_width(), 0.19 * len(found) + 1.2)
    figure, (shares, rises) = plt.subplots(1, 2, figsize=size, gridspec_kw={"width_ratios": [1.5, 1]})
    _points(shares, found, "removed", "can go at matched error [% of features]")
    shares.plot(100 * found["gone"], np.arange(len(found)), "x", color="0.3", markersize=4, label="gone by itself")
    shares.set_title(f"{title}, n = {removal['seed'].nunique()} seeds")
    shares.set_yticks(range(len(found)), [_label(name) for name in found["method"]])
    shares.set(xlim=(-2, 100), ylabel="method")
    _mark_published(shares, *published)
    _points(rises, found, "judged_rise", "error above plain training [points]")
    rises.axvline(100 * TOLERANCE, color="0.6", linewidth=0.8, zorder=0)
    rises.set_yticks(range(len(found)), [])
    rises.set_ylabel("the same methods")
    for index, axes in enumerate((shares, rises)):
        letter(axes, index)
    handles, names = shares.get_legend_handles_labels()
    figure.legend(handles, names, loc="lower center", ncol=4, handlelength=1.4)
    figure.tight_layout(rect=(0, 0.07, 1, 1), w_pad=0.8)
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


def _mark_published(axes: Axes, method: str, network: str) -> None:
    (found,) = [one for one in PUBLISHED_SHARES if one.method == method and one.network == network]
    for number, share in enumerate(found.shares):
        axes.axvline(100 * share, color="0.4", linestyle=":", linewidth=1.0, zorder=0, label=None if number else "published")
