"""The compiled engine of the layer computes what the NumPy one does."""

from dataclasses import replace

import numpy as np
import pytest

from mechanisms.law.regularizers import COUPLINGS, L1, L2
from mechanisms.law.schedules import Cosine
from mechanisms.law.update_rules import SGD, AbstractUpdateRule
from mechanisms.records.specs import choices
from toy.engines.choice import INTERPRETED
from toy.layer import simulate
from toy.layer.simulate import Simulation, builder, run
from toy.layer.spec import NEGATIVE_SLOPES, LayerSpec

SPEC = LayerSpec(inputs=5, features=7, teacher_features=3, outputs=3, exemplars=60, batch_size=11, replicates=3, steps=30)
"""Nothing is a multiple of a vector's length, so that every loop has a rest."""


def both(spec, seed=1):
    found = []
    for engine in ("compiled", "interpreted"):
        simulation = Simulation(spec, seed, builder(engine))
        simulation.advance(0, spec.steps)
        found.append(simulation)
    return found


def assert_equal(spec, relative=1e-10):
    one, other = both(spec)
    np.testing.assert_allclose(one.vectors, other.vectors, rtol=relative, atol=relative)
    np.testing.assert_allclose(one.forces, other.forces, rtol=relative, atol=relative)
    assert np.abs(one.vectors - simulate.start(spec, 1)).max() > 1e-5


@pytest.mark.parametrize("output_normalization", [True, False])
@pytest.mark.parametrize("feature_normalization", [True, False])
@pytest.mark.parametrize("activation", NEGATIVE_SLOPES)
def test_compiled_equals_numpy_for_every_kind_of_layer(activation, feature_normalization, output_normalization):
    kind = {"feature_normalization": feature_normalization, "output_normalization": output_normalization}
    assert_equal(replace(SPEC, activation=activation, **kind))


@pytest.mark.parametrize("rule", choices(AbstractUpdateRule).values())
def test_compiled_equals_numpy_for_every_rule(rule):
    assert_equal(replace(SPEC, rule=rule(), regularizer=L2(strength=0.01), decayed=("scale",), learning_rate=3e-3))


@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("penalty", [L1, L2])
def test_compiled_equals_numpy_for_every_regularizer(penalty, coupling):
    assert_equal(replace(SPEC, regularizer=penalty(strength=0.05, coupling=coupling), schedule=Cosine()))


@pytest.mark.parametrize("shape", [{"inputs": 16, "features": 8, "outputs": 4}, {"inputs": 1, "features": 1, "outputs": 1}])
@pytest.mark.parametrize("batch_size", [2, 60])
def test_compiled_equals_numpy_for_every_shape(shape, batch_size):
    assert_equal(replace(SPEC, **shape, batch_size=batch_size, rule=SGD(momentum=0.9)), relative=1e-9)


def test_what_diverges_is_seen_in_both():
    for one in both(replace(SPEC, rule=SGD(), learning_rate=1e200, steps=10)):
        assert not np.isfinite(one.vectors).all()
        assert not np.isfinite(one.measured().loss).any()


@pytest.mark.parametrize("engine", ["compiled", "interpreted"])
def test_float32_stays_float32(engine):
    spec = replace(SPEC, dtype="float32")
    simulation = Simulation(spec, 0, builder(engine))
    simulation.advance(0, 30)
    exact = both(replace(SPEC), 0)[0]
    assert {simulation.vectors.dtype.name, simulation.forces.dtype.name, simulation.inputs.dtype.name} == {"float32"}
    np.testing.assert_allclose(simulation.vectors, exact.vectors, atol=1e-2)


def test_the_engine_is_chosen_as_the_toy_chooses(monkeypatch):
    assert run(SPEC, 0)[1]["engine"] == "compiled"
    monkeypatch.setattr(simulate, "choose_engine", lambda: INTERPRETED)
    assert run(SPEC, 0)[1]["engine"] == "interpreted"
