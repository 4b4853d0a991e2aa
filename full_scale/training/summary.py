"""What the command line prints after a run: one row a spec, over its seeds."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from full_scale.training.spec import TrainSpec
from mechanisms.law.regularizers import L2
from mechanisms.measures.sparsity import CAUSES, CRITERIA, died_of, histories, sparsity
from mechanisms.records.columns import distinguishing
from mechanisms.records.specs import flatten
from mechanisms.records.store import Store
from mechanisms.theory.feature import decay_budget
from mechanisms.validation import InvalidValue


def summarize(store: Store, specs: tuple[TrainSpec, ...], seeds: tuple[int, ...]) -> pd.DataFrame:
    """One row a spec: what it is, how sparse it ended, its errors, and how far its decay alone could have gone.

    Means over the seeds; `sparsity_min` and `sparsity_max` are the extremes of the sparsity by activation, `died_by_…` its parts
    by what features died of. `ever_dead` and `revived` count features, by activation; `decay_budget` is the closed form at the
    median measured denominator of the scales.
    """
    labels = pd.DataFrame([_label(spec) for spec in specs])
    fields = pd.DataFrame([{k: v for k, v in flatten(spec).items() if not isinstance(v, tuple)} for spec in specs])
    fields = fields.drop(columns=[name for name in labels if name in fields])
    own = [name for name in distinguishing([*labels, *fields], labels.join(fields)) if name in fields]
    return pd.concat([labels, fields[own], pd.DataFrame([_row(store, spec, seeds) for spec in specs])], axis=1)


def _label(spec: TrainSpec) -> dict[str, Any]:
    return {
        "rule": spec.rule.name,
        "coupling": spec.regularizer.coupling if spec.regularizer.strength else "none",
        "strength": spec.regularizer.strength,
        "learning_rate": spec.learning_rate,
    }


def _row(store: Store, spec: TrainSpec, seeds: tuple[int, ...]) -> dict[str, Any]:
    features, curve = (store.collect((spec,), seeds, table) for table in ("features", "curve"))
    ends = {f"sparsity_by_{by}": _last(sparsity(features, by), spec)["sparsity"] for by in CRITERIA}
    died = _last(died_of(features), spec)
    ends |= {f"died_by_{name.replace(' ', '_')}": died[name] for name in CAUSES}
    ends |= {name: _last(curve, spec)[name] for name in ("test_error", "train_loss")}
    row: dict[str, Any] = {"seeds": len(seeds)}
    by_activation = ends["sparsity_by_activation"]
    row |= {
        "sparsity_by_activation": by_activation.mean(),
        "sparsity_min": by_activation.min(),
        "sparsity_max": by_activation.max(),
    }
    row |= {name: values.mean() for name, values in ends.items()}
    counts = histories(features)
    row |= {"decay_budget": decay_budget_of(spec, features)}
    return row | {"ever_dead": counts["ever_inactive"].mean(), "revived": counts["revived"].mean()}


def _last(table: pd.DataFrame, spec: TrainSpec) -> pd.DataFrame:
    return table[table["step"] == spec.steps]


def decay_budget_of(spec: TrainSpec, features: pd.DataFrame) -> float:
    """The closed-form decay budget of the BatchNorm scales; where the rule divides the decay too, by its median denominator.

    0 where the scales are not decayed, NaN for a regularizer other than L2, whose decay is not exponential, where an intervention
    changes the decay, and where there is no closed form: a decay that diverges, no denominator measured.
    """
    if any(one.changes_decay for one in spec.interventions):
        return math.nan
    if spec.decayed not in ("all", "norm"):
        return 0.0
    if not isinstance(spec.regularizer, L2):
        return math.nan
    divided = spec.rule.normalizing and spec.regularizer.coupling == "coupled"
    try:
        return decay_budget(
            spec.rule,
            spec.regularizer,
            learning_rate=spec.learning_rate,
            effective_steps=spec.schedule.effective_steps(spec.steps),
            denominator=float(features["denominator"].median()) if divided else None,
        )
    except InvalidValue:
        return math.nan
