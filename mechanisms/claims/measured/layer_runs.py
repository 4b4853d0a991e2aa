"""What was measured on layers of competing features: every quantity that the hypotheses about them predict, by name.

Replicates of a seed are paired: all settings share their draws. A setting is named by its coupling and what is changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd

from mechanisms.law.regularizers import L2
from mechanisms.measures.sparsity import inactive
from mechanisms.measures.statistics import Estimate, auc, mean_interval, paired_difference
from mechanisms.theory.incoming import equilibrium_norm, runaway_threshold

Effects = dict[str, Estimate]
KEYS = ["seed", "replicate"]
ALL, INCOMING_FREE, OUTGOING_FREE = "incoming+scale+outgoing", "scale+outgoing", "incoming+scale"
FIRST = "interventions.0"
PLAIN: dict[str, object] = {FIRST: None, "decayed": ALL}
EARLY, BEFORE_THE_FALL = 0.1, 0.6
"""Fractions of a run: where the future is told, and the last moment at the full learning rate."""


def at(features: pd.DataFrame, fraction: float = 1.0) -> pd.DataFrame:
    """The rows recorded at a fraction of each run, with `dead`."""
    steps = features["spec.steps"]
    rows = features[features["step"] == (fraction * steps).round()]
    return rows.assign(dead=inactive(rows).astype(float))


def of(rows: pd.DataFrame, coupling: str = "coupled", /, **fields: object) -> pd.DataFrame:
    """The rows of the settings with these fields; `__` stands for a dot, None for a field that a setting has not."""
    named = {"regularizer__coupling": coupling, **fields}
    for name, value in {key.replace("__", "."): value for key, value in named.items()}.items():
        column = rows.get(f"spec.{name}")
        if value is None:
            rows = rows if column is None else rows[column.isna()]
        else:
            rows = rows.iloc[:0] if column is None else rows[column == value]
    return rows


def shares(rows: pd.DataFrame) -> pd.Series:
    """(seed, replicate) → dead share."""
    return rows.groupby(KEYS)["dead"].mean()


def against(one: pd.DataFrame, other: pd.DataFrame) -> Estimate:
    """Dead share of one setting minus that of another, paired."""
    return paired_difference(shares(one), shares(other))


def two_ways_effects(features: pd.DataFrame) -> Effects:
    """Of both couplings: each change minus the plain setting; and how small the dead features' incoming weights are."""
    found: Effects = {}
    ends, starts = at(features), at(features, 0.0)
    for coupling in ("coupled", "decoupled"):
        rows = of(ends, coupling)
        plain = of(rows, coupling, **PLAIN)
        clamped = {FIRST: "clamp_norm", "decayed": ALL}
        changes = {
            "floor": of(rows, coupling, **clamped, **{f"{FIRST}.floor": 0.03}),
            "norms held": of(rows, coupling, **clamped, **{f"{FIRST}.floor": 1.0}),
            "incoming free": of(rows, coupling, **{**PLAIN, "decayed": INCOMING_FREE}),
            "outgoing free": of(rows, coupling, **{**PLAIN, "decayed": OUTGOING_FREE}),
        }
        found |= {f"{coupling}: {name} minus plain": against(one, plain) for name, one in changes.items()}
        both = of(rows, coupling, **{FIRST: "clamp_norm", "decayed": OUTGOING_FREE})
        found[f"{coupling}: floor and outgoing free minus floor"] = against(both, changes["floor"])
        found[f"{coupling}: floor minus incoming free"] = against(changes["floor"], changes["incoming free"])
        first = of(starts, coupling, **PLAIN).set_index([*KEYS, "feature"])["incoming"]
        dead = plain[plain["dead"] == 1].set_index([*KEYS, "feature"])["incoming"]
        found[f"{coupling}: incoming norm of the dead over its start"] = _median(dead / first.reindex(dead.index))
    return found


def _median(values: pd.Series) -> Estimate:
    """The mean over replicates of the median of each."""
    return _mean(values.groupby(level=KEYS).median())


