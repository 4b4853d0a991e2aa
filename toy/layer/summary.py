"""The table that `python -m toy run` prints of layers: the end of every setting, over replicates and seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mechanisms.measures.sparsity import CRITERIA, histories, inactive, sparsity
from mechanisms.measures.statistics import mean_interval
from mechanisms.records.columns import SPEC_PREFIX, distinguishing
from mechanisms.records.specs import flatten
from mechanisms.records.store import Store
from mechanisms.system.progress import say
from toy.layer.spec import LayerSpec


def summarize(store: Store, specs: tuple[LayerSpec, ...], seeds: tuple[int, ...]) -> pd.DataFrame:
    """One row a spec: the fields that vary, n = replicates × seeds, and means over them at the last step.

    `sparsity` is the share of dead features by activation, with its 95 % interval; `sparsity_by_scale` that by |scale|; `revived`
    the share that was dead at an earlier record and is not at the end. Where interventions treat some features of each layer,
    `treated` and `control` are the dead shares of those and of the others.
    """
    fields = pd.DataFrame([{name: _shown(value) for name, value in flatten(spec).items()} for spec in specs])
    own = distinguishing(fields.columns.tolist(), fields)
    return pd.concat([fields[own], pd.DataFrame([_row(store, spec, seeds) for spec in specs])], axis=1)


def _shown(value: Any) -> Any:
    return "+".join(map(str, value)) or "none" if isinstance(value, tuple) else value


def _row(store: Store, spec: LayerSpec, seeds: tuple[int, ...]) -> dict[str, Any]:
    features, curve = (store.collect((spec,), seeds, table) for table in ("features", "curve"))
    features = features.drop(columns=[name for name in features.columns if name.startswith(SPEC_PREFIX)])  # of one setting
    end, loss = features[features["step"] == spec.steps], curve[curve["step"] == spec.steps]["train_loss"]
    lost = int((~np.isfinite(loss)).sum())
    if lost:
        say(f"{lost} of {len(loss)} replicates diverged; use a smaller learning_rate or strength")
    shares = {by: sparsity(end, by)["sparsity"] for by in CRITERIA}
    found, counts = mean_interval(shares["activation"]), histories(features)
    return {
        "n": found.n,
        "sparsity": found.value,
        "sparsity_low": found.low,
        "sparsity_high": found.high,
        "sparsity_by_scale": shares["scale"].mean(),
        "revived": (counts["revived"] / counts["features"]).mean(),
        "train_loss": loss.mean(),
        **_halves(end),
    }


def _halves(end: pd.DataFrame) -> dict[str, float]:
    if "treated" not in end or end["treated"].nunique() < 2:
        return {}
    shares = pd.Series(inactive(end).to_numpy(float)).groupby(end["treated"].to_numpy(bool)).mean()
    return {"treated": shares[True], "control": shares[False]}
