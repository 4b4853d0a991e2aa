"""Which filters will die, and how many: what early measurements tell.

BasicNet (width 1/4) on digits under eleven settings of rule, coupling, strength, rate and batch size. (a) AUC of a low score for
death at the end, among the features of one layer that are alive when measured, ½ is chance. (b) The same by what is left of the
score given |γ| (ranks within the layer). Points are means over seeds of the mean over settings, bars 95 % intervals over seeds.
(c) Mean absolute error of the final sparsity forecast after a tenth of training, on settings that the forecast has not seen, by
the share of features under one threshold; 95 % intervals over settings; dashed: the mean of the other settings as the forecast.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.panels.criteria_style import LABELS, MARKERS, colours, finite
from figures.style import letter, page_width
from mechanisms.measures.death_prediction import (
    TRIVIAL,
    forecast_errors,
    forecasts,
    moments_of,
    over_runs,
    prediction_table,
    scored,
)
from mechanisms.records.loading import Need

NEEDS = (Need("full_scale", "early_prediction", table="moments"),)
FORECAST_AT = 0.1
SHORTER = {"effective strength below 0": "strength below 0"}


def draw(moments: pd.DataFrame) -> Figure:
    """AUC within layers, the same given the scale, and the errors of forecasts."""
    found = over_runs(prediction_table(scored(moments)))
    figure, panels = plt.subplots(
        1, 3, figsize=(page_width(), 3.0), gridspec_kw={"width_ratios": [1, 1, 1.2]}, layout="constrained"
    )
    for axes, kind, label in zip(panels, ("within", "given_scale"), ("within layers", "within layers, given |γ|"), strict=False):
        _aucs(axes, found, kind)
        axes.set(xlabel="measured after [% of training]", ylabel=f"AUC {label}", ylim=(0.2, 1.02))
    panels[0].set_title(f"n = {moments['seed'].nunique()} seeds")
    _forecasts(panels[2], moments)
    for index, axes in enumerate(panels):
        letter(axes, index)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncol=5, handlelength=1.4, columnspacing=1.0)
    return figure


def _aucs(axes: Axes, found: pd.DataFrame, kind: str) -> None:
    for number, (name, colour) in enumerate(colours().items()):
        one = found[found["criterion"] == name]
        beside = 100 * one["moment"] + 0.25 * (number - len(LABELS) / 2)
        reach = np.array([one[kind] - one[f"{kind}_low"], one[f"{kind}_high"] - one[kind]])
        look = {"color": colour, "marker": MARKERS[name], "label": LABELS[name]}
        axes.errorbar(beside, one[kind], finite(reach), elinewidth=0.6, markersize=3, linewidth=0.8, **look)  # type: ignore[arg-type]
    axes.axhline(0.5, color="0.5", linewidth=0.8, linestyle=":", zorder=0)


def _forecasts(axes: Axes, moments: pd.DataFrame) -> None:
    known = moments_of(moments)["moment"]
    moment = FORECAST_AT if np.isclose(known, FORECAST_AT).any() else float(known.min())
    errors = forecast_errors(forecasts(moments, moment))
    trivial = errors.loc[errors["method"] == TRIVIAL, "error"].iloc[0]
    shown = errors[errors["method"] != TRIVIAL].iloc[::-1]
    reach = np.array([shown["error"] - shown["error_low"], shown["error_high"] - shown["error"]])
    at = np.arange(len(shown))
    axes.errorbar(shown["error"], at, xerr=finite(reach), fmt="o", color="black", markersize=3, elinewidth=0.6)
    axes.axvline(trivial, color="0.4", linestyle="--", linewidth=0.8, zorder=0)
    axes.set_yticks(at, [SHORTER.get(name, name).replace("_", " ") for name in shown["method"]], fontsize=5.5)
    axes.set(xlabel="error of the forecast sparsity [points]", ylabel="forecast by", xlim=(0, None))
    axes.set_title(f"{errors['settings'].iloc[0]} settings")