def _mean(values: pd.Series) -> Estimate:
    """With its interval; no number where there is nothing to take it of."""
    return mean_interval(values) if len(values) else Estimate(math.nan, math.nan, math.nan, 0)


def runaway_effects(features: pd.DataFrame) -> Effects:
    """Who dies by the size of incoming gradients; what the rate and the number of inputs do; norms over their equilibrium."""
    found, ends = {}, at(features)
    for coupling in ("coupled", "decoupled"):
        slow, plain = (of(ends, coupling, learning_rate=rate, inputs=16, **PLAIN) for rate in (2.5e-3, 1e-2))
        found[f"{coupling}: a quarter of the rate, four times the steps, minus plain"] = against(slow, plain)
        found[f"{coupling}: incoming norm over its equilibrium"] = _over_equilibrium(features, coupling)
    by_inputs = [
        shares(of(ends, inputs=inputs, learning_rate=1e-2, **PLAIN))
        - shares(of(ends, inputs=inputs, learning_rate=1e-2, **{**PLAIN, "decayed": INCOMING_FREE}))
        for inputs in (64, 16)
    ]
    found["coupled: deaths by incoming decay, 64 inputs minus 16"] = paired_difference(*by_inputs)
    return found | _who(features, ends)


def _law(rows: pd.DataFrame) -> tuple[L2, dict[str, float]]:
    """The regularizer of a single setting, its rate and its number of inputs."""
    first = rows.iloc[0]
    law = L2(strength=float(first["spec.regularizer.strength"]), coupling=str(first["spec.regularizer.coupling"]))
    return law, {"learning_rate": float(first["spec.learning_rate"]), "inputs": float(first["spec.inputs"])}


def _over_equilibrium(features: pd.DataFrame, coupling: str) -> Estimate:
    """At the end of the full rate, of living features above the threshold."""
    rows = of(at(features, BEFORE_THE_FALL), coupling, learning_rate=1e-2, inputs=16, **PLAIN)
    law, where = _law(rows)
    steady = rows[(rows["dead"] == 0) & (rows["incoming_gradient"] > runaway_threshold(law, **where))]
    expected = equilibrium_norm(law, **where, gradient=steady["incoming_gradient"].to_numpy())
    return _median(steady.set_index(KEYS)["incoming"] / expected)


def _who(features: pd.DataFrame, ends: pd.DataFrame) -> Effects:
    keys = [*KEYS, "feature"]
    fields = {"learning_rate": 1e-2, "inputs": 16, **PLAIN}
    early, last = (of(rows, **fields).set_index(keys) for rows in (at(features, EARLY), ends))
    early = early.assign(dies=last["dead"])[early["dead"] == 0]
    law, where = _law(last)
    threshold = float(runaway_threshold(law, **where))
    by_gradient, by_scale = (_aucs(early, name) for name in ("incoming_gradient", "scale"))
    history = of(features, **fields)
    history = history.assign(dead=inactive(history), below=history["incoming_gradient"] < threshold).sort_values("step")
    alive = history[~history["dead"]].groupby(keys)["below"].last()
    doomed = alive.reindex(last.index[last["dead"] == 1]).fillna(False).astype(float)
    return {
        "coupled: share below the threshold at 10 %": _share(early["incoming_gradient"] < threshold),
        "coupled: AUC of a small incoming gradient at 10 %, minus ½": _mean(by_gradient - 0.5),
        "coupled: the same, minus that of a small scale": paired_difference(by_gradient, by_scale),
        "coupled: share of the dead that were below the threshold when last seen alive": _share(doomed),
    }


def _aucs(early: pd.DataFrame, column: str) -> pd.Series:
    """(seed, replicate) → AUC of a small value for death; without those where all or none die."""
    found = {key: auc(-one[column].abs(), one["dies"]) for key, one in early.groupby(KEYS)}
    return pd.Series(found).rename_axis(KEYS).dropna()


def _share(marks: pd.Series) -> Estimate:
    return _mean(marks.groupby(level=KEYS).mean())


