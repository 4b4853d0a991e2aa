"""Gradient models: their draws have the moments they claim, and what must be conserved is."""

import numpy as np
import pytest

from mechanisms.records.rng import stream
from mechanisms.records.specs import choices
from mechanisms.validation import InvalidValue
from toy.features.conjectures import Barrier, Competition, ShiftedProduct
from toy.features.gradients import AbstractGradient, Dead, LowGradient, Product, Selective, Visited

DRAWS = 200_000


def fields(model, count=DRAWS):
    return {name: np.full(count, float(value)) for name, value in vars(model).items()}


def draw(model, parameters, step=10_000, seed=0):
    """Gradients of one feature at fixed parameters, over many independent steps."""
    random, given = stream(seed, "test"), fields(model)
    law = model.visit_law(given)
    visits = np.zeros(DRAWS) if law is None else random.binomial(law[0].astype(int), law[1]).astype(float)
    values = tuple(np.full(DRAWS, float(p)) for p in parameters)
    return model.slope(values, random.standard_normal(DRAWS), visits, np.float64(step), model.settings(given))


def assert_mean(values, expected):
    assert abs(values.mean() - expected) < 4.5 * values.std() / np.sqrt(len(values)) + 1e-15


def test_low_gradient_is_loud_and_then_quiet():
    model = LowGradient(sigma=1e-5, initial_sigma=1e-3, initial_steps=100)
    assert draw(model, (1.0,), step=99)[0].std() == pytest.approx(1e-3, rel=0.02)
    assert draw(model, (1.0,), step=100)[0].std() == pytest.approx(1e-5, rel=0.02)


def test_dead_is_exactly_silent():
    assert draw(Dead(alive_steps=5), (1.0,), step=4)[0].std() == pytest.approx(1e-2, rel=0.02)
    assert not draw(Dead(alive_steps=5), (1.0,), step=5)[0].any()


def test_visited_comes_at_its_rate():
    g = draw(Visited(activity=0.03, sigma=2.0), (1.0,))[0]
    assert (g != 0).mean() == pytest.approx(0.03, rel=0.1)
    assert g[g != 0].std() == pytest.approx(2.0, rel=0.03)


def test_selective_moments():
    model = Selective(p=0.05, batch_size=30, curvature=0.2, target=1.5, noise=0.7)
    g = draw(model, (0.4,))[0]
    assert_mean(g, 0.2 * 0.05 * (0.4 - 1.5))
    assert_mean((g == 0).astype(float), 0.95**30)


def test_product_follows_the_chain_rule():
    model = Product(p=0.05, batch_size=30, curvature=0.2)
    scale_slope, outgoing_slope = draw(model, (0.5, 0.8))
    np.testing.assert_allclose(scale_slope * 0.5, outgoing_slope * 0.8)
    assert_mean(scale_slope, 0.2 * 0.05 * (0.4 - 1.0) * 0.8)


def test_shifted_product_conserves_balance():
    """γ∂γ + β∂β = v∂v in every batch, by homogeneity."""
    scale_slope, shift_slope, outgoing_slope = draw(ShiftedProduct(), (0.5, -0.3, 0.8))
    np.testing.assert_allclose(0.5 * scale_slope - 0.3 * shift_slope, 0.8 * outgoing_slope, atol=1e-15)


def test_competition_conserves_the_sum_of_squares():
    slopes = draw(Competition(share=0.3), (0.5, 0.8, 1.1, 0.2))
    np.testing.assert_allclose(0.5 * slopes[0] + 1.1 * slopes[2], 0, atol=1e-12)
    np.testing.assert_allclose(0.8 * slopes[1] + 0.2 * slopes[3], 0, atol=1e-12)


def test_competition_pulls_to_its_share():
    at_goal = draw(Competition(share=0.6, noise=0.0), (0.6, 1.0, 0.8, 1.0))
    np.testing.assert_allclose(at_goal, 0, atol=1e-15)
    too_small = draw(Competition(share=0.6, noise=0.0), (0.3, 1.0, 0.8, 1.0))
    assert too_small[0][0] < 0 < too_small[2][0]


@pytest.mark.parametrize(("shift", "share"), [(0.0, 0.5), (np.sqrt(3) / 2, 0.75), (2.0, 1.0), (-1.8, 0.0)])
def test_barrier_opens_for_its_share(shift, share):
    """Mean force on the scale is p·k·(γ − target), with p the share of a uniform pre-activation above 0."""
    model = Barrier(curvature=0.2, target=0.5, noise=0.5)
    scale_slope, shift_slope = draw(model, (1.0, shift))
    x = stream(1, "uniform").uniform(-np.sqrt(3), np.sqrt(3), DRAWS)
    assert ((x + shift) > 0).mean() == pytest.approx(share, abs=0.005)
    assert_mean(scale_slope, 0.2 * share * 0.5)
    assert_mean(shift_slope, 0.2 * share * shift)
    assert bool(scale_slope.any()) == (share > 0)


@pytest.mark.parametrize("name", choices(AbstractGradient))
def test_every_model_starts_all_its_parameters(name):
    model = choices(AbstractGradient)[name]()
    start = model.initial(fields(model, 3), np.full(3, 0.5))
    assert len(start) == len(model.parameters)
    assert model.parameters[0] == "scale"
    assert np.isfinite(model.product(start)).all()


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: LowGradient(sigma=-1.0), "sigma"),
        (lambda: Dead(alive_steps=-1), "alive_steps"),
        (lambda: Visited(activity=1.5), "activity"),
        (lambda: Selective(p="half"), "p"),
        (lambda: Selective(batch_size=2.5), "batch_size"),
        (lambda: Product(curvature=0.0), "curvature"),
        (lambda: Competition(share=2.0), "share"),
        (lambda: Barrier(batch_size=0), "batch_size"),
    ],
)
def test_refuses_invalid_fields_by_name(make, field):
    with pytest.raises(InvalidValue, match=field):
        make()
