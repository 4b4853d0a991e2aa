"""What a sparsifier achieved: the errors of the network that it trained, as features go without tuning."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from full_scale.measure.channel_products import entropic_column
from full_scale.measure.probes import mixed_order, observe
from full_scale.measure.silencing import without_features
from full_scale.pruning.protocols import finished
from full_scale.pruning.sparsified_spec import SparsifiedSpec
from full_scale.training.context import computing
from full_scale.training.loop import Tables, Training, error_rate, training_memory
from mechanisms.measures.matched_error import BY_ITSELF
from mechanisms.measures.ranking import count_of, removal_order, removed
from mechanisms.measures.removal_scores import SCORES
from mechanisms.measures.sparsity import inactive
from mechanisms.system.context import HERE, RunContext


def run(
    spec: SparsifiedSpec, seed: int, checkpoints: Path | None = None, context: RunContext = HERE
) -> tuple[Tables, dict[str, Any]]:
    """The tables of the training and `removal`, one row a score and ratio, and what the manifest should say.

    `choosing_error` is the error on every second test image in an order that is the same in every run, `judged_error` that on the
    others, so that what is chosen by the former is judged by images that had no say. The row with the criterion "gone" is what is
    gone without removal: silent on the training set, or with all incoming weights, all outgoing weights or the scale exactly 0.

    Raises:
        UserError: a score cannot be measured on this network, or as `full_scale.training.loop.run`.
    """
    with computing(), training_memory(spec.train):
        training = finished(Training(spec.train, seed, checkpoints, context))
        tables, extra = training.result()
        return tables | {"removal": removal_table(spec, training)}, extra


def removal_table(spec: SparsifiedSpec, training: Training) -> pd.DataFrame:
    """See `run`."""
    last = training.tables["features"][-1].reset_index(drop=True)
    if "entropic" in spec.scores:
        last["entropic_weight"] = entropic_column(training, spec.images, spec.entropic_strength)
    own = gone(last)
    rows = [{"criterion": BY_ITSELF, "ratio": math.nan, "removed": own.mean(), **_errors(training, own)}]
    for name in spec.scores:
        order = removal_order(last, SCORES[name](last), "global")
        for ratio in spec.ratios:
            marks = removed(last, order, count_of(last, ratio))
            rows.append({"criterion": name, "ratio": ratio, "removed": marks.mean(), **_errors(training, marks)})
    return pd.DataFrame(rows)


def gone(features: pd.DataFrame) -> pd.Series:
    """Which features are gone without removal; see `run`."""
    exactly = (features[["incoming", "outgoing", "scale"]] == 0).any(axis=1)
    return (exactly | inactive(features)).rename("gone")


def _errors(training: Training, marks: pd.Series) -> dict[str, float]:
    with without_features(training.network, marks, keep_shift=True):
        order = mixed_order(len(training.test))
        halves = [training.test.take(np.sort(order[start::2])) for start in (0, 1)]
        found = [error_rate(observe(training.network, half)) for half in halves]
    return dict(zip(("choosing_error", "judged_error"), found, strict=True))
