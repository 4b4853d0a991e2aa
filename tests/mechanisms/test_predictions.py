"""Closed forms against computations that do not use them; simulations at random settings are in tests/toy."""

import numpy as np
import pytest

from mechanisms.law.dynamics import init, step
from mechanisms.law.regularizers import COUPLINGS, L2
from mechanisms.law.update_rules import SGD, Adam, RMSProp
from mechanisms.theory.feature import (
    critical_activity,
    critical_selectivity,
    crossing_activity,
    decay_budget,
    decay_rate,
    effective_strength,
    equilibrium_scale,
    fluctuation_floor,
    product_threshold,
    selective_denominator,
    selective_equilibrium,
    stability_bound,
    visits_per_memory,
)

LAW = {"p": 0.05, "curvature": 0.02}


def test_effective_strength_is_the_table_of_the_theory():
    strength, rate, mu, spread = 0.3, 0.01, 0.9, 0.004
    expected = {
        ("sgd", "coupled"): strength,
        ("sgd", "decoupled"): strength * (1 - mu),
        ("sgd", "independent"): strength * (1 - mu) / rate,
        ("adam", "coupled"): strength,
        ("adam", "decoupled"): strength * spread,
        ("adam", "independent"): strength * spread / rate,
        ("rmsprop", "coupled"): strength,
        ("rmsprop", "decoupled"): strength * spread * (1 - mu),
        ("rmsprop", "independent"): strength * spread * (1 - mu) / rate,
    }
    rules = {"sgd": SGD(momentum=mu), "adam": Adam(), "rmsprop": RMSProp(momentum=mu)}
    for (rule, coupling), value in expected.items():
        spread_of_rule = 1.0 if rule == "sgd" else spread
        law = (rules[rule], L2(strength=strength, coupling=coupling))
        assert effective_strength(*law, learning_rate=rate, denominator=spread_of_rule) == pytest.approx(value)


@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("rule", [SGD(momentum=0.9), SGD(momentum=0.5, nesterov=True)])
def test_decay_rate_of_sgd_without_gradient(rule, coupling):
    regularizer, rate = L2(strength=1e-3, coupling=coupling), 0.05
    w = np.array([1.0])
    state = init(w, rule=rule, regularizer=regularizer)
    for _ in range(4000):
        result = step(w, np.zeros(1), state, rule=rule, regularizer=regularizer, learning_rate=rate)
        w, state = result.w, result.state
    assert -np.log(w[0]) == pytest.approx(4000 * decay_rate(rule, regularizer, learning_rate=rate), rel=5e-3)


def test_decay_budget_counts_effective_steps():
    law = (SGD(momentum=0.9), L2(strength=5e-3))
    assert decay_budget(*law, learning_rate=0.1, effective_steps=751.8) == pytest.approx(0.1 * 5e-3 * 751.8 / 0.1)
    assert decay_budget(Adam(), L2(), learning_rate=0.1, effective_steps=100) == 0


def test_selective_denominator_is_the_second_moment_of_the_gradient():
    """The gradient's mean square from two million draws of (k/B)[c(w − a) + √c·s·z], within 4.5 standard errors."""
    rng = np.random.default_rng(2)
    p, batch, k, w, a, s = 0.07, 20, 0.3, 0.4, 1.1, 0.8
    c, z = rng.binomial(batch, p, 2_000_000), rng.standard_normal(2_000_000)
    squares = ((k / batch) * (c * (w - a) + np.sqrt(c) * s * z)) ** 2
    predicted = selective_denominator(w, p=p, batch_size=batch, curvature=k, noise=s, target=a) ** 2
    assert abs(squares.mean() - predicted) < 4.5 * squares.std() / np.sqrt(len(squares))


def test_equilibrium_is_where_the_mean_forces_cancel():
    w = equilibrium_scale(0.003, **LAW, target=1.3)
    assert 0.05 * 0.02 * (1.3 - w) == pytest.approx(0.003 * w)


