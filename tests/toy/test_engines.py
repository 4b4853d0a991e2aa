"""The compiled engine, the NumPy engine and `mechanisms.law.dynamics` compute the same numbers."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import toy.simulate
from mechanisms.law.dynamics import init, step
from mechanisms.law.regularizers import COUPLINGS, L2, AbstractRegularizer
from mechanisms.law.schedules import Cosine
from mechanisms.law.update_rules import SGD, AbstractUpdateRule
from mechanisms.records.rng import stream
from mechanisms.records.specs import choices
from toy.engines.choice import INTERPRETED, choose_engine
from toy.features.gradients import AbstractGradient, LowGradient, Product
from toy.spec import Axis, ToySpec

RULES, MODELS, PENALTIES = choices(AbstractUpdateRule), choices(AbstractGradient), choices(AbstractRegularizer)
STRENGTHS = Axis("regularizer.strength", (0.0, 1e-3, 1e-2))


def small(**fields):
    return ToySpec(**{"steps": 300, "records": 20, "schedule": Cosine(), "average_last": 0.5, **fields})


def both(spec, monkeypatch):
    compiled = toy.simulate.run(spec, 1)[0]["features"]
    monkeypatch.setattr(toy.simulate, "choose_engine", lambda: INTERPRETED)
    return compiled, toy.simulate.run(spec, 1)[0]["features"]


def assert_equal(one, other):
    assert list(one.columns) == list(other.columns)
    for column in one.columns:
        if one[column].dtype.kind == "f":
            np.testing.assert_allclose(one[column], other[column], rtol=1e-12, atol=1e-300, err_msg=column)
        else:
            assert (one[column] == other[column]).all()


def test_the_compiled_engine_is_used_here():
    assert choose_engine().name == "compiled"


@pytest.mark.parametrize("features", [2, 5], ids=["lanes are settings", "lanes are features"])
@pytest.mark.parametrize("name", RULES)
def test_compiled_equals_numpy_for_every_rule(name, features, monkeypatch):
    axes = (Axis("regularizer.coupling", COUPLINGS), STRENGTHS)
    assert_equal(*both(small(rule=RULES[name](), features=features, axes=axes), monkeypatch))


@pytest.mark.parametrize("features", [2, 5], ids=["lanes are settings", "lanes are features"])
@pytest.mark.parametrize("name", MODELS)
def test_compiled_equals_numpy_for_every_model(name, features, monkeypatch):
    assert_equal(*both(small(gradient=MODELS[name](), features=features, axes=(STRENGTHS,)), monkeypatch))


@pytest.mark.parametrize("name", PENALTIES)
def test_compiled_equals_numpy_for_every_regularizer(name, monkeypatch):
    assert_equal(*both(small(regularizer=PENALTIES[name](strength=0.01), learning_rate=0.01), monkeypatch))


@pytest.mark.parametrize("engine", [choose_engine(), INTERPRETED], ids=lambda engine: engine.name)
@pytest.mark.parametrize("name", RULES)
def test_float32_stays_float32(name, engine, monkeypatch):
    monkeypatch.setattr(toy.simulate, "choose_engine", lambda: engine)
    table = toy.simulate.run(small(rule=RULES[name](), dtype="float32", axes=(STRENGTHS,)), 0)[0]["features"]
    assert {str(table[c].dtype) for c in ("scale", "loss_force", "reg_force", "denominator", "product")} == {"float32"}


@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("name", RULES)
def test_engine_equals_dynamics(name, coupling, simulate):
    """One feature, step by step through `mechanisms.law.dynamics`, fed the noise of the named stream."""
    regularizer, schedule = L2(strength=0.02, coupling=coupling), Cosine()
    spec = small(
        rule=RULES[name](), regularizer=regularizer, features=1, records=300, gradient=LowGradient(sigma=1e-3, initial_sigma=0.1)
    )
    table = simulate(spec, seed=4)
    noise = stream(4, "gradient").standard_normal(300) * np.where(np.arange(300) < 100, 0.1, 1e-3)
    w = np.array([1.0])
    state = init(w, rule=spec.rule, regularizer=regularizer)
    for t in range(300):
        result = step(
            w, noise[t : t + 1], state, rule=spec.rule, regularizer=regularizer, learning_rate=1e-3,
            schedule_scale=float(schedule.scale(t, 300)),
        )  # fmt: skip
        w, state = result.w, result.state
        row = table.iloc[t]
        expected = [result.w[0], result.loss_force[0], result.reg_force[0], result.denominator[0]]
        found = [row["scale"], row["loss_force"], row["reg_force"], row["denominator"]]
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-18)


def test_a_single_step_is_compiled_without_a_warning(simulate):
    """What NumPy spreads over one step is contiguous already: it must be copied all the same."""
    assert len(simulate(small(steps=1, features=1))) == 1


def test_blocks_chunks_and_grids_do_not_change_a_setting(monkeypatch, simulate):
    """A setting gives the same numbers alone, in a grid, and however the work is cut (same noise, same law)."""
    alone = simulate(small(features=3, regularizer=L2(strength=1e-2)))
    grid = simulate(small(features=3, axes=(Axis("regularizer.coupling", COUPLINGS), STRENGTHS)))
    chosen = grid[(grid["spec.regularizer.strength"] == 1e-2) & (grid["spec.regularizer.coupling"] == "coupled")]
    np.testing.assert_array_equal(alone["scale"], chosen["scale"])
    monkeypatch.setattr(toy.simulate, "CHUNK_STEPS", 7)
    monkeypatch.setattr(toy.simulate, "BLOCK_LANES", 2)
    cut = toy.simulate.run(small(features=3, axes=(Axis("regularizer.coupling", COUPLINGS), STRENGTHS)), 0)[0]["features"]
    np.testing.assert_array_equal(grid["scale"], cut["scale"])


def test_recorded_forces_belong_to_the_recorded_step(simulate):
    spec = small(gradient=Product(), rule=SGD(momentum=0.9), features=2, records=300, regularizer=L2(strength=0.01))
    for _, one in simulate(spec).groupby("feature"):
        change = one["scale"].diff().iloc[1:]
        np.testing.assert_allclose((one["loss_force"] + one["reg_force"]).iloc[1:], change, atol=1e-15)


def test_decay_of_one_factor_only(simulate):
    spec = small(gradient=Product(), regularizer=L2(strength=0.01))
    assert (simulate(replace(spec, decayed="outgoing"))["reg_force"] == 0).all()
    assert (simulate(replace(spec, decayed="scale"))["reg_force"] != 0).all()


def test_without_numba_the_numpy_engine_serves_and_says_so():
    code = (
        "import sys; sys.modules['numba'] = None\n"
        "from toy.simulate import run; from toy.spec import ToySpec\n"
        "print(run(ToySpec(steps=20, records=1), 0)[1]['engine'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "interpreted", done.stderr
    assert "NumPy is used" in done.stderr
