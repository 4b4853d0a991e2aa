"""The split of an update into loss force and regularizer force, and the three couplings."""

import numpy as np
import pytest

from mechanisms.law.dynamics import init, step
from mechanisms.law.regularizers import COUPLINGS, L2, AbstractRegularizer
from mechanisms.law.update_rules import SGD, AbstractUpdateRule, Adam
from mechanisms.records.specs import choices

RULES, REGULARIZERS = choices(AbstractUpdateRule), choices(AbstractRegularizer)


def trajectory(rule, regularizer, steps=60, rate=0.01, scales=None):
    rng = np.random.default_rng(3)
    w = np.array([1.0, -0.4, 0.05])
    state = init(w, rule=rule, regularizer=regularizer)
    for t in range(steps):
        scale = 1.0 if scales is None else scales[t]
        result = step(w, rng.normal(size=3) * [1e-5, 1e-2, 1], state, rule=rule, regularizer=regularizer,
                      learning_rate=rate, schedule_scale=scale)  # fmt: skip
        yield w, result
        w, state = result.w, result.state


@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("penalty", REGULARIZERS)
@pytest.mark.parametrize("name", RULES)
def test_forces_add_up_to_the_update(name, penalty, coupling):
    regularizer = REGULARIZERS[penalty](strength=0.3, coupling=coupling)
    for before, result in trajectory(RULES[name](), regularizer):
        change = result.w - before
        np.testing.assert_allclose(result.loss_force + result.reg_force, change, rtol=1e-12, atol=4e-16)
        assert result.denominator.shape == before.shape


@pytest.mark.parametrize("name", RULES)
def test_no_strength_no_regularizer_force(name):
    for _, result in trajectory(RULES[name](), L2(strength=0.0)):
        assert not result.reg_force.any()


@pytest.mark.parametrize("penalty", REGULARIZERS)
@pytest.mark.parametrize("name", RULES)
def test_independent_is_decoupled_with_strength_over_base_rate(name, penalty):
    rate, scales = 0.01, np.linspace(1, 0.1, 60)
    one = REGULARIZERS[penalty](strength=0.02, coupling="independent")
    other = REGULARIZERS[penalty](strength=0.02 / rate, coupling="decoupled")
    for (_, a), (_, b) in zip(
        trajectory(RULES[name](), one, rate=rate, scales=scales),
        trajectory(RULES[name](), other, rate=rate, scales=scales),
        strict=True,
    ):
        np.testing.assert_allclose(a.w, b.w, rtol=1e-13)
        np.testing.assert_allclose(a.reg_force, b.reg_force, rtol=1e-13)


def test_regularizer_force_of_coupled_sgd_is_its_own_filter():
    """Under momentum the regularizer force is −η Σ μ^k λ w_{t−k}, computed here from the weights alone."""
    rule, strength, rate = SGD(momentum=0.5), 0.1, 0.01
    weights = []
    for before, result in trajectory(rule, L2(strength=strength), rate=rate):
        weights.append(before)
        expected = -rate * sum(0.5**k * strength * w for k, w in enumerate(reversed(weights)))
        np.testing.assert_allclose(result.reg_force, expected, rtol=1e-12)


@pytest.mark.parametrize("w", [[1, 2], 3, np.array([1.0, 2.0], np.float32)])
def test_takes_lists_and_numbers(w):
    state = init(w, rule=Adam(), regularizer=L2())
    g = np.ones(np.shape(w), np.float32)
    result = step(w, g, state, rule=Adam(), regularizer=L2(), learning_rate=0.1)
    assert np.shape(result.w) == np.shape(w)
    np.testing.assert_allclose(result.w, np.asarray(w) - 0.1, rtol=1e-6)
