"""How long a scale takes to fall to a tenth: predicted against simulated.

Coupled Adam (β2 = 0.99, η = 1e-3) under pure gradient noise, from 1 to 0.1, for strengths λ and noises σ whose crossover σ/λ lies
between 0.01 and 3. Points: first recorded step at which the mean over features is below 0.1, by seed. Closed form: quasi-static
denominator. Mean field: the averaged Adam iteration, memory of both moments included. The diagonal is agreement.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.panels.toy_theory import one
from figures.style import letter, page_width, palette
from mechanisms.measures.first_passage import END, passages
from mechanisms.records.loading import Need

NEEDS = (Need("toy", "passage"),)
SERIES = (("closed_form", "closed form", "o"), ("mean_field", "mean field", "D"))


def draw(features: pd.DataFrame) -> Figure:
    """Two panels: both predictions against the simulation, and their relative errors against the crossover."""
    found = passages(features)
    figure, panels = plt.subplots(1, 2, figsize=(page_width(), 2.8))
    for (column, label, marker), colour in zip(SERIES, palette(2), strict=True):
        look = {"color": colour, "label": label, "markersize": 3.5, "markerfacecolor": "none"}
        panels[0].plot(found["simulated"], found[column], marker, **look)
        panels[1].plot(found["crossover"], 100 * (found[column] / found["simulated"] - 1), marker, **look)
    _diagonal(panels[0], found)
    panels[0].set(xlabel=f"simulated steps to {END:g}", ylabel="predicted steps", xscale="log", yscale="log")
    panels[1].axhline(0, color="0.6", linewidth=0.6, zorder=0)
    panels[1].set(xlabel="crossover σ/λ", ylabel="error of the prediction [%]", xscale="log")
    n = features["feature"].nunique()
    panels[0].set_title(f"mean of n = {n} features, η = {one(features, 'learning_rate'):g}")
    panels[1].set_title(f"{features['seed'].nunique()} seeds")
    panels[0].legend()
    for index, axes in enumerate(panels):
        letter(axes, index)
    figure.tight_layout(w_pad=1.5)
    return figure


def _diagonal(axes: Axes, found: pd.DataFrame) -> None:
    ends = found["simulated"].min(), found["simulated"].max()
    axes.plot(ends, ends, color="0.6", linewidth=0.8, zorder=0)
