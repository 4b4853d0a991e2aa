"""Removing dead filters: what it does to the output, and how much goes, beside Torch-Pruning 1.6.1.

Networks of torchvision with random weights, 30 % of each BatchNorm's scales set to 0, the shifts of these features to 0, +0.5
or −1. (a) Largest difference of the output in float64, relative to the largest output: rounding is near 1e-15. A feature
whose shift is positive is a constant that is not 0, which has to be carried on. (b) Parameters that go where the shifts are
0. Torch-Pruning removes the groups whose scales are all 0; on depthwise networks that finds less than there is.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.benchmark_tables import BenchmarkTable
from figures.style import letter, page_width, palette

NEEDS = ()
TABLES = (BenchmarkTable("removal_exactness"),)
SIDES = {"ours": "this package", "torch_pruning": "Torch-Pruning"}
SHIFTS = {"0": "o", "+0.5": "^", "-1": "v"}
SMALLEST = 1e-17


def draw(rows: pd.DataFrame) -> Figure:
    """Two panels, one line a network."""
    networks = list(dict.fromkeys(rows["network"]))
    figure, panels = plt.subplots(1, 2, figsize=(page_width(), 3.2), sharey=True, gridspec_kw={"width_ratios": [1.5, 1]})
    for place, (side, colour) in zip((0.17, -0.17), zip(SIDES, palette(2), strict=True), strict=True):
        _differences(panels[0], rows, networks, side, colour, place)
        _removed(panels[1], rows[rows["shift"] == "0"], networks, side, colour, place)
    panels[0].set_yticks(range(len(networks)), networks)
    panels[0].set(xlabel="largest difference of the output, relative", ylabel="network", xscale="log", xlim=(SMALLEST, 30))
    panels[1].set(xlabel="parameters removed [%]", xlim=(0, None))
    panels[0].set_title(f"n = {len(networks)} networks")
    for index, axes in enumerate(panels):
        letter(axes, index)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="lower center", ncol=3, columnspacing=1.0)
    figure.tight_layout(rect=(0, 0.12, 1, 1), w_pad=1.0)
    return figure


def _differences(axes: Axes, rows: pd.DataFrame, networks: list[str], side: str, colour: str, place: float) -> None:
    for shift, marker in SHIFTS.items():
        shown = rows[rows["shift"] == shift].set_index("network").reindex(networks)
        found = pd.to_numeric(shown[f"{side}_difference"], errors="coerce").clip(lower=SMALLEST)
        label = f"{SIDES[side]}, shift {shift.replace('-', '−')}"
        axes.plot(found, np.arange(len(networks)) + place, marker, color=colour, label=label, markerfacecolor="none")


def _removed(axes: Axes, rows: pd.DataFrame, networks: list[str], side: str, colour: str, place: float) -> None:
    shown = rows.set_index("network").reindex(networks)[f"{side}_removed"].str.rstrip("%")
    axes.barh(np.arange(len(networks)) + place, pd.to_numeric(shown, errors="coerce"), 0.34, color=colour)
