"""Steps after the update on four numbers, and what must hold of each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mechanisms.law.proximal import AbstractAfterUpdate, Proximal, WeightSampling, soft_threshold, zeroing_probability
from mechanisms.records.specs import choices
from mechanisms.validation import InvalidValue

KINDS = choices(AbstractAfterUpdate)
FOUR = np.array([0.5, -0.3, 0.05, 0.0])
numbers = arrays(np.float64, 20, elements=st.floats(-5, 5))


def applied(step: Any, w: Any, uniform: Any = None, learning_rate: float = 0.1, cost: float = 1.0) -> Any:
    return step.applied(w, learning_rate=learning_rate, cost=cost, uniform=w if uniform is None else uniform)


def test_proximal_on_four_numbers() -> None:
    np.testing.assert_allclose(applied(Proximal(strength=1.0), FOUR), [0.4, -0.2, 0, 0])
    np.testing.assert_allclose(applied(Proximal(strength=1.0), FOUR, cost=2.0), [0.3, -0.1, 0, 0])
    np.testing.assert_allclose(applied(Proximal(strength=1.0, cost_weighted=False), FOUR, cost=2.0), [0.4, -0.2, 0, 0])


def test_sampling_on_four_numbers() -> None:
    step = WeightSampling(probability=0.5, width=0.1)
    chances = 0.5 * np.exp([-5, -3, -0.5, 0])
    np.testing.assert_allclose(zeroing_probability(FOUR, 0.5, 0.1), chances)
    assert applied(step, FOUR, chances * 0.999).tolist() == [0, 0, 0, 0]
    np.testing.assert_array_equal(applied(step, FOUR, chances * 1.001), FOUR)


@given(numbers, st.floats(0, 6))
def test_soft_threshold_minimizes_its_objective(w: np.ndarray, threshold: float) -> None:
    found = soft_threshold(w, threshold)

    def objective(x: np.ndarray) -> np.ndarray:
        return 0.5 * (x - w) ** 2 + threshold * abs(x)

    for other in (found + 1e-3, found - 1e-3, w, 0 * w):
        assert (objective(found) <= objective(other) + 1e-12).all()
    assert (found[abs(w) <= threshold] == 0).all()


@given(numbers)
def test_smaller_weights_are_zeroed_more_often(w: np.ndarray) -> None:
    chances = zeroing_probability(w, 0.3, 0.5)[np.argsort(abs(w))]
    assert (np.diff(chances) <= 0).all()
    assert ((chances >= 0) & (chances <= 0.3)).all()


def test_as_many_are_zeroed_as_expected() -> None:
    rng = np.random.default_rng(0)
    w = rng.normal(size=200_000)
    chances = zeroing_probability(w, 0.4, 0.7)
    found = (applied(WeightSampling(probability=0.4, width=0.7), w, rng.random(w.shape)) == 0).sum()
    assert abs(found - chances.sum()) < 4 * np.sqrt((chances * (1 - chances)).sum())


@given(numbers)
def test_probability_zero_changes_no_bit(w: np.ndarray) -> None:
    uniform = np.random.default_rng(0).random(w.shape)
    uniform[:5] = 0.0
    assert applied(WeightSampling(probability=0.0), w, uniform).tobytes() == w.tobytes()
    assert applied(Proximal(strength=0.0), w).tolist() == w.tolist()


@pytest.mark.parametrize("name", KINDS)
def test_numpy_and_torch_agree(name: str) -> None:
    rng = np.random.default_rng(1)
    w, uniform = rng.normal(size=50).astype(np.float32) / 50, rng.random(50).astype(np.float32) / 100
    found = applied(KINDS[name](), torch.from_numpy(w), torch.from_numpy(uniform))
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), applied(KINDS[name](), w, uniform), rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "fields", "named"),
    [
        (Proximal, {"strength": -1}, "strength"),
        (Proximal, {"every": 0}, "every"),
        (WeightSampling, {"probability": 1.5}, "probability"),
        (WeightSampling, {"width": 0}, "width"),
    ],
)
def test_refuses_invalid_fields_by_name(kind: Any, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidValue, match=named):
        kind(**fields)
