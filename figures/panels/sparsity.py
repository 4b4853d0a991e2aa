"""Panels that several figures of trainings share: sparsity over training and by layer, and the test error."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.style import letter, page_width, palette, rule_label
from mechanisms.measures.sparsity import sparsity


def draw_settings(features: pd.DataFrame, curve: pd.DataFrame) -> Figure:
    """Sparsity over training, by layer, and test error; one colour a setting."""
    features, curve = labelled(features), labelled(curve)
    labels = list(dict.fromkeys(features["label"]))
    colours = dict(zip(labels, palette(len(labels)), strict=True))
    figure, panels = plt.subplots(1, 3, figsize=(page_width(), 2.7), gridspec_kw={"width_ratios": [1.25, 1.5, 0.8]})
    _over_training(panels[0], features, colours)
    _by_layer(panels[1], features, colours)
    _test_error(panels[2], curve, colours)
    for index, axes in enumerate(panels):
        letter(axes, index)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="lower center", ncol=2, handlelength=1.6)
    figure.tight_layout(rect=(0, 0.13, 1, 1), w_pad=1.0)
    return figure


def labelled(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column `label`: rule, coupling and strength of each row in words."""

    def label(one: pd.Series) -> str:
        if one["spec.regularizer.strength"] == 0:
            return f"{rule_label(one['spec.rule'])}, no regularizer"
        return f"{rule_label(one['spec.rule'])}, {one['spec.regularizer.coupling']} λ = {one['spec.regularizer.strength']:g}"

    names = ["spec.rule", "spec.regularizer.coupling", "spec.regularizer.strength"]
    known = table[names].drop_duplicates()
    return table.merge(known.assign(label=known.apply(label, axis=1)), on=names)


def heading(rows: pd.DataFrame) -> str:
    """Two lines for above a narrow panel about one setting: rule and coupling, strength."""
    one = rows.iloc[0]
    rule, strength = rule_label(one["spec.rule"]).partition(",")[0], one["spec.regularizer.strength"]
    return f"{rule}, {one['spec.regularizer.coupling']}\nλ = {strength:g}" if strength else f"{rule}, no\nregularizer"


def _over_training(axes: Axes, features: pd.DataFrame, colours: dict[str, str]) -> None:
    runs = sparsity(features.assign(**{"spec.label": features["label"]}))
    for label, one in runs.groupby("spec.label", sort=False):
        steps = one.groupby("step")["sparsity"].agg(["mean", "min", "max"])
        axes.plot(steps.index, steps["mean"], color=colours[str(label)], label=label, marker=".", markersize=3)
        axes.fill_between(steps.index, steps["min"], steps["max"], color=colours[str(label)], alpha=0.2, linewidth=0)
    axes.set(xlabel="steps", ylabel="sparsity by activation", ylim=(-0.02, None), xlim=(0, None))
    axes.set_title(f"n = {features['seed'].nunique()} seeds")


def _by_layer(axes: Axes, features: pd.DataFrame, colours: dict[str, str]) -> None:
    last = features[features["step"] == features["step"].max()]
    runs = sparsity(last.assign(**{"spec.label": last["label"]}), per="layer")
    layers, width = list(dict.fromkeys(runs["layer"])), 0.8 / len(colours)
    for index, (label, colour) in enumerate(colours.items()):
        one = runs[runs["spec.label"] == label].groupby("layer", sort=False)["sparsity"].agg(["mean", "min", "max"]).loc[layers]
        at = np.arange(len(layers)) + (index - (len(colours) - 1) / 2) * width
        axes.bar(at, one["mean"], width, color=colour)
        axes.vlines(at, one["min"], one["max"], color="black", linewidth=0.6)
    axes.set_xticks(range(len(layers)), [name.replace("conv", "C") for name in layers])
    axes.set(xlabel="layer", ylabel="sparsity at the end", ylim=(-0.02, 1))


def _test_error(axes: Axes, curve: pd.DataFrame, colours: dict[str, str]) -> None:
    last = curve[curve["step"] == curve["step"].max()]
    for index, (label, colour) in enumerate(colours.items()):
        errors = 100 * last.loc[last["label"] == label, "test_error"]
        axes.plot(np.full(len(errors), index) + np.linspace(-0.15, 0.15, len(errors)), errors, "o", color=colour, markersize=3)
        axes.hlines(errors.mean(), index - 0.3, index + 0.3, color=colour)
    axes.set_xticks([])
    highest = 100 * last["test_error"].max()
    axes.set(
        xlabel="setting (colour)", ylabel="test error at the end [%]", ylim=(0, 1.1 * highest), xlim=(-0.6, len(colours) - 0.4)
    )