def epsilon_effects(features: pd.DataFrame) -> Effects:
    """Of both couplings: the dead share at one ε minus that at another."""
    ends = at(features)
    return {
        f"{coupling}: ε {one:g} minus {other:g}": against(*(of(ends, coupling, batchnorm_epsilon=e) for e in (one, other)))
        for coupling in ("coupled", "decoupled")
        for one, other in ((1e-3, 1e-10), (1e-5, 1e-10), (1e-2, 1e-5))
    }


def gate_effects(features: pd.DataFrame) -> Effects:
    """Restored gates: treated minus control, treated and control minus the same features untouched, by what is gated."""
    ends, found = at(features), {}
    untouched, gates = of(ends, **PLAIN), of(ends, **{FIRST: "gate"})
    gates = gates.assign(treated=gates["treated"].astype(bool))
    for (parts, probability), rows in gates.groupby([f"spec.{FIRST}.parts", f"spec.{FIRST}.probability"]):
        label = f"restored gate {probability:g} on {'all' if str(parts).count('+') == 3 else parts}"
        halves = rows[rows["treated"]], rows[~rows["treated"]]
        found[f"{label}: treated minus control"] = against(*halves)
        found[f"{label}: treated minus untouched"] = against(halves[0], untouched)
        found[f"{label}: control minus untouched"] = against(halves[1], untouched)
    return found


def noise_effects(features: pd.DataFrame) -> Effects:
    """Dead shares without the noise of batches, and what gates and rates change."""
    ends, found = at(features), {}
    for coupling in ("coupled", "decoupled"):
        rates = {rate: of(ends, coupling, learning_rate=rate, batch_size=40, **PLAIN) for rate in (1e-3, 3e-3, 1e-2)}
        full = of(ends, coupling, batch_size=1000, **PLAIN)
        found[f"{coupling}: dead in full batches"] = mean_interval(shares(full))
        found[f"{coupling}: dead at rate 0.001"] = mean_interval(shares(rates[1e-3]))
        found[f"{coupling}: rate 0.003 minus 0.01"] = against(rates[3e-3], rates[1e-2])
    plain = of(ends, learning_rate=1e-2, batch_size=40, **PLAIN)
    for probability in (0.1, 0.3):
        gated = of(ends, batch_size=1000, **{FIRST: "gate", f"{FIRST}.probability": probability})
        found[f"coupled: full batches with gates of {probability:g} minus batches of 40"] = against(gated, plain)
    return found


def survivor_effects(features: pd.DataFrame) -> Effects:
    """Slopes of the logarithm of the number of survivors, and numbers of survivors over that of the standard setting."""
    ends = at(features)
    names = ("features", "teacher_features", "regularizer__strength")
    standard = {"features": 32, "teacher_features": 6, "regularizer__strength": 3e-3}

    def alive(**fields: float) -> pd.Series:
        rows = of(ends, **{**standard, **fields})
        return rows.assign(alive=1 - rows["dead"]).groupby(KEYS)["alive"].sum().clip(lower=0.5)

    pairs = ((16, 128), (2, 16), (1.5e-3, 6e-3))
    found = {
        f"slope of survivors in {name.replace('__', '.')}": _slope(alive(**{name: pair[0]}), alive(**{name: pair[1]}), pair)
        for name, pair in zip(names, pairs, strict=True)
    }
    together = ((64, 3, 3e-3), (64, 6, 6e-3), (32, 12, 6e-3), (128, 6, 12e-3))
    for values in together:
        label = "survivors over the standard's: {:g} features, {:g} needed, strength {:g}".format(*values)
        found[label] = mean_interval(alive(**dict(zip(names, values, strict=True))) / alive().mean())
    return found


def _slope(first: pd.Series, second: pd.Series, places: tuple[float, float]) -> Estimate:
    return mean_interval(np.log(second / first) / math.log(places[1] / places[0]))


EFFECTS: dict[str, Callable[[pd.DataFrame], Effects]] = {
    "layer_two_ways": two_ways_effects,
    "layer_runaway": runaway_effects,
    "layer_epsilon": epsilon_effects,
    "layer_gate_parts": gate_effects,
    "layer_noise": noise_effects,
    "layer_survivors": survivor_effects,
}
"""Experiment → all that is measured on it."""
