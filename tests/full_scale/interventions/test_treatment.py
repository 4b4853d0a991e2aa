"""Each intervention does what it says, to the filters that it says, and to nothing else."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from full_scale.hooks.filter_parameters import owners, parameter_of, part_of
from full_scale.measure.probes import measure_features
from full_scale.models.basic_net import BasicNet
from full_scale.models.resnet import ResNet
from full_scale.models.unet import UNet
from full_scale.training.context import computing
from full_scale.training.loop import Training, run
from full_scale.training.spec import TrainSpec
from mechanisms.interventions import (
    AbstractIntervention,
    All,
    ByScale,
    BySelectivity,
    ClampNorm,
    DecayOnly,
    Freeze,
    Gate,
    Random,
    Rescale,
    ScaleSecondMoment,
    Slow,
    Switch,
)
from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import SGD, AdaBelief, Adam
from mechanisms.records.specs import from_json, override_all, spec_id, to_json
from mechanisms.system.context import RunContext
from mechanisms.validation import InvalidValue, UserError

ALWAYS = RunContext(checkpoint_every=0)

TINY = TrainSpec(
    network=BasicNet(width=1 / 16, pools_after=(1, 2)),
    rule=Adam(beta2=0.9),
    regularizer=L2(strength=1e-2),
    learning_rate=1e-2,
    batch_size=20,
    steps=6,
    measurements=3,
)


def treated(*interventions: AbstractIntervention, **fields: Any) -> Training:
    return Training(dataclasses.replace(TINY, interventions=interventions, **fields), 0)


def trained(*interventions: AbstractIntervention, **fields: Any) -> Training:
    training = treated(*interventions, **fields)
    for _ in training.steps():
        pass
    return training


def weights(training: Training) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in training.network.module.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("factor", [0.25, 3.0])
@pytest.mark.parametrize(
    "network",
    [
        BasicNet(width=1 / 16, pools_after=(1, 2)),
        BasicNet(width=1 / 16, pools_after=(1, 2), negative_slope=0.1),
        ResNet(depth=8),
        UNet(),
    ],
    ids=["basic_net", "leaky", "resnet", "unet"],
)
def test_a_rescaled_network_computes_the_same_function(network: Any, factor: float) -> None:
    training = trained(network=network, steps=3)
    module, images = training.network.module.double(), next(training.test.batches([np.arange(50)]))[0].double()
    module.eval()
    before, old = module(images), weights(training)
    scaled = treated(Rescale(factor=factor, filters=Random()), network=network)
    scaled.network.module.double().eval()
    scaled.network.module.load_state_dict(old)
    assert scaled.treatment is not None
    scaled.treatment.start_due()
    assert not same(weights(scaled), old)
    after = scaled.network.module(images)
    assert ((after - before).abs().max() / before.abs().max()).item() < 1e-12


def test_rescaling_needs_an_activation_that_lets_factors_through() -> None:
    with pytest.raises(UserError, match=r"interventions.0 = rescale: the activation of conv1 is GELU; use layers with ReLU"):
        trained(Rescale(), network=BasicNet(width=1 / 16, pools_after=(1, 2), activation="gelu"))


def test_what_treats_nothing_leaves_every_bit() -> None:
    plain, marked = trained(), trained(Rescale(factor=1.0), Gate(probability=1.0), Gate(probability=1.0, mean_restored=True))
    assert same(weights(plain), weights(marked))
    assert "treated" not in plain.result()[0]["features"]
    assert marked.result()[0]["features"]["treated"].all()


def test_an_intervention_waits_for_its_step() -> None:
    late = treated(Rescale(step=4, filters=ByScale(share=0.25)))
    plain, steps = treated(), late.steps()
    for _, done in zip(plain.steps(), steps, strict=False):
        if done == 3:
            break
    assert same(weights(plain), weights(late))
    next(steps)
    features = late.result()[0]["features"]
    assert features.groupby("step")["treated"].mean().to_dict() == {0: 0.0, 2: 0.0, 4: pytest.approx(0.25)}


def test_chosen_filters_are_a_share_of_each_layer_and_follow_the_seed() -> None:
    one, again = treated(Rescale(filters=Random(share=0.5))), treated(Rescale(filters=Random(share=0.5)))
    other = Training(one.spec, 1)
    for training in (one, again, other):
        assert training.treatment is not None
        training.treatment.start_due()
    marks = [training.treatment.marks() for training in (one, again, other) if training.treatment is not None]
    assert (marks[0] == marks[1]).all()
    assert (marks[0] != marks[2]).any()
    table = measure_features(one.network, one.train, 20).assign(marked=marks[0])
    assert set(table.groupby("layer")["marked"].mean()) == {0.5}


@pytest.mark.parametrize(("largest", "sign"), [(False, -1), (True, 1)])
def test_selections_by_measurement_take_the_extremes(largest: bool, sign: int) -> None:
    table = measure_features(trained(steps=5).network, treated().train, 20)
    one = table[table["layer"] == "conv6"]
    for selection, column in (
        (ByScale(largest=largest, share=0.25), "scale"),
        (BySelectivity(largest=largest, share=0.25), "selectivity"),
    ):
        marks = selection.chosen(one, np.random.default_rng(0))
        values = sign * one[column].abs().to_numpy()
        assert marks.sum() == 8
        assert values[marks].min() >= values[~marks].max()


@pytest.mark.parametrize("restored", [False, True])
def test_a_closed_gate_lets_no_gradient_through_and_an_open_one_restores_its_mean(restored: bool) -> None:
    gate = Gate(probability=0.25, mean_restored=restored, filters=All(layers=("conv3",)), parts=("scale", "incoming"))
    training = treated(gate, regularizer=L2())
    scale, weight = training.network.layers[2].norm.weight, training.network.layers[2].conv.weight  # type: ignore[union-attr]
    other = training.network.layers[3].conv.weight
    assert training.treatment is not None
    training.treatment.start_due()
    means = []
    for step in range(400):
        training.done = step
        for parameter in (scale, weight, other):
            parameter.grad = torch.ones_like(parameter)
        training.treatment.change_gradients()
        assert scale.grad is not None
        assert weight.grad is not None
        assert other.grad is not None
        assert (weight.grad == scale.grad[:, None, None, None]).all()
        assert (other.grad == 1).all()
        assert set(scale.grad.tolist()) <= {0.0, 4.0 if restored else 1.0}
        means.append(scale.grad.mean().item())
    value = 4.0 if restored else 1.0
    error = value * (0.25 * 0.75 / (400 * len(scale))) ** 0.5
    assert np.mean(means) == pytest.approx(0.25 * value, abs=4 * error)


@pytest.mark.parametrize("part", ["incoming", "outgoing"])
def test_clamped_norms_stay_and_directions_move(part: str) -> None:
    start = treated()
    training = trained(ClampNorm(part=part, filters=All(layers=("conv2", "conv4"))))
    for number, layer in enumerate(training.network.layers[:4]):
        pairs = [getattr(one.network.layers[number], part)() for one in (start, training)]
        norms = [rows.norm(dim=1) for rows in pairs]
        assert torch.allclose(*norms, rtol=1e-5) == (layer.name in ("conv2", "conv4"))
        assert not torch.allclose(*pairs, rtol=1e-3)


def test_a_floor_keeps_norms_from_collapsing_and_leaves_the_others_free() -> None:
    law: dict[str, Any] = {"rule": Adam(beta2=0.9), "regularizer": L2(strength=10.0), "learning_rate": 1e-2}
    filters = All(layers=("conv2", "conv4"))
    start, free, floored = treated(**law), trained(**law), trained(ClampNorm(floor=0.8, ceiling=None, filters=filters), **law)
    for number, layer in enumerate(start.network.layers[:4]):
        before, without, after = (one.network.layers[number].incoming().norm(dim=1) for one in (start, free, floored))
        assert (without / before).min() < 0.8
        assert bool(((after / before) > 0.8 - 1e-5).all()) == (layer.name in ("conv2", "conv4"))


def test_slowed_parts_move_by_their_share_of_each_update() -> None:
    law: dict[str, Any] = {"rule": SGD(), "regularizer": L2(), "learning_rate": 1e-2, "steps": 1, "measurements": 1}
    start, plain, slow = treated(**law), trained(**law), trained(Slow(parts=("incoming",), factor=0.25), **law)
    for before, whole, part in zip(*(one.network.layers for one in (start, plain, slow)), strict=True):
        moved = (whole.incoming() - before.incoming(), part.incoming() - before.incoming())
        assert torch.allclose(0.25 * moved[0], moved[1], atol=1e-7)
        assert moved[1].abs().max() > 1e-5


def test_frozen_parts_stay_and_their_neighbours_move() -> None:
    training = trained(Freeze(parts=("shift", "incoming"), filters=Random(), value=None))
    start, marks = treated(), training.treatment.marks()  # type: ignore[union-attr]
    place = 0
    for before, after in zip(start.network.layers, training.network.layers, strict=True):
        mark = torch.from_numpy(marks[place : place + after.features].copy())
        place += after.features
        assert before.norm is not None
        assert after.norm is not None
        assert torch.equal(before.incoming()[mark], after.incoming()[mark])
        assert torch.equal(before.norm.bias[mark], after.norm.bias[mark])
        assert (before.incoming()[~mark] != after.incoming()[~mark]).any(dim=1).all()
        assert (before.norm.weight != after.norm.weight).all()


def test_a_frozen_value_is_set() -> None:
    training = trained(Freeze(parts=("scale",), value=0.5, filters=All(layers=("conv2",))))
    scales = [layer.norm.weight for layer in training.network.layers if layer.norm is not None]
    assert (scales[1] == 0.5).all()
    assert (scales[2] != 0.5).any()


def test_only_the_named_parts_are_decayed() -> None:
    training = treated(DecayOnly(parts=("scale", "outgoing"), filters=All(layers=("conv2", "conv4"))))
    assert set(training.groups.decayed) == {"norm2.weight", "norm4.weight", "conv3.weight", "conv5.weight"}
    assert len(training.groups.decayed) + len(training.groups.free) == len(list(training.network.module.parameters()))
    forces = trained(DecayOnly(parts=("scale",), filters=All(layers=("conv2",)))).result()[0]["features"].query("step == 6")
    decayed = forces["layer"] == "conv2"
    assert (forces.loc[decayed, "reg_force"] < 0).all()
    assert (forces.loc[~decayed, "reg_force"] == 0).all()


@pytest.mark.parametrize("rule", [Adam(), AdaBelief(), SGD(momentum=0.9)], ids=["torch", "law", "sgd"])
def test_a_switch_to_the_same_law_changes_no_bit(rule: Any) -> None:
    law: dict[str, Any] = {"rule": rule, "regularizer": L2(strength=1e-2), "learning_rate": 1e-2}
    assert same(weights(trained(**law)), weights(trained(Switch(step=3, **law), **law)))


def test_a_switch_takes_over() -> None:
    without = Switch(step=3, rule=Adam(beta2=0.9), regularizer=L2(), learning_rate=5e-3)
    training = trained(without)
    assert (training.result()[0]["features"].query("step == 6")["reg_force"] == 0).sum() == 0  # moments remember the penalty
    training = trained(dataclasses.replace(without, rule=SGD(momentum=0.9)))
    last = training.result()[0]
    assert (last["features"].query("step == 6")["reg_force"] == 0).all()
    assert last["curve"]["learning_rate"].iloc[-1] == pytest.approx(5e-3 * TINY.schedule.scale(np.array([5]), 6)[0])


@pytest.mark.parametrize("rule", [Adam(beta2=0.9), AdaBelief(beta2=0.9)], ids=["torch", "law"])
def test_a_scaled_second_moment_is_that_of_the_chosen_parts(rule: Any) -> None:
    choice = All(layers=("conv2",))
    training = treated(ScaleSecondMoment(step=3, factor=4.0, parts=("scale",), filters=choice), rule=rule)
    plain = treated(rule=rule)
    for one in (plain, training):
        for done in one.steps():
            if done == 3:
                break
    for number, factor in ((1, 4.0), (2, 1.0)):
        scales = [one.network.layers[number].norm.weight for one in (plain, training)]  # type: ignore[union-attr]
        for holders in ((plain.optimizer, training.optimizer), (plain.probe, training.probe)):
            moments = [next(holder.second_moments(scale)) for holder, scale in zip(holders, scales, strict=True)]
            assert torch.allclose(moments[0] * factor, moments[1])


def test_a_rule_without_second_moment_is_refused() -> None:
    with pytest.raises(UserError, match=r"interventions.0 = scale_second_moment: rule = sgd has no second moment"):
        trained(ScaleSecondMoment(step=3), rule=SGD())


@pytest.mark.parametrize("network", [BasicNet(width=1 / 16, pools_after=(1, 2)), UNet()], ids=["flattened", "transposed"])
@pytest.mark.parametrize("part", ["incoming", "outgoing"])
def test_every_weight_knows_its_filter(network: Any, part: str) -> None:
    for place, layer in enumerate(treated(network=network).network.layers):
        rows = getattr(layer, part)()
        if rows is None:
            continue
        one = part_of(layer, place, part, torch.ones(layer.features, dtype=torch.bool))
        assert torch.allclose(one.norms(), rows.norm(dim=1), rtol=1e-5)
        assert owners(layer, part).shape == parameter_of(layer, part).shape


EVERYTHING = (
    Rescale(step=2, filters=BySelectivity()),
    Gate(filters=Random()),
    ClampNorm(step=1),
    Freeze(step=1, filters=Random(share=0.25)),
    Switch(step=2, rule=SGD(momentum=0.9), regularizer=L2(strength=1e-3), learning_rate=0.05),
)


def test_a_treated_training_goes_on_from_a_checkpoint_bit_for_bit(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = dataclasses.replace(TINY, interventions=EVERYTHING)
    whole, _ = run(spec, 0)
    with computing():
        stopped = Training(spec, 0, tmp_path, ALWAYS)
        for done in stopped.steps():
            if done == 4:
                break
    resumed, extra = run(spec, 0, tmp_path, ALWAYS)
    assert extra["resumptions"] == 1
    for name, table in whole.items():
        assert table.equals(resumed[name]), name


def test_interventions_are_a_part_of_the_spec() -> None:
    spec = dataclasses.replace(TINY, interventions=EVERYTHING)
    assert from_json(TrainSpec, to_json(spec)) == spec
    assert spec_id(spec) != spec_id(TINY)
    typed = override_all(
        TINY, [("interventions", ["rescale", "gate"]), ("interventions.0.factor", 0.25), ("interventions.1.filters", "random")]
    )
    assert typed.interventions == (Rescale(factor=0.25), Gate(filters=Random()))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([("interventions", "rescal")], "interventions = 'rescal' is not valid: use one of clamp_norm"),
        (
            [("interventions", "rescale"), ("interventions.1.factor", 2)],
            "unknown field 'interventions.1.factor': interventions.0.FIELD",
        ),
        ([("interventions.0.factor", 2)], "interventions has no fields of its own"),
        ([("interventions", "rescale"), ("interventions.0.factor", 0)], "factor = 0.0 is not valid"),
        ([("interventions", "rescale"), ("interventions.0.step", 6)], "interventions.0.step = 6 is not valid"),
        ([("interventions", "gate"), ("interventions.0.parts", "bias")], "parts = 'bias' is not valid"),
        ([("interventions", "clamp_norm"), ("interventions.0.part", "scale")], "part = 'scale' is not valid"),
        ([("interventions", "clamp_norm"), ("interventions.0.floor", 2.0)], "ceiling = 1.0 is not valid"),
    ],
)
def test_a_mistake_is_one_line(fields: list[tuple[str, Any]], message: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        override_all(TINY, fields)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("intervention", "network", "message"),
    [
        (Rescale(filters=All(layers=("conv9",))), {}, "rescale: conv9 is no layer of filters; use one of conv1, conv2"),
        (Gate(parts=("scale",)), {"normalization": "none"}, "gate: no layer of filters has scale"),
    ],
)
def test_layers_that_cannot_be_treated_are_named(intervention: AbstractIntervention, network: Any, message: str) -> None:
    with pytest.raises(UserError, match=f"interventions.0 = {message}"):
        treated(intervention, network=dataclasses.replace(TINY.network, **network))