def test_product_threshold_minimizes_loss_plus_penalty():
    """argmin over c of p·k(c − a)²/2 + λ|c|, by brute force."""
    grid = np.linspace(-0.5, 1.5, 200_001)
    for strength in (1e-4, 5e-4, 2e-3):
        best = grid[np.argmin(0.05 * 0.02 * (grid - 1) ** 2 / 2 + strength * np.abs(grid))]
        assert product_threshold(strength, **LAW) == pytest.approx(best, abs=2e-5)
    assert product_threshold(1e-3, p=critical_activity(1e-3, curvature=0.02), curvature=0.02) == 0


@pytest.mark.parametrize("factors", [1, 2])
@pytest.mark.parametrize("coupling", ["decoupled", "independent"])
def test_normalized_decay_balances(coupling, factors):
    law, rate = L2(strength=3e-3, coupling=coupling), 1e-3
    u = selective_equilibrium(Adam(), law, learning_rate=rate, batch_size=40, factors=factors, **LAW)
    spread = 0.02 * np.sqrt(0.05 * (1 + 0.95 * (1 - u) ** 2) / 40 + 0.05**2 * (1 - u) ** 2)
    pull = 3e-3 * spread / (rate if coupling == "independent" else 1)
    assert 0.05 * 0.02 * (1 - u) == pytest.approx(pull * u ** (1 / factors))


def test_crossing_is_where_both_couplings_settle_together():
    p = crossing_activity(1e-3, learning_rate=1e-3, batch_size=40, curvature=1e-2)
    ends = [
        selective_equilibrium(Adam(), L2(strength=1e-3, coupling=c), learning_rate=1e-3, p=p, batch_size=40, curvature=1e-2)
        for c in ("coupled", "independent")
    ]
    assert ends[0] == pytest.approx(ends[1], rel=1e-6)
    assert np.isnan(crossing_activity(1e-3, learning_rate=10.0, batch_size=40, curvature=1e-2))


def test_floor_formulas_of_the_theory():
    rate, strength, sigma, mu = 1e-3, 1e-2, 3e-4, 0.9
    adam, sgd = Adam(), SGD(momentum=mu)
    floor = lambda rule, coupling: fluctuation_floor(  # noqa: E731
        rule, L2(strength=strength, coupling=coupling), learning_rate=rate, sigma=sigma
    )
    assert floor(adam, "coupled") == pytest.approx(np.sqrt(rate * sigma / (2 * strength)))
    assert floor(adam, "independent") == pytest.approx(rate / np.sqrt(2 * strength))
    assert floor(adam, "decoupled") == pytest.approx(np.sqrt(rate / (2 * strength)))
    assert floor(sgd, "coupled") == pytest.approx(sigma * np.sqrt(rate / (2 * strength * (1 - mu))))


@pytest.mark.parametrize("beta1", [0.0, 0.5, 0.9])
def test_stability_bound_is_that_of_the_linear_iteration(beta1):
    """Largest eigenvalue of w ← w − x·m, m ← β1·m + (1 − β1)·w at 1 % below and above the bound."""
    for x, stable in ((0.99 * stability_bound(beta1), True), (1.01 * stability_bound(beta1), False)):
        matrix = np.array([[1 - x * (1 - beta1), -x * beta1], [1 - beta1, beta1]])
        assert (np.abs(np.linalg.eigvals(matrix)).max() < 1) == stable


def test_critical_selectivity_is_one_visit_per_memory():
    p = critical_selectivity(batch_size=np.array([5, 80]), beta2=0.97)
    np.testing.assert_allclose(visits_per_memory(p, batch_size=np.array([5, 80]), beta2=0.97), 1.0)
    np.testing.assert_allclose(p, 0.03 / np.array([5, 80]), rtol=0.02)


def test_visits_per_memory_counts_batches_with_an_active_exemplar():
    rng = np.random.default_rng(0)
    visited = (rng.random((200_000, 20)) < 0.03).any(axis=1).mean()
    assert visits_per_memory(0.03, batch_size=20, beta2=0.99) == pytest.approx(visited / 0.01, rel=0.01)
