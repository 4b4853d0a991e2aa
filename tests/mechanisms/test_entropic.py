"""Entropic regression: the objective falls, weights stay on the simplex and concentrate on what is needed."""

from __future__ import annotations

import numpy as np
import pytest

from mechanisms.measures.entropic_regression import entropic_weights, objective, starting_weights
from mechanisms.validation import InvalidValue


def gram_of(contributions: np.ndarray) -> np.ndarray:
    """Inner products of contributions of shape (samples, channels)."""
    return contributions.T @ contributions


@pytest.mark.parametrize("strength", [0.0, 0.03, 0.3])
def test_the_objective_falls_and_the_weights_are_shares(strength: float) -> None:
    gram = gram_of(np.random.default_rng(0).normal(1.0, 1.0, (50, 8)))
    found = entropic_weights(gram, strength)
    assert found.sum() == pytest.approx(1)
    assert (found >= 0).all()
    assert objective(gram, found, strength) < objective(gram, starting_weights(gram), strength)


def test_without_entropy_equal_weights_are_already_the_best() -> None:
    gram = gram_of(np.random.default_rng(0).normal(1.0, 1.0, (50, 8)))
    assert objective(gram, np.full(8, 1 / 8), 0.0) == pytest.approx(0, abs=1e-12)
    assert objective(gram, entropic_weights(gram, 0.0), 0.0) < 1e-4


def test_on_four_numbers() -> None:
    """Orthogonal channels of energies 4, 3, 2, 1 at equal weights: no error, entropy 1; on the first alone 1 − 4/10."""
    gram = np.diag([4.0, 3.0, 2.0, 1.0])
    assert objective(gram, np.full(4, 0.25), 0.5) == pytest.approx(0.5)
    assert objective(gram, np.array([1.0, 0, 0, 0]), 0.5) == pytest.approx(0.6)


def test_what_gives_nothing_gets_nothing() -> None:
    contributions = np.random.default_rng(1).normal(1.0, 1.0, (60, 6))
    contributions[:, 3:] *= 1e-3
    found = entropic_weights(gram_of(contributions), 0.1)
    assert found[3:].max() < 1e-3 * found[:3].max()


def test_of_twins_one_is_enough() -> None:
    """Channels 0 and 1 are alike but for a little: with entropy as penalty the weight goes to few, and little is lost."""
    one = np.random.default_rng(2).normal(1.0, 1.0, (60, 4))
    contributions = np.column_stack([one[:, 0] * 1.01, one[:, 0], one[:, 1:]])
    gram = gram_of(contributions)
    found = entropic_weights(gram, 0.3)
    assert found[1] < 0.1 * found[0]


def test_the_scale_of_what_is_computed_does_not_matter() -> None:
    gram = gram_of(np.random.default_rng(3).normal(1.0, 1.0, (50, 5)))
    np.testing.assert_allclose(entropic_weights(100 * gram), entropic_weights(gram), rtol=1e-6)


def test_no_square_is_refused() -> None:
    with pytest.raises(InvalidValue, match="square"):
        entropic_weights(np.zeros((2, 3)))
