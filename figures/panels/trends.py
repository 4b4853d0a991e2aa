"""Panels that show how many filters are silent at the end, and the test error, against one field of the spec."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
from matplotlib.axes import Axes

from figures.style import palette
from mechanisms.claims.network_runs import ends

MARKERS = "osD^"
QUANTITIES = {"sparsity": "silent filters at the end [%]", "test_error": "test error [%]"}


def ends_with_errors(features: pd.DataFrame, curve: pd.DataFrame) -> pd.DataFrame:
    """One row a run: its spec, `seed`, `sparsity` by activation and `test_error` at the end."""
    runs = ends(features)
    keys = [name for name in runs.columns if name in curve.columns]
    last = curve.loc[curve["step"] == curve["spec.steps"], [*keys, "test_error"]]
    return runs.merge(last, on=keys)


def against(axes: Axes, series: Iterable[tuple[str, pd.DataFrame]], field: str, quantity: str) -> None:
    """One line a series through the means over seeds, with the runs as points, on an axis with a tick at each value."""
    series = list(series)
    values = sorted({value for _, runs in series for value in runs[field]})
    places = {value: place for place, value in enumerate(values)}
    for (label, runs), colour, marker in zip(series, palette(len(series)), MARKERS, strict=False):
        shown = runs.assign(place=runs[field].map(places), percent=100 * runs[quantity])
        means = shown.groupby("place")["percent"].mean()
        axes.plot(means.index, means, color=colour, linestyle="-" if marker == "o" else "--", label=label)
        axes.plot(shown["place"], shown["percent"], marker, color=colour, markersize=3, markerfacecolor="none")
    axes.set_xticks(range(len(values)), [f"{value:g}" for value in values])
    axes.set_ylabel(QUANTITIES[quantity])
    axes.set_ylim(bottom=0)


def at_equal_steps_and_epochs(runs: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The runs of the experiment `batch_size` that make as many steps, and those that see as many images."""
    images = runs["spec.steps"] * runs["spec.batch_size"]
    shared = runs[runs.groupby("spec.batch_size")["spec.steps"].transform("nunique") == 1]
    base = shared.iloc[0]
    same_steps = runs["spec.steps"] == base["spec.steps"]
    same_images = (images / (base["spec.steps"] * base["spec.batch_size"]) - 1).abs() < 0.01
    return [("equal steps", runs[same_steps]), ("equal epochs", runs[same_images])]
