"""The first step below a threshold, beside what the closed forms say: on a planted decay."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mechanisms.measures.first_passage import passages
from mechanisms.theory.feature import decay_time, mean_field_decay_time

SPEC = {
    "spec.regularizer.strength": 1e-4,
    "spec.gradient.sigma": 1e-4,
    "spec.initial_scale": 1.0,
    "spec.learning_rate": 1e-3,
    "spec.rule.beta1": 0.9,
    "spec.rule.beta2": 0.99,
}


def decaying(rate: float, seed: int) -> pd.DataFrame:
    """Two features around e^(−rate·step)."""
    steps = np.arange(1, 101)
    parts = [pd.DataFrame({"step": steps, "feature": k, "scale": np.exp(-rate * steps) + 0.01 * (-1) ** k}) for k in (0, 1)]
    return pd.concat(parts).assign(seed=seed, **SPEC)


def test_the_mean_of_the_features_is_followed_and_runs_that_stay_above_are_left_out() -> None:
    found = passages(pd.concat([decaying(0.1, 0), decaying(0.05, 1), decaying(0.001, 2)]))
    assert found["simulated"].tolist() == [24, 47]  # the first whole steps after ln(10)/rate
    assert found["crossover"].tolist() == [1.0, 1.0]


def test_predictions_are_those_of_the_settings() -> None:
    row = passages(decaying(0.1, 0)).iloc[0]
    law = {"learning_rate": 1e-3, "strength": 1e-4, "sigma": 1e-4}
    assert row["closed_form"] == pytest.approx(float(decay_time(1.0, 0.1, **law)))
    assert row["mean_field"] == mean_field_decay_time(1.0, 0.1, beta1=0.9, beta2=0.99, most=10**6, **law)
