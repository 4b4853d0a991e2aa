"""What interventions did to networks: every quantity that the hypotheses about them predict, by name, from the records.

A share of dead filters leaves out the last layer of filters: what reads it is a linear head without BatchNorm, so the laws of
competition do not hold there. Dead is by activation, if nothing else is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import SGD
from mechanisms.measures.sparsity import inactive
from mechanisms.measures.statistics import Estimate, mean_interval, paired_difference
from mechanisms.theory.feature import decay_rate
from mechanisms.theory.layer import balance_gap, layer_sum

LAST = "conv7"
SMALL_SCALE = 1e-2
"""|scale| below which a filter counts as collapsed where it can never be silent."""
RULE, COUPLING, FIRST = "spec.rule", "spec.regularizer.coupling", "spec.interventions.0"


def at_end(features: pd.DataFrame) -> pd.DataFrame:
    """The rows of the last step but those of the last layer, with `dead` and `law`, such as "adam coupled"."""
    last = features[(features["step"] == features["spec.steps"]) & (features["layer"] != LAST)]
    return last.assign(dead=inactive(last).astype(float), law=last[RULE] + " " + last[COUPLING])


def dead_shares(rows: pd.DataFrame) -> pd.Series:
    """Share of dead filters of each seed, or of each replicate of a seed."""
    return rows.groupby([key for key in ("seed", "replicate") if key in rows])["dead"].mean()


def _within(rows: pd.DataFrame) -> Estimate:
    """Treated minus untreated filters of the same networks."""
    return paired_difference(dead_shares(rows[rows["treated"]]), dead_shares(rows[~rows["treated"]]))


def rescale_effects(features: pd.DataFrame) -> dict[str, Estimate]:
    """Of every law and factor: treated minus control, control minus untouched, all treated minus untouched."""
    found = {}
    for law, runs in at_end(features).groupby("law"):
        half, whole = (runs[runs[f"{FIRST}.filters"] == name] for name in ("random", "all"))
        untouched = half[half[f"{FIRST}.factor"] == 1]
        for factor, rows in half.groupby(f"{FIRST}.factor"):
            found[f"{law}, half × {factor:g}: treated minus control"] = _within(rows)
            shift = paired_difference(dead_shares(rows[~rows["treated"]]), dead_shares(untouched))
            found[f"{law}, half × {factor:g}: control minus untouched"] = shift
        for factor, rows in whole.groupby(f"{FIRST}.factor"):
            shift = paired_difference(dead_shares(rows), dead_shares(untouched))
            found[f"{law}, all × {factor:g}: minus untouched"] = shift
    return found


def gate_effects(features: pd.DataFrame) -> dict[str, Estimate]:
    """Of every law, probability and kind of gate: treated minus control."""
    keys = ["law", f"{FIRST}.probability", f"{FIRST}.mean_restored"]
    return {
        f"{law}, {'restored' if restored else 'plain'} gate {q:g}: treated minus control": _within(rows)
        for (law, q, restored), rows in at_end(features).groupby(keys)
    }


def factor_shares(features: pd.DataFrame) -> dict[str, pd.Series]:
    """Which factors are decayed, such as "scale+incoming clamped", → seed → dead share of the treated layers."""
    ends = at_end(features)
    ends = ends[ends["treated"]]
    clamped = ends["spec.interventions.1"].notna() if "spec.interventions.1" in ends else pd.Series(False, ends.index)
    names = ends[f"{FIRST}.parts"].map(_factors) + np.where(clamped, " clamped", " free")
    return {str(name): dead_shares(rows) for name, rows in ends.groupby(names)}


def _factors(parts: Any) -> str:
    return "+".join(part for part in ("scale", "outgoing", "incoming") if part in str(parts))


def factor_effects(features: pd.DataFrame) -> dict[str, Estimate]:
    """Dead share of the treated layers: every set of decayed factors less every smaller one, and free less clamped norms."""
    shares = factor_shares(features)
    found = {}
    for name, share in shares.items():
        factors, norms = name.split(" ")
        found[f"{name}: dead share"] = mean_interval(share)
        for less in factors.split("+") if "+" in factors else ():
            fewer = "+".join(factor for factor in factors.split("+") if factor != less)
            found[f"{norms}: {factors} minus {fewer}"] = paired_difference(share, shares[f"{fewer} {norms}"])
        if norms == "free":
            found[f"{factors}: free minus clamped"] = paired_difference(share, shares[f"{factors} clamped"])
    return found


def barrier_effects(features: pd.DataFrame) -> dict[str, Estimate]:
    """Share of collapsed scales: the untouched training against those without a silent region."""
    ends = at_end(features)
    collapsed = ends.assign(dead=inactive(ends, "scale", SMALL_SCALE).astype(float))
    leaky, frozen = ends["spec.network.negative_slope"] > 0, ends[FIRST].notna()
    base, found = dead_shares(collapsed[~leaky & ~frozen]), {}
    for name, marks in (("shifts frozen", frozen), ("leaky ReLU", leaky)):
        share = dead_shares(collapsed[marks])
        found[f"small scales, untouched minus {name}"] = paired_difference(base, share)
        found[f"small scales, {name} minus half of untouched"] = paired_difference(share, base / 2)
    return found


def full_batch_effects(features: pd.DataFrame) -> dict[str, Estimate]:
    """Dead share with batches of the usual size less that with full batches."""
    ends = at_end(features)
    full = ends["spec.batch_size"] > ends["spec.batch_size"].min()
    return {"dead, batch minus full batch": paired_difference(dead_shares(ends[~full]), dead_shares(ends[full]))}


def layer_sums(features: pd.DataFrame) -> pd.DataFrame:
    """One row a run, layer and step: Σ(γ² + β²), Σ‖outgoing‖², without the last layer."""
    inner = features[features["layer"] != LAST]
    squares = inner.assign(affine=inner["scale"] ** 2 + inner["shift"] ** 2, outgoing=inner["outgoing"] ** 2)
    keys = [RULE, COUPLING, "spec.regularizer.strength", "spec.learning_rate", "spec.rule.momentum", "seed", "layer", "step"]
    return squares.groupby([key for key in keys if key in squares], dropna=False)[["affine", "outgoing"]].sum().reset_index()


def balance_effects(features: pd.DataFrame) -> dict[str, Estimate]:
    """Under SGD at the first recorded step: a layer's sum, and its balance with the outgoing weights, beside their laws."""
    sums = layer_sums(features)
    return dict(_balance(sums[sums[RULE] == "sgd"]))


