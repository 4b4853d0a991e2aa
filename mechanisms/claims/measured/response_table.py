"""What the layer of competing features and networks answer to the same changes, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import pandas as pd

from mechanisms.claims.measured.responses import Effects, responses
from mechanisms.claims.measured.treated_runs import at_end, dead_shares, gate_effects, rescale_effects
from mechanisms.measures.statistics import Estimate, mean_interval, paired_difference, rank_correlation
from mechanisms.records.loading import Need

ALL_FACTORS = "scale+outgoing+incoming"
USUAL_BATCH = 40
NO_CHANGE = "half × 1:"
"""What names a rescaling that changes nothing, there to compare with."""
SMALL = 0.05
"""A change of the layer's dead share below this says no sign."""


@dataclass(frozen=True)
class Pair:
    """An experiment on the layer, the one on networks that changes the same things, and what names the changes in both."""

    layer: str
    network: str
    effects: Callable[[pd.DataFrame], Effects]
    seeds: int

    def needs(self) -> tuple[Need, Need]:
        """The records of the layer and of networks."""
        return Need("toy", self.layer, seeds=1), Need("full_scale", self.network, seeds=self.seeds)


def decayed_factor_effects(features: pd.DataFrame) -> Effects:
    """Measure the dead share where only some of scale, outgoing and incoming weights are decayed, minus that where all are.

    On networks of the treated layers, with incoming norms free; under coupled L2.
    """
    ends = at_end(features)
    ends = ends[ends["spec.regularizer.coupling"] == "coupled"]
    if "spec.interventions.0.parts" in ends:
        ends = ends[ends["treated"] & ends["spec.interventions.1"].isna()]
        parts = ends["spec.interventions.0.parts"]
    else:
        parts = ends["spec.decayed"]
    names = parts.map(lambda text: "+".join(part for part in ALL_FACTORS.split("+") if part in str(text)))
    shares = {str(name): dead_shares(rows) for name, rows in ends.groupby(names)}
    every = shares.pop(ALL_FACTORS)
    return {f"coupled: only {name} decayed": paired_difference(share, every) for name, share in shares.items()}


def batch_effects(features: pd.DataFrame) -> Effects:
    """Measure the dead share with other sizes of batches at equal steps, minus that with the usual size."""
    ends = at_end(features)
    usual = ends[ends["spec.batch_size"] == USUAL_BATCH]
    ends = ends[ends["spec.steps"] == usual["spec.steps"].iloc[0]]
    others = ends[ends["spec.batch_size"] != USUAL_BATCH].groupby("spec.batch_size")
    return {f"coupled: batches of {size}": paired_difference(dead_shares(rows), dead_shares(usual)) for size, rows in others}


PAIRS = (
    Pair("layer_responses", "responses", responses, 3),
    Pair("layer_rescale", "rescale", rescale_effects, 5),
    Pair("layer_gate", "gate", gate_effects, 5),
    Pair("layer_decayed", "factors", decayed_factor_effects, 5),
    Pair("layer_batch", "batch_size", batch_effects, 3),
)


@dataclass(frozen=True)
class Answer:
    """What one change does to the dead share of the layer and of networks; `kind` is the experiment of the latter."""

    change: str
    kind: str
    layer: Estimate
    network: Estimate


def answers(tables: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]]) -> list[Answer]:
    """List the changes that both were asked, from the tables of the layer and of networks by name of the networks' experiment."""
    found = []
    for pair in PAIRS:
        if pair.network in tables:
            layer, network = (pair.effects(table) for table in tables[pair.network])
            shared = [name for name in layer if name in network and NO_CHANGE not in name]
            found += [Answer(name, pair.network, layer[name], network[name]) for name in shared]
    return found


def agreement(found: list[Answer]) -> Effects:
    """Measure how well the layer tells networks' answers, with changes as replicates: signs, sizes, and order.

    A sign counts where the layer's change is at least `SMALL` and the interval of the networks' excludes 0.
    """
    told = [one for one in found if abs(one.layer.value) >= SMALL and one.network.low * one.network.high > 0]
    errors = [abs(one.layer.value - one.network.value) for one in found]
    order = rank_correlation([one.layer.value for one in found], [one.network.value for one in found])
    return {
        "signs that agree": mean_interval([float(one.layer.value * one.network.value > 0) for one in told]),
        "absolute difference": mean_interval(errors),
        "rank correlation": replace(mean_interval([order]), n=len(found)),
    }
