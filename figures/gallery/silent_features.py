"""A feature that fell silent: how fast each rule and coupling takes it to zero, and when it does not stay there.

No loss gradient any more, w starts at 1. (a) λ = 1e-3: solid SGD with momentum (η = 0.1), dashed Adam (η = 1e-3); dotted
black: e^(−rate·t) with the closed-form decay rates, which coupled Adam does not obey: it moves by up to η a step, and regrows
here since ηλ/ε = 100 (c). (b) Coupled Adam, λ = 1e-4, by memory β2 and by the noise before it fell silent (3,000 steps of
standard deviation 1e-2, not drawn); vertical lines: the predicted time. (c) What is left after 30,000 steps against ηλ/ε:
beyond the stability bound the scale regrows and stays.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.panels.toy_theory import one, regularizer_of, replicates, rule_of
from figures.style import COUPLING_LABELS, letter, page_width, palette, rule_label
from mechanisms.records.loading import Need
from mechanisms.theory.feature import dead_time, decay_rate, stability_bound

NEEDS = (Need("toy", "dead"), Need("toy", "stability", seeds=1))
SMALLEST = 1e-12
STRONG, WEAK = 1e-3, 1e-4
MEMORIES = (0.99, 0.999)
DASHES = {"sgd": "-", "adam": "--"}


def draw(dead: pd.DataFrame, stability: pd.DataFrame) -> Figure:
    """Three panels: rules and couplings, memory and past, the stability bound."""
    figure, panels = plt.subplots(1, 3, figsize=(page_width(), 3.0))
    _couplings(panels[0], dead[(dead["spec.regularizer.strength"] == STRONG) & (dead["spec.gradient.alive_steps"] == 0)])
    coupled = dead[(dead["spec.regularizer.coupling"] == "coupled") & (dead["spec.regularizer.strength"] == WEAK)]
    _memory(panels[1], coupled[coupled["spec.rule"] == "adam"])
    _bound(panels[2], stability)
    panels[0].set_title(f"n = {replicates(dead)} each")
    for index, axes in enumerate(panels):
        letter(axes, index)
    figure.tight_layout(w_pad=0.8)
    return figure


def _size(rows: pd.DataFrame) -> pd.Series:
    return rows["scale"].abs().groupby(rows["step"]).mean().clip(lower=SMALLEST / 10)


def _couplings(axes: Axes, rows: pd.DataFrame) -> None:
    for coupling, colour in zip(COUPLING_LABELS, palette(3), strict=True):
        for rule, dash in DASHES.items():
            chosen = rows[(rows["spec.rule"] == rule) & (rows["spec.regularizer.coupling"] == coupling)]
            if rule == "adam":
                chosen = chosen[chosen["spec.rule.beta2"] == MEMORIES[0]]
            size = _size(chosen)
            axes.plot(size.index, size, dash, color=colour, label=coupling if rule == "sgd" else None)
            if rule == "sgd" or coupling != "coupled":
                _law(axes, chosen, size)
    axes.set(xlabel="steps", ylabel="|w|", yscale="log", xlim=(0, 8000), ylim=(SMALLEST, 3))
    for rule, dash in DASHES.items():
        axes.plot([], [], dash, color="black", label=rule_label(rule).partition(",")[0])
    axes.legend(loc="lower right", fontsize=6, handlelength=1.6)


def _law(axes: Axes, rows: pd.DataFrame, size: pd.Series) -> None:
    setting = rows.iloc[0]
    rate = decay_rate(rule_of(setting), regularizer_of(setting), learning_rate=float(setting["spec.learning_rate"]))
    steps = np.asarray(size.index, dtype=float)
    axes.plot(steps, np.exp(-float(rate) * steps), ":", color="black", linewidth=0.8, zorder=4)


def _memory(axes: Axes, rows: pd.DataFrame) -> None:
    for beta2, colour in zip(MEMORIES, palette(2), strict=True):
        for past, dash in ((0.0, "-"), (3000.0, "--")):
            chosen = rows[(rows["spec.rule.beta2"] == beta2) & (rows["spec.gradient.alive_steps"] == past)]
            size = _size(chosen[chosen["step"] > past])
            label = f"{beta2:g}{', after noise' if past else ''}"
            axes.plot(np.asarray(size.index) - past, size, dash, color=colour, label=label)
            rate, strength = one(chosen, "learning_rate"), one(chosen, "regularizer.strength")
            noise = one(chosen, "gradient.sigma") if past else 0.0
            when = dead_time(1.0, learning_rate=rate, strength=strength, beta2=beta2, past=noise)
            axes.axvline(when, color=colour, linestyle=dash, linewidth=0.6, alpha=0.7)
    axes.set(xlabel="steps since it fell silent", ylabel="|w|", xscale="log", yscale="log", ylim=(SMALLEST, 3), xlim=(1, None))
    axes.legend(loc="lower left", fontsize=6, handlelength=1.6, title="β2", title_fontsize=6)


def _bound(axes: Axes, stability: pd.DataFrame) -> None:
    last = stability[stability["step"] == stability["step"].max()]
    ratio = last["spec.learning_rate"] * last["spec.regularizer.strength"] / last["spec.rule.epsilon"]
    left = last["scale"].abs().groupby(ratio.round(6)).mean().clip(lower=1e-40)
    axes.plot(left.index, left, "o-", color=palette(1)[0], linewidth=0.6)
    bound, across = stability_bound(one(last, "rule.beta1")), axes.get_xaxis_transform()
    axes.axvline(bound, color="0.4", linestyle="--", linewidth=0.9)
    axes.text(bound * 0.85, 0.5, "2(1+β1)/(1−β1)", rotation=90, ha="right", va="center", fontsize=7, transform=across)
    axes.set(xlabel="ηλ/ε", ylabel="|w| at the end (1e-40 or less)", xscale="log", yscale="log")