def _balance(sums: pd.DataFrame) -> Iterator[tuple[str, Estimate]]:
    first = sums[sums["step"] == sorted(sums["step"].unique())[1]]
    start = sums[sums["step"] == 0]
    both = first.merge(start, on=["spec.regularizer.strength", "seed", "layer"], suffixes=("", "_0"))
    for strength, rows in both.groupby("spec.regularizer.strength"):
        law = (SGD(momentum=float(rows["spec.rule.momentum"].iloc[0])), L2(strength=float(str(strength))))
        rate = float(rows["spec.learning_rate"].iloc[0])
        fall = layer_sum(rows["affine_0"], rows["step"], *law, learning_rate=rate)
        gaps = [rows[f"affine{end}"] - rows[f"outgoing{end}"] for end in ("", "_0")]
        left = balance_gap(gaps[1], rows["step"], *law, learning_rate=rate)
        name = "decayed" if decay_rate(*law, learning_rate=rate) > 0 else "free"
        yield f"sgd {name}: layer sum over its law", _per_seed(rows, rows["affine"] / fall)
        yield f"sgd {name}: balance minus its law, over its start", _per_seed(rows, (gaps[0] - left) / gaps[1].abs())


def _per_seed(rows: pd.DataFrame, values: pd.Series) -> Estimate:
    return mean_interval(values.groupby(rows["seed"]).mean())
