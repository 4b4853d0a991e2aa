"""Rule × coupling × strength: how many filters die, and at what test error.

The first table of the papers on scikit-learn's digits (BasicNet, width 1/4, 1,200 steps), as a heat map: colour and the upper
number are the share of filters that are silent on the whole training set at the end, the lower number is the test error;
means over seeds. Cells that were not run are empty.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.style import page_width, rule_label
from mechanisms.claims.network_runs import ends
from mechanisms.records.loading import Need

NEEDS = (Need("full_scale", "table1"), Need("full_scale", "table1", table="curve"))
COUPLINGS = ("coupled", "independent", "decoupled")


def draw(features: pd.DataFrame, curve: pd.DataFrame) -> Figure:
    """One heat map: rules down, couplings and strengths across."""
    runs = _runs(features, curve)
    rules = list(dict.fromkeys(runs["spec.rule"]))
    laws = sorted(set(zip(runs["law"], runs["spec.regularizer.strength"], strict=True)), key=_place)
    figure, axes = plt.subplots(figsize=(page_width(), 0.55 * len(rules) + 1.3))
    shares = np.full((len(rules), len(laws)), np.nan)
    for row, rule in enumerate(rules):
        for column, (law, strength) in enumerate(laws):
            chosen = (runs["spec.rule"] == rule) & (runs["law"] == law) & (runs["spec.regularizer.strength"] == strength)
            if chosen.any():
                shares[row, column] = runs.loc[chosen, "sparsity"].mean()
                _write(axes, column, row, shares[row, column], runs.loc[chosen, "test_error"].mean())
    picture = axes.imshow(100 * shares, cmap="viridis", vmin=0, vmax=100, aspect="auto")
    axes.set_xticks(range(len(laws)), [f"{law}\nλ = {strength:g}" if strength else "no\nregularizer" for law, strength in laws])
    axes.set_yticks(range(len(rules)), [rule_label(rule) for rule in rules])
    axes.set(xlabel="coupling and strength", ylabel="rule")
    axes.set_title(f"n = {runs['seed'].nunique()} seeds")
    figure.colorbar(picture, ax=axes, label="silent filters [%]", pad=0.02)
    figure.tight_layout()
    return figure


def _runs(features: pd.DataFrame, curve: pd.DataFrame) -> pd.DataFrame:
    """One row a run: its sparsity, test error and law."""
    keys = ["spec.rule", "spec.regularizer.coupling", "spec.regularizer.strength", "seed"]
    errors = curve.loc[curve["step"] == curve["spec.steps"], [*keys, "test_error"]]
    runs = ends(features)[[*keys, "sparsity"]].merge(errors, on=keys)
    return runs.assign(law=runs["spec.regularizer.coupling"].where(runs["spec.regularizer.strength"] > 0, "no regularizer"))


def _place(law: tuple[str, float]) -> tuple[int, float]:
    return (COUPLINGS.index(law[0]) if law[0] in COUPLINGS else len(COUPLINGS), law[1])


def _write(axes: Axes, column: int, row: int, share: float, error: float) -> None:
    colour = "black" if share > 0.6 else "white"
    axes.text(column, row, f"{share:.0%}\nerror {error:.1%}", ha="center", va="center", fontsize=6.5, color=colour)
