"""Penalties and steps after the update in a training: they are the law, act where they say, and change nothing at strength 0."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from full_scale.data.synthetic import Synthetic
from full_scale.hooks.sparsifiers import piece_of
from full_scale.models.basic_net import BasicNet
from full_scale.models.lenet import LeNet
from full_scale.models.mlp import MLP
from full_scale.models.unet import UNet
from full_scale.training.context import computing
from full_scale.training.loop import Training, run
from full_scale.training.spec import TrainSpec
from mechanisms.interventions import Rescale
from mechanisms.law.dynamics import init, step
from mechanisms.law.penalties import PARTS, AbstractPenalty, FilterBank, GroupLasso, L1OfPart, L1OverL2, SelectiveL1
from mechanisms.law.proximal import Proximal, WeightSampling
from mechanisms.law.regularizers import COUPLINGS, L1, L2
from mechanisms.law.schedules import Stepwise
from mechanisms.law.update_rules import SGD, AbstractUpdateRule, Adam
from mechanisms.records.specs import choices, from_json, override_all, spec_id, to_json
from mechanisms.system.context import RunContext
from mechanisms.validation import UserError

ALWAYS = RunContext(checkpoint_every=0)

IMAGES = Synthetic(side=16, channels=1, train_images=100, test_images=20)
TINY = TrainSpec(
    data=Synthetic(side=8, channels=1, train_images=100, test_images=20),
    network=BasicNet(width=1 / 16, pools_after=(1, 2)),
    rule=Adam(beta2=0.9),
    regularizer=L2(strength=1e-2),
    learning_rate=1e-2,
    schedule=Stepwise(milestones=(0.5,)),
    batch_size=20,
    steps=6,
    measurements=3,
)


def trained(**fields: Any) -> Training:
    training = Training(dataclasses.replace(TINY, **fields), 0)
    for _ in training.steps():
        pass
    return training


def weights(training: Training) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in training.network.module.state_dict().items()}


def same(one: Training, other: Training) -> bool:
    return all(torch.equal(value, weights(other)[name]) for name, value in weights(one).items())


@pytest.mark.parametrize(
    "fields",
    [
        {"after_update": (WeightSampling(probability=0.0),)},
        {"after_update": (Proximal(strength=0.0),)},
        *({"penalties": (kind(),)} for kind in choices(AbstractPenalty).values()),
    ],
    ids=lambda fields: next(iter(fields.values()))[0].name,
)
def test_at_strength_zero_a_training_is_the_plain_one_bit_for_bit(fields: dict[str, Any]) -> None:
    plain, other = trained(), trained(**fields)
    assert same(plain, other)
    for table, parts in plain.tables.items():
        for one, two in zip(parts, other.tables[table], strict=True):
            assert one.equals(two)


@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("rule", choices(AbstractUpdateRule))
def test_a_penalty_is_the_regularizer_of_the_same_gradient(rule: str, coupling: str) -> None:
    """L1 as a regularizer of the scales and shifts, and as a penalty on the scales: alike on the scales."""
    common: dict[str, Any] = {"rule": choices(AbstractUpdateRule)[rule](), "steps": 1, "measurements": 1}
    by_law = trained(**common, regularizer=L1(strength=0.03, coupling=coupling), decayed="norm")
    spared = trained(
        **common,
        regularizer=L2(),
        interventions=(),
        penalties=(L1OfPart(strength=0.03, coupling=coupling),),
    )
    # Shifts start from 0, where L1 has no gradient: the first step of both is the same on every parameter.
    first = (
        [part[part["step"] == 1] for part in by_law.tables["features"]],
        [part[part["step"] == 1] for part in spared.tables["features"]],
    )
    for one, two in zip(*first, strict=True):
        for name in ("scale", "loss_force", "reg_force", "denominator"):
            np.testing.assert_allclose(one[name], two[name], rtol=2e-4, atol=1e-7)


@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("rule", [SGD(momentum=0.9), Adam(beta2=0.9)], ids=lambda one: one.name)
def test_penalized_weights_follow_the_law(rule: Any, coupling: str) -> None:
    """One step of a group lasso on incoming weights, beside L2 of another coupling, against `mechanisms.law.dynamics`."""
    penalty = GroupLasso(strength=0.05, coupling=coupling)
    spec = dataclasses.replace(
        TINY, rule=rule, regularizer=L2(strength=0.1, coupling="decoupled"), penalties=(penalty,), measurements=1
    )
    training = Training(spec, 0)
    piece = piece_of(training.network.layers[1], 1, "incoming")
    before, steps = piece.parameter.detach().double().numpy().copy(), training.steps()
    pull = piece.spread(0.05 * penalty.slope(piece.weights())).double().numpy()
    gradient: dict[str, Any] = {}
    own_step = training.optimizer.step

    def watched(scale: float) -> None:
        gradient["own"] = piece.parameter.grad.double().numpy().copy()
        own_step(scale)

    training.optimizer.step = watched  # type: ignore[method-assign]
    next(steps)
    inside, beside = penalty.entrance(1e-2, 1.0)
    loss = gradient["own"] - inside * pull
    law = {"rule": rule, "regularizer": spec.regularizer}
    plain = step(before, loss + inside * pull, init(before, **law), learning_rate=1e-2, **law).w
    np.testing.assert_allclose(piece.parameter.detach().numpy(), plain - beside * pull, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("network", [BasicNet(width=1 / 16, pools_after=(1, 2)), MLP(hidden=(6, 5)), UNet(width=1 / 16)])
@pytest.mark.parametrize("part", PARTS)
def test_pieces_hold_each_feature_in_a_row_and_go_back_to_their_place(network: Any, part: str) -> None:
    built = network.build((1, 8, 8), 3, 0)
    for place, layer in enumerate(built.layers):
        if (part == "scale" and layer.norm is None) or (part == "outgoing" and layer.following is None):
            continue
        piece = piece_of(layer, place, part)
        found = piece.weights()
        assert found.shape[0] == layer.features
        assert torch.equal(piece.spread(found), piece.parameter.detach())
        if part == "incoming":
            assert torch.equal(found.flatten(1), layer.incoming().detach())
            assert found.shape[2] == layer.conv.weight.shape[2:].numel()


@pytest.mark.parametrize(
    ("penalty", "column"),
    [
        (L1OfPart(strength=0.3), "scale"),
        (GroupLasso(strength=0.3), "incoming"),
        (GroupLasso(strength=0.3, part="outgoing"), "outgoing"),
        (SelectiveL1(strength=0.3), "scale"),
    ],
    ids=lambda one: getattr(one, "name", ""),
)
def test_penalties_shrink_what_they_act_on(penalty: Any, column: str) -> None:
    common: dict[str, Any] = {"regularizer": L2(), "steps": 30, "rule": SGD(momentum=0.9), "learning_rate": 0.02}
    plain, pulled = (trained(**common, penalties=those).tables["features"][-1][column].abs().mean() for those in ((), (penalty,)))
    assert pulled < 0.9 * plain


def test_the_ratio_falls_while_norms_do_not_vanish() -> None:
    penalty = L1OverL2(strength=1.0, level="group")
    common: dict[str, Any] = {"regularizer": L2(), "steps": 30, "rule": SGD(), "learning_rate": 0.05}
    ratios = []
    for those in ((), (penalty,)):
        training = trained(**common, penalties=those)
        pieces = [piece_of(layer, n, "incoming").weights() for n, layer in enumerate(training.network.layers)]
        ratios.append(sum(float(penalty.value(one)) for one in pieces))
        assert all(one.abs().max() > 1e-3 for one in pieces)
    assert ratios[1] < ratios[0]


def test_a_filter_bank_makes_kernels_smooth_and_not_small() -> None:
    common: dict[str, Any] = {"regularizer": L2(), "steps": 30, "rule": SGD(), "learning_rate": 0.05}
    outside = []
    for those in ((), (FilterBank(strength=3.0),)):
        training = trained(**common, penalties=those)
        kernels = piece_of(training.network.layers[1], 1, "incoming").weights()
        outside.append(float(FilterBank().value(kernels) / kernels.square().sum()))
    assert outside[1] < 0.5 * outside[0]


def test_proximal_steps_make_exact_zeros_that_stay_countable() -> None:
    training = trained(after_update=(Proximal(strength=50.0),), regularizer=L2(), interventions=(Rescale(factor=0.1),))
    scales = torch.cat([layer.norm.weight.detach() for layer in training.network.layers])
    assert (scales == 0).any()
    plain = trained(regularizer=L2(), interventions=(Rescale(factor=0.1),))
    assert not any((layer.norm.weight == 0).any() for layer in plain.network.layers)


@pytest.mark.parametrize("permanent", [True, False])
def test_sampled_zeros_are_for_good_if_asked(permanent: bool) -> None:
    training = Training(
        dataclasses.replace(TINY, after_update=(WeightSampling(probability=0.3, width=0.1, permanent=permanent),), steps=8), 0
    )
    gone: dict[str, torch.Tensor] = {}
    returned = 0
    for _ in training.steps():
        for name, module in training.network.module.named_modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                now = module.weight.detach() == 0
                returned += int((gone.get(name, now) & ~now).sum())
                gone[name] = now.clone()
    assert sum(int(one.sum()) for one in gone.values()) > 0
    assert (returned == 0) == permanent


@pytest.mark.parametrize(
    "fields",
    [
        {"after_update": (WeightSampling(probability=0.3, width=0.1),)},
        {"penalties": (SelectiveL1(strength=0.1), GroupLasso(strength=0.1, coupling="independent"))},
    ],
    ids=["sampling", "penalties"],
)
def test_a_training_that_is_cut_off_ends_as_a_whole_one(
    fields: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = dataclasses.replace(TINY, **fields)
    whole, _ = run(spec, 0)
    with computing():
        for done in Training(spec, 0, tmp_path, ALWAYS).steps():
            if done == 5:
                break
    again, extra = run(spec, 0, tmp_path, ALWAYS)
    assert extra["resumptions"] == 1
    for name, table in whole.items():
        assert again[name].equals(table)


def test_specs_with_sparsifiers_are_written_and_read() -> None:
    spec = override_all(TINY, [("penalties", "l1_over_l2"), ("penalties.0.strength", 0.1), ("after_update", "proximal")])
    assert spec.penalties == (L1OverL2(strength=0.1),)
    assert from_json(TrainSpec, to_json(spec)) == spec
    assert spec_id(spec) != spec_id(TINY)
    assert not {"penalties", "after_update"} & set(to_json(TINY))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"penalties": (L1OfPart(),)}, "part = scale: no layer"),
        ({"after_update": (Proximal(),)}, "acts on scales"),
    ],
)
def test_networks_without_what_is_acted_on_are_refused(fields: dict[str, Any], named: str) -> None:
    bare = LeNet(channels=(2, 3), hidden=(4,), normalization="none")
    with pytest.raises(UserError, match=named):
        Training(dataclasses.replace(TINY, network=bare, data=IMAGES, **fields), 0)
