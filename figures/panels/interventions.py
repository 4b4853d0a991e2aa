"""Panels that show what interventions did to filters; the gallery has one figure for each size of the experiments."""

from __future__ import annotations

from collections.abc import Iterable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.style import letter, page_width, palette
from mechanisms.claims.measured.treated_runs import at_end, factor_shares, gate_effects, rescale_effects
from mechanisms.measures.statistics import Estimate, mean_interval
from mechanisms.records.loading import Need

LAWS = {
    "adam coupled": "Adam coupled",
    "adam decoupled": "Adam decoupled",
    "adam independent": "Adam independent",
    "sgd coupled": "SGD coupled",
}
MARKERS = "oD^s"
SETS = ("scale", "outgoing", "incoming", "scale+outgoing", "scale+incoming", "outgoing+incoming", "scale+outgoing+incoming")
SHORT_NAMES = {"scale": "γ", "outgoing": "out", "incoming": "in"}
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
FACTOR = "spec.interventions.0.factor"


def needs(overrides: tuple[str, ...], seeds: int) -> tuple[Need, ...]:
    """What `draw` takes."""
    return tuple(Need("full_scale", name, overrides, seeds=seeds) for name in ("rescale", "gate", "factors"))


def draw(rescale: pd.DataFrame, gate: pd.DataFrame, factors: pd.DataFrame) -> Figure:
    """Four panels: shares after rescaling, differences by law, gates, decayed factors."""
    figure, grid = plt.subplots(2, 2, figsize=(page_width(), 5.0))
    panels = list(grid.flat)
    _shares(panels[0], rescale)
    _differences(panels[1], rescale_effects(rescale))
    _gates(panels[2], gate_effects(gate))
    _factors(panels[3], factors)
    for index, axes in enumerate(panels):
        letter(axes, index)
    for axes, table, law in zip(
        panels, (rescale, rescale, gate, factors), ("Adam coupled, ", "", "", "Adam coupled, "), strict=True
    ):
        axes.set_title(f"{law}n = {table['seed'].nunique()} seeds")
    figure.tight_layout(h_pad=1.5, w_pad=1.5)
    return figure


def _errorbar(axes: Axes, x: Iterable[float], found: list[Estimate], look: str, colour: str, label: str) -> None:
    """Means with their 95 % intervals."""
    value, low, high = (np.array([getattr(one, name) for one in found]) for name in ("value", "low", "high"))
    axes.errorbar(
        list(x), value, (value - low, high - value), fmt=look, color=colour, label=label, markersize=3.5, elinewidth=0.7
    )


def _factor_axis(axes: Axes) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(FACTORS), ["¼", "½", "1", "2", "4"])
    axes.set_xlabel("factor on (γ, β), its inverse on outgoing weights")


def _shares(axes: Axes, rescale: pd.DataFrame) -> None:
    """Coupled Adam: dead share of the treated half, of the other half, and of all where all are treated."""
    ends = at_end(rescale)
    ends = ends[ends["law"] == "adam coupled"]
    half, whole = (ends[ends["spec.interventions.0.filters"] == name] for name in ("random", "all"))
    series = (
        (half[half["treated"]], "treated half", "o-"),
        (half[~half["treated"]], "other half", "s-"),
        (whole, "all treated", "D:"),
    )
    for (rows, label, look), colour in zip(series, palette(3), strict=True):
        shares = rows.groupby([FACTOR, "seed"])["dead"].mean()
        factors = shares.index.unique(0)
        _errorbar(axes, factors, [mean_interval(shares.loc[factor]) for factor in factors], look, colour, label)
    _factor_axis(axes)
    axes.set(ylabel="dead filters, C1 to C6", ylim=(-0.03, 1.03))
    axes.legend()


def _differences(axes: Axes, effects: dict[str, Estimate]) -> None:
    """Treated minus control against the factor, for each law."""
    for (law, label), marker, colour in zip(LAWS.items(), MARKERS, palette(len(LAWS)), strict=True):
        found = {f: effects.get(f"{law}, half × {f:g}: treated minus control") for f in FACTORS}
        there = {factor: one for factor, one in found.items() if one is not None}
        _errorbar(axes, there, list(there.values()), marker + "-", colour, label)
    axes.axhline(0, color="0.6", linewidth=0.6)
    _factor_axis(axes)
    axes.set(ylabel="dead share, treated − other half")
    axes.legend()


def _gates(axes: Axes, effects: dict[str, Estimate]) -> None:
    """Treated minus control for each law, probability and kind of gate."""
    laws = [law for law in LAWS if any(name.startswith(law) for name in effects)]
    kinds = [(kind, q) for kind in ("plain", "restored") for q in (0.1, 0.3)]
    for number, ((kind, q), colour) in enumerate(zip(kinds, palette(4), strict=True)):
        names = {law: f"{law}, {kind} gate {q:g}: treated minus control" for law in laws}
        there = [(place, effects[name]) for place, name in enumerate(names.values()) if name in effects]
        label = f"{'mean restored' if kind == 'restored' else 'plain'}, {q:.0%} pass"
        places = [place + 0.15 * (number - 1.5) for place, _ in there]
        _errorbar(axes, places, [one for _, one in there], MARKERS[number], colour, label)
    axes.axhline(0, color="0.6", linewidth=0.6)
    axes.set_xticks(range(len(laws)), [LAWS[law].replace(" ", "\n", 1) for law in laws])
    axes.set(xlabel="law (gate on the loss gradient of half of the filters)", ylabel="dead share, treated − other half")
    axes.set_ylim(bottom=axes.get_ylim()[0] - 0.35)
    axes.legend(loc="lower right", ncol=2)


def _factors(axes: Axes, table: pd.DataFrame) -> None:
    """Dead share of the treated layers by what is decayed, incoming norms free or clamped."""
    shares = factor_shares(table)
    for number, (norms, colour, marker) in enumerate(zip(("free", "clamped"), palette(2), "os", strict=True)):
        found = [mean_interval(shares[f"{names} {norms}"]) for names in SETS]
        _errorbar(axes, np.arange(len(SETS)) + 0.2 * (number - 0.5), found, marker, colour, f"incoming norms {norms}")
    labels = ["\n+ ".join(SHORT_NAMES[name] for name in names.split("+")) for names in SETS]
    axes.set_xticks(range(len(SETS)), labels)
    axes.set(xlabel="decayed in C2, C4, C6", ylabel="dead filters, C2, C4, C6", ylim=(-0.03, 1.03))
    axes.legend()
