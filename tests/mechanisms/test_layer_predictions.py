"""Closed forms for products and layers, against computations that do not use them."""

import numpy as np
import pytest

from mechanisms.law.regularizers import COUPLINGS, L2
from mechanisms.law.update_rules import SGD, Adam
from mechanisms.theory.layer import balance_gap, layer_sum, measured_penalty_exponent, penalty_exponent


@pytest.mark.parametrize("factors", [2, 3, 4])
def test_l2_on_balanced_factors_is_a_power_of_the_product(factors):
    """min Σ w²/2 over w with Πw = u, found by brute force over one factor at a time: its slope in log u is 2/n."""
    u = np.array([0.01, 1.0])
    penalty = factors * u ** (2 / factors) / 2
    rng = np.random.default_rng(0)
    for value, least in zip(u, penalty, strict=True):
        free = np.exp(rng.normal(np.log(value) / factors, 1, (20_000, factors - 1)))
        last = value / free.prod(axis=1)
        assert (0.5 * ((free**2).sum(axis=1) + last**2)).min() >= least * (1 - 1e-12)
    slope = np.diff(np.log(penalty))[0] / np.diff(np.log(u))[0]
    assert penalty_exponent(Adam(), L2(coupling="coupled"), factors=factors) == pytest.approx(slope)


def test_normalized_decay_has_another_exponent():
    expected = {"coupled": (1.0, 1.0), "decoupled": (1.5, 1.0), "independent": (1.5, 1.0)}
    for coupling in COUPLINGS:
        law = L2(coupling=coupling)
        assert (penalty_exponent(Adam(), law), penalty_exponent(SGD(), law)) == expected[coupling]


@pytest.mark.parametrize("alpha", [1.0, 1.5, 2.0])
def test_the_exponent_is_recovered_from_where_products_settle(alpha):
    settled = np.linspace(0.1, 1.0, 9)
    target = settled + 0.05 * settled ** (alpha - 1)
    found, error = measured_penalty_exponent(target, settled)
    assert found == pytest.approx(alpha, abs=1e-9)
    assert error < 1e-6


def test_too_few_products_are_refused():
    with pytest.raises(ValueError, match="weaker strength"):
        measured_penalty_exponent([1.0, 1.0, 1.0], [0.0, 0.0, 0.5])


def test_balance_of_a_product_under_gradient_descent():
    """γ² − v² of gradient descent on k(γv − a)²/2 + λ(γ² + v²)/2, written out; the step is small."""
    scale, outgoing, rate, strength = 1.0, 0.3, 1e-3, 0.05
    for _ in range(5000):
        h = 2.0 * (scale * outgoing - 0.7)
        scale, outgoing = scale - rate * (h * outgoing + strength * scale), outgoing - rate * (h * scale + strength * outgoing)
    predicted = balance_gap(1.0 - 0.09, 5000, SGD(), L2(strength=strength), learning_rate=rate)
    assert scale**2 - outgoing**2 == pytest.approx(predicted, rel=2e-3)


def test_sum_of_a_normalized_layer_under_gradient_descent():
    """Σγ² under the loss |γ/‖γ‖ − t|²/2, which is scale-invariant, with L2; gradient by central differences."""
    target, rate, strength, h = np.array([0.6, 0.8, 0.0]), 1e-2, 0.02, 1e-6
    loss = lambda g: 0.5 * ((g / np.linalg.norm(g) - target) ** 2).sum()  # noqa: E731
    gamma = np.array([1.0, 0.2, 0.5])
    start = gamma @ gamma
    for _ in range(2000):
        slope = [(loss(gamma + h * e) - loss(gamma - h * e)) / (2 * h) for e in np.eye(3)]
        gamma = gamma - rate * (np.array(slope) + strength * gamma)
    predicted = layer_sum(start, 2000, SGD(), L2(strength=strength), learning_rate=rate)
    assert gamma @ gamma == pytest.approx(predicted, rel=5e-3)
