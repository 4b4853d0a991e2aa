"""Where features die: four phase diagrams of the toy layer, theory drawn over simulation.

(a) What is left of a rare feature, relative to its closed form, by batch size: the contours are visits per memory. (b) What
noise leaves of a scalar under coupled relative to independent decay: they change places where the gradient scale is the learning
rate. (c) As (a), by β2. (d) The product under coupled L2: the line is the death threshold p = λ/(ka). Adam, η = 1e-3.
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.style import letter, page_width
from mechanisms.records.loading import Need
from mechanisms.theory.feature import critical_activity, equilibrium_scale, visits_per_memory

NEEDS = (Need("toy", "batch_size"), Need("toy", "strength_and_noise"), Need("toy", "edge"), Need("toy", "death"))
SHARE = {"cmap": "viridis", "vmin": 0, "vmax": 1}


def draw(batch: pd.DataFrame, noise: pd.DataFrame, edge: pd.DataFrame, death: pd.DataFrame) -> Figure:
    """Four heat maps with contours."""
    figure, panels = plt.subplots(2, 2, figsize=(page_width(), 5.2))
    _by_batch(panels[0, 0], batch)
    _by_noise(panels[0, 1], noise)
    _by_memory(panels[1, 0], edge)
    _by_strength(panels[1, 1], death)
    for index, axes in enumerate(panels.flat):
        letter(axes, index)
    figure.tight_layout(w_pad=1.5, h_pad=1.0)
    return figure


def _one(table: pd.DataFrame, name: str) -> float:
    return float(table[f"spec.{name}"].iloc[0])


def _map(axes: Axes, table: pd.DataFrame, x: str, y: str, value: str, label: str, **look: Any) -> None:
    """A heat map of the mean of a column over features and seeds, on logarithmic axes, with its colour bar."""
    cells = table.pivot_table(index=f"spec.{y}", columns=f"spec.{x}", values=value)
    mesh = axes.pcolormesh(cells.columns, cells.index, cells, shading="nearest", rasterized=True, **look)
    axes.set(xscale="log", yscale="log")
    axes.figure.colorbar(mesh, ax=axes, label=label, pad=0.02)
    n = int(table.groupby("seed")["feature"].nunique().sum())
    axes.set_title(f"n = {n} each")


def _relative(table: pd.DataFrame) -> pd.DataFrame:
    closed = equilibrium_scale(
        _one(table, "regularizer.strength"), p=table["spec.gradient.p"], curvature=_one(table, "gradient.curvature")
    )
    return table.assign(relative=(table["product_mean"] / closed).clip(0, 1))


def _contours(axes: Axes, x: np.ndarray, y: np.ndarray, value: np.ndarray) -> None:
    lines = axes.contour(x, y, value, levels=[1, 20], colors=["white", "black"], linewidths=0.9, linestyles=["-", "--"])
    axes.clabel(lines, fmt=lambda level: f"n = {level:g}", fontsize=6)


def _by_batch(axes: Axes, table: pd.DataFrame) -> None:
    _map(axes, _relative(table), "gradient.p", "gradient.batch_size", "relative", "final w / closed form", **SHARE)
    p, batch = (np.sort(table[f"spec.gradient.{name}"].unique()) for name in ("p", "batch_size"))
    _contours(axes, p, batch, visits_per_memory(p[None, :], batch_size=batch[:, None], beta2=_one(table, "rule.beta2")))
    axes.set(xlabel="p, fraction of exemplars", ylabel="batch size")


def _by_noise(axes: Axes, table: pd.DataFrame) -> None:
    keys = ["spec.regularizer.strength", "spec.gradient.sigma", "feature", "seed"]
    size = table.assign(size=np.log10(table["scale"].abs().clip(1e-4))).pivot_table(
        index=keys, columns="spec.regularizer.coupling", values="size"
    )
    both = (size["independent"] - size["coupled"]).rename("gap").reset_index()
    label = "log₁₀ |w|: independent − coupled"
    _map(axes, both, "regularizer.strength", "gradient.sigma", "gap", label, cmap="RdBu_r", vmin=-2, vmax=2)
    axes.axhline(_one(table, "learning_rate"), color="black", linestyle="--", linewidth=0.9)
    axes.text(both["spec.regularizer.strength"].min() * 1.1, _one(table, "learning_rate") * 1.3, "D = η", fontsize=7)
    axes.set(xlabel="strength λ", ylabel="gradient scale σ")


def _by_memory(axes: Axes, table: pd.DataFrame) -> None:
    table = table[table["spec.gradient.batch_size"] == 20]
    table = table.assign(**{"spec.forgets": 1 - table["spec.rule.beta2"]})
    _map(axes, _relative(table), "gradient.p", "forgets", "relative", "final w / closed form", **SHARE)
    p, forgets = np.sort(table["spec.gradient.p"].unique()), np.sort(table["spec.forgets"].unique())
    _contours(axes, p, forgets, visits_per_memory(p[None, :], batch_size=20, beta2=1 - forgets[:, None]))
    axes.set(xlabel="p, fraction of exemplars (batch 20)", ylabel="1 − β2")


def _by_strength(axes: Axes, table: pd.DataFrame) -> None:
    coupled = table[table["spec.regularizer.coupling"] == "coupled"]
    _map(axes, coupled, "gradient.p", "regularizer.strength", "product_mean", "final γ·v", **SHARE)
    strengths = np.sort(coupled["spec.regularizer.strength"].unique())
    edge = critical_activity(strengths, curvature=_one(coupled, "gradient.curvature"), target=_one(coupled, "gradient.target"))
    axes.plot(edge, strengths, color="white", linestyle="--", linewidth=1.2)
    axes.text(edge[-3] * 0.85, strengths[-3], "p = λ/(ka)", color="white", fontsize=7, ha="right")
    axes.set(xlabel="p, fraction of exemplars", ylabel="strength λ", xlim=(coupled["spec.gradient.p"].min(), None))
