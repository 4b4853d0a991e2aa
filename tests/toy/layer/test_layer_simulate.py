"""Trainings of the layer: the law of `mechanisms` moves it as torch's optimizers do, and its draws are paired."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mechanisms.law.dynamics import init, step
from mechanisms.law.regularizers import COUPLINGS, L1, L2, AbstractRegularizer
from mechanisms.law.schedules import Cosine, Stepwise
from mechanisms.law.update_rules import SGD, AbstractUpdateRule, Adam
from mechanisms.records.columns import check
from mechanisms.records.specs import choices
from tests.toy.layer.layer_reference import torch_loss, torch_parts
from toy.layer import numpy_engine, simulate
from toy.layer.network import gradient, joined, split
from toy.layer.simulate import Simulation, run
from toy.layer.spec import LayerSpec
from toy.layer.task import Batches, exemplars, start

SPEC = LayerSpec(inputs=5, features=7, teacher_features=3, outputs=3, exemplars=60, batch_size=11, replicates=4, steps=100)
AS_TORCH = {
    "Adam": (Adam(beta2=0.99), "coupled", torch.optim.Adam, {"betas": (0.9, 0.99)}),
    "AdamW": (Adam(beta2=0.99), "decoupled", torch.optim.AdamW, {"betas": (0.9, 0.99)}),
    "SGD momentum": (SGD(momentum=0.9), "coupled", torch.optim.SGD, {"momentum": 0.9}),
}


def train(spec, seed=0, steps=None):
    simulation = Simulation(spec, seed, numpy_engine.build)
    simulation.advance(0, steps or spec.steps)
    return simulation


@pytest.mark.parametrize("name", AS_TORCH)
def test_a_hundred_steps_equal_torch(name):
    rule, coupling, optimizer_class, options = AS_TORCH[name]
    spec = replace(SPEC, rule=rule, regularizer=L2(strength=0.02, coupling=coupling))
    parts = torch_parts(spec, start(spec, 0))
    kept = ("gain", "offset")
    groups = [
        {"params": [part for name, part in parts.items() if name not in kept], "weight_decay": 0.02},
        {"params": [parts[name] for name in kept], "weight_decay": 0.0},
    ]
    optimizer = optimizer_class(groups, lr=spec.learning_rate, **options)
    (inputs, targets), chosen = exemplars(spec, 0), Batches(spec, 0).draw(100)
    replicates = np.arange(spec.replicates)[:, None]
    for t in range(100):
        for group in optimizer.param_groups:
            group["lr"] = spec.learning_rate * float(spec.schedule.scale(t, 100))
        optimizer.zero_grad()
        batch = (torch.tensor(array[replicates, chosen[:, t]].swapaxes(1, 2)) for array in (inputs, targets))
        torch_loss(spec, parts, *batch).backward()
        optimizer.step()
    simulation = train(spec)
    for name, part in split(spec, simulation.vectors).items():
        np.testing.assert_allclose(part, parts[name].detach().numpy(), atol=1e-8, err_msg=name)
    assert np.abs(simulation.vectors - start(spec, 0)).max() > 0.1


@pytest.mark.parametrize("penalty", choices(AbstractRegularizer).values())
@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("rule", choices(AbstractUpdateRule).values())
def test_every_step_is_one_of_the_law(rule, coupling, penalty):
    """Each part of each replicate by `mechanisms.law.dynamics`, fed the gradients of the layer."""
    regularizer = penalty(strength=0.02, coupling=coupling)
    spec = replace(SPEC, rule=rule(), regularizer=regularizer, decayed=("scale",), schedule=Cosine())
    (inputs, targets), chosen = exemplars(spec, 3), Batches(spec, 3).draw(12)
    replicates = np.arange(spec.replicates)[:, None]
    parts, laws = split(spec, start(spec, 3)), {}
    for name in parts:
        strength = 0.02 * (name in ("scale", "shift"))
        laws[name] = {"rule": spec.rule, "regularizer": penalty(strength=strength, coupling=coupling)}
    states = {name: init(part, **laws[name]) for name, part in parts.items()}
    for t in range(12):
        batch = (array[replicates, chosen[:, t]].swapaxes(1, 2) for array in (inputs, targets))
        slopes, results = gradient(spec, parts, *batch), {}
        for name, part in parts.items():
            rates = {"learning_rate": spec.learning_rate, "schedule_scale": float(spec.schedule.scale(t, spec.steps))}
            results[name] = step(part, slopes[name], states[name], **rates, **laws[name])
        parts = {name: result.w for name, result in results.items()}
        states = {name: result.state for name, result in results.items()}
    simulation = train(spec, 3, 12)
    for name, result in results.items():
        expected = result.w, result.loss_force, result.reg_force, result.denominator
        for values, wanted in zip((simulation.vectors, *simulation.forces), expected, strict=True):
            np.testing.assert_allclose(split(spec, values)[name], wanted, rtol=1e-9, atol=1e-14, err_msg=name)


def test_settings_of_a_seed_share_its_draws_and_seeds_do_not():
    other = replace(SPEC, regularizer=L1(strength=1.0), learning_rate=0.5, label_noise=0.0, dtype="float32")
    np.testing.assert_array_equal(start(SPEC, 0).astype(np.float32), start(other, 0))
    np.testing.assert_array_equal(exemplars(SPEC, 0)[0].astype(np.float32), exemplars(other, 0)[0])
    np.testing.assert_array_equal(Batches(SPEC, 0).draw(5), Batches(other, 0).draw(5))
    assert (start(SPEC, 0)[:, :35] != start(SPEC, 1)[:, :35]).all()


def test_more_replicates_add_to_those_that_were_there():
    few, many = train(SPEC), train(replace(SPEC, replicates=6))
    np.testing.assert_allclose(few.vectors, many.vectors[:4], rtol=1e-9, atol=1e-12)
    assert np.abs(many.vectors[4] - many.vectors[3]).max() > 0.1


def test_chunks_change_nothing(monkeypatch):
    whole = run(SPEC, 0)[0]["features"]
    monkeypatch.setattr(simulate, "CHUNK_NUMBERS", 4 * 11 * 7)
    cut = run(SPEC, 0)[0]["features"]
    np.testing.assert_array_equal(whole["scale"], cut["scale"])


def test_targets_are_standardized_and_noisy():
    clean, noisy = (exemplars(replace(SPEC, exemplars=1000, label_noise=noise), 0)[1] for noise in (0.0, 0.5))
    np.testing.assert_allclose(clean.mean(1), 0, atol=1e-12)
    np.testing.assert_allclose(clean.std(1), 1, atol=1e-12)
    assert (noisy - clean).std() == pytest.approx(0.5, rel=0.05)


def test_a_full_batch_sees_every_exemplar_once():
    full = replace(SPEC, batch_size=60, rule=SGD(), decayed=())
    before, batch = start(full, 0), [array.swapaxes(1, 2) for array in exemplars(full, 0)]
    expected = before - full.learning_rate * joined(gradient(full, split(full, before), *batch))
    np.testing.assert_allclose(train(full, steps=1).vectors, expected, rtol=1e-12)


def test_tables_are_in_the_vocabulary_and_add_up():
    spec = replace(SPEC, rule=SGD(momentum=0.9), schedule=Stepwise(), records=100)
    tables = run(spec, 0)[0]
    for name, table in tables.items():
        check(table, name)
    features = tables["features"]
    assert len(features) == 101 * 4 * 7
    for _, one in features.groupby(["replicate", "feature"]):
        change = one["scale"].diff().iloc[1:]
        np.testing.assert_allclose((one["loss_force"] + one["reg_force"]).iloc[1:], change, atol=1e-15)
    assert features.loc[features["step"] == 0, ["loss_force", "reg_force", "denominator"]].isna().all(axis=None)
    curve = tables["curve"]
    assert len(curve) == 101 * 4
    assert curve[curve["step"] == 100]["train_loss"].mean() < 0.5 * curve[curve["step"] == 0]["train_loss"].mean()
    assert curve[curve["step"] == 100]["learning_rate"].unique().tolist() == pytest.approx([1e-4])


def test_undecayed_parts_feel_no_regularizer():
    tables = run(replace(SPEC, decayed=("incoming", "outgoing")), 0)[0]["features"]
    assert (tables["reg_force"].dropna() == 0).all()
    assert (run(SPEC, 0)[0]["features"]["reg_force"].dropna() != 0).any()
