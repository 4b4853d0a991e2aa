"""What else turns the effect up and down, on photographs: which parameters are decayed, and the batch size.

BasicNet (width 1/4) under Adam and coupled L2 of 1e-3, 20,000 images of a JPEG-coded copy of CIFAR-10 (quality 75; not comparable
with published numbers) at 16 × 16 pixels. (a) L2 on all parameters, on all but those of BatchNorm (BN), on those of BatchNorm
alone, on convolution weights alone; 6,000 steps of 40 images. (b) Batch size at equal steps (6,000). (c) Test error against
sparsity for the same runs: smaller batches are sparser and less accurate after as many steps, because they have seen fewer
images. Every point is a run; lines and bars are means over seeds.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.style import letter, page_width, palette
from mechanisms.measures.sparsity import sparsity
from mechanisms.records.loading import Need

SHORT = "preset=short"
PLAIN = ("strength", (SHORT, "regularizer.strength=1e-3"))
SIZES = (20, 40, 80)
NEEDS = tuple(
    Need("full_scale", experiment, overrides, table=table)
    for table in ("features", "curve")
    for experiment, overrides in (
        ("decayed_parameters", (SHORT,)),
        *((PLAIN[0], (*PLAIN[1], f"batch_size={size}")) for size in SIZES),
    )
)
LABELS = {"all": "all", "no_norm": "without\nBN", "norm": "only\nBN", "conv": "only\nconv"}
MARKERS = "osD"


def draw(*tables: pd.DataFrame) -> Figure:
    """Sparsity by what is decayed and by batch size, and both against the test error."""
    half = len(tables) // 2
    decayed, *sizes = (_ends(features, curve) for features, curve in zip(tables[:half], tables[half:], strict=True))
    batches = pd.concat(sizes, ignore_index=True)
    figure, panels = plt.subplots(1, 3, figsize=(page_width(), 2.5), gridspec_kw={"width_ratios": [1.3, 1, 1.3]})
    _what_is_decayed(panels[0], decayed)
    _batch_size(panels[1], batches)
    _accuracy(panels[2], decayed, batches)
    for index, axes in enumerate(panels):
        letter(axes, index)
    panels[0].set_title(f"n = {decayed['seed'].nunique()} seeds")
    figure.legend(*panels[2].get_legend_handles_labels(), loc="lower center", ncol=6, handletextpad=0.1, columnspacing=1.0)
    figure.tight_layout(rect=(0, 0.08, 1, 1), w_pad=1.2)
    return figure


def _ends(features: pd.DataFrame, curve: pd.DataFrame) -> pd.DataFrame:
    """One row a run: what tells it apart, its sparsity by activation and its test error at its end."""
    keys = ["spec.decayed", "spec.batch_size", "seed"]
    last = sparsity(features[features["step"] == features["spec.steps"]])[[*keys, "sparsity"]]
    return last.merge(curve.loc[curve["step"] == curve["spec.steps"], [*keys, "test_error"]], on=keys)


def _colours() -> dict[str, str]:
    return dict(zip(LABELS, palette(len(LABELS)), strict=True))


def _what_is_decayed(axes: Axes, runs: pd.DataFrame) -> None:
    for place, (decayed, colour) in enumerate(_colours().items()):
        one = runs.loc[runs["spec.decayed"] == decayed, "sparsity"]
        axes.bar(place, one.mean(), 0.7, color=colour, alpha=0.5)
        axes.plot(place + np.linspace(-0.15, 0.15, len(one)), one, "o", color=colour, markersize=3)
    axes.set_xticks(range(len(LABELS)), list(LABELS.values()))
    axes.set(xlabel="parameters under L2", ylabel="sparsity by activation", ylim=(0, 1))


def _batch_size(axes: Axes, runs: pd.DataFrame) -> None:
    means, colour = runs.groupby("spec.batch_size")["sparsity"].mean(), _colours()["all"]
    axes.plot(means.index, means, color=colour)
    for (_, one), marker in zip(runs.groupby("spec.batch_size"), MARKERS, strict=False):
        axes.plot(one["spec.batch_size"], one["sparsity"], marker, color=colour, markersize=3)
    axes.set_xscale("log", base=2)
    axes.set_xticks(means.index, [str(size) for size in means.index])
    axes.minorticks_off()
    axes.set(xlabel="batch size (equal steps)", ylabel="sparsity by activation", ylim=(0, 1))


def _accuracy(axes: Axes, decayed: pd.DataFrame, batches: pd.DataFrame) -> None:
    for name, colour in _colours().items():
        one = decayed[(decayed["spec.decayed"] == name) & (name != "all")]
        if len(one):
            axes.plot(one["sparsity"], 100 * one["test_error"], "o", color=colour, label=LABELS[name].replace("\n", " "))
    for (size, one), marker in zip(batches.groupby("spec.batch_size"), MARKERS, strict=False):
        axes.plot(one["sparsity"], 100 * one["test_error"], marker, color=_colours()["all"], label=f"all, batch {size}")
    axes.set(xlabel="sparsity by activation", ylabel="test error [%]", xlim=(-0.03, 1), ylim=(0, None))
