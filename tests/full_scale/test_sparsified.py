"""What can go of a network that a sparsifier trained; its experiments; segmentation, which one of them needs."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from full_scale.data.base import Data
from full_scale.data.shapes import Shapes
from full_scale.data.synthetic import Synthetic
from full_scale.measure.channel_products import gram_matrices
from full_scale.measure.probes import mixed_order, observe
from full_scale.models.basic_net import BasicNet
from full_scale.models.mlp import MLP
from full_scale.models.unet import UNet
from full_scale.pruning.sparsified import gone, removal_table, run
from full_scale.pruning.sparsified_spec import SparsifiedSpec
from full_scale.run_types import KINDS, spec_of
from full_scale.suite import LAYER
from full_scale.training.loop import Training, error_rate
from full_scale.training.spec import TrainSpec
from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import Adam
from mechanisms.records.columns import check
from mechanisms.records.specs import spec_id, to_json
from mechanisms.records.suites import PRESETS
from mechanisms.validation import InvalidValue, UserError

TINY = TrainSpec(
    data=Synthetic(side=8, channels=1, train_images=60, test_images=40, noise=0.3),
    network=BasicNet(width=1 / 16, pools_after=(1, 2)),
    rule=Adam(),
    regularizer=L2(),
    learning_rate=1e-2,
    batch_size=20,
    steps=20,
    measurements=1,
)
SPEC = SparsifiedSpec(train=TINY, scores=("relative_norm", "activation", "reach", "entropic"), ratios=(0.0, 0.5, 0.9), images=40)
NAMES = ("node_pruning", "l1_over_l2")


def finished(spec: TrainSpec) -> Training:
    training = Training(spec, 0)
    training.run()
    return training


def test_errors_are_those_of_two_halves_of_the_test_images_as_features_go() -> None:
    tables, _ = run(SPEC, 0)
    removal = tables["removal"]
    check(removal, "removal")
    assert set(removal["criterion"]) == {"gone", *SPEC.scores}
    whole = removal[removal["ratio"] == 0]
    assert whole["removed"].eq(0).all()
    both = whole[["choosing_error", "judged_error"]].mean(axis=1)
    np.testing.assert_allclose(both, tables["curve"]["test_error"].iloc[-1], atol=1e-6)
    assert (removal.loc[removal["ratio"] == 0.9, "removed"] > 0.5).all()


def test_removal_leaves_the_training_as_it_was() -> None:
    training = finished(TINY)
    before = {name: value.clone() for name, value in training.network.module.state_dict().items()}
    removal_table(SPEC, training)
    assert all(torch.equal(value, before[name]) for name, value in training.network.module.state_dict().items())


@pytest.mark.parametrize("network", [TINY.network, MLP(hidden=(7, 5), normalization="none")], ids=["conv", "linear"])
def test_gram_matrices_are_those_of_what_each_channel_gives(network: Any) -> None:
    """Against the reader run on one channel at a time."""
    training = finished(dataclasses.replace(TINY, network=network))
    found = gram_matrices(training, 10)
    images = training.train.take(mixed_order(len(training.train))[:10]).images  # type: ignore[attr-defined]
    for layer, gram in zip(training.network.layers, found, strict=True):
        given: list[torch.Tensor] = []
        reader: Any = layer.following
        handle = reader.register_forward_pre_hook(lambda _, inputs, given=given: given.append(inputs[0].detach().double()))
        training.network.module.eval()
        training.network.module(images)
        handle.remove()
        inputs, double = given[0], torch.nn.functional
        parts = []
        for feature in range(layer.features):
            alone = torch.zeros_like(inputs).view(len(inputs), layer.features, -1)
            alone[:, feature] = inputs.view(len(inputs), layer.features, -1)[:, feature]
            alone, weight = alone.view(inputs.shape), reader.weight.detach().double()
            made = (
                double.linear(alone, weight)
                if isinstance(reader, torch.nn.Linear)
                else double.conv2d(alone, weight, padding=reader.padding, stride=reader.stride)
            )
            parts.append(made.flatten())
        values = torch.stack(parts)
        np.testing.assert_allclose(gram, (values @ values.T).numpy(), rtol=1e-9, atol=1e-9 * float(gram.max()))


def test_gone_is_what_is_silent_or_has_nothing_left() -> None:
    training = finished(dataclasses.replace(TINY, network=MLP(hidden=(6, 5))))
    first, second = training.network.layers
    with torch.no_grad():
        first.conv.weight[0] = 0  # nothing comes in
        second.conv.weight[:, 1] = 0  # nothing reads it
        first.norm.weight[2] = 0  # type: ignore[union-attr]
        first.norm.bias[3], first.norm.weight[3] = -100, 1e-2  # type: ignore[union-attr]
    training._measure(0.0)
    found = gone(training.tables["features"][-1])
    assert found[:6].tolist()[:4] == [True] * 4
    assert found.sum() <= 4 + int((training.tables["features"][-1]["max_activation"] == 0).sum())


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"scores": ("taylor",)}, "relative_norm"),
        ({"scores": ("reach", "reach")}, "each once"),
        ({"ratios": (0.5, 0.7)}, "from 0"),
        ({"ratios": (0.0, 0.7, 0.6)}, "rising"),
        ({"images": 1}, "images"),
    ],
)
def test_refuses_invalid_fields_by_name(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidValue, match=named):
        dataclasses.replace(SPEC, **fields)


def test_the_entropic_score_refuses_features_that_several_read() -> None:
    network = dataclasses.replace(SPEC, train=dataclasses.replace(TINY, network=UNet(width=1 / 32)))
    with pytest.raises(UserError, match=r"entropic: .* is not read by one"):
        run(network, 0)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", NAMES)
def test_experiments_hold_plain_training_and_are_written_and_read(name: str, preset: str) -> None:
    specs = LAYER.specs(name, [f"preset={preset}"])
    assert len({spec_id(spec) for spec in specs}) == len(specs)
    networks = {spec.train.network for spec in specs}
    for network in networks:
        own = [spec for spec in specs if spec.train.network == network]
        plain = [s for s in own if not (s.train.penalties or s.train.after_update or s.train.regularizer.strength)]
        assert len(plain) == 1
        assert len({(s.train.data, s.train.steps, s.train.rule, s.train.learning_rate) for s in own}) == 1
    for spec in specs:
        assert type(spec) in KINDS
        assert spec_of(to_json(spec)) == spec


def test_shapes_label_every_pixel_and_are_the_same_in_every_call() -> None:
    data = Shapes(side=16, train_images=20, test_images=10)
    first, again = data.load(), data.load()
    assert isinstance(first, Data)
    assert first.train.labels.shape == (20, 16, 16)
    assert torch.equal(first.train.labels, again.train.labels)
    assert set(first.train.labels.unique().tolist()) <= set(range(data.classes))
    images, labels = next(iter(first.train.batches([np.arange(20)])))
    assert images.shape == (20, *data.shape)
    assert images[(labels > 0)[:, None]].mean() > images[(labels == 0)[:, None]].mean() + 0.5


def test_a_u_net_learns_to_label_pixels() -> None:
    spec = dataclasses.replace(
        TINY, data=Shapes(side=16, train_images=60, test_images=20), network=UNet(width=1 / 8, maps=True), steps=60
    )
    training = finished(spec)
    curve = training.tables["curve"]
    first, last = (float(part["train_error"].iloc[0]) for part in (curve[0], curve[-1]))
    ground = float((training.train.labels != 0).double().mean())
    assert last < min(first, ground)
    assert observe(training.network, training.test).scores.shape == (20, 4, 16, 16)
    assert 0 <= error_rate(observe(training.network, training.test)) < 1


@pytest.mark.parametrize(
    ("data", "network"), [(Shapes(), UNet()), (TINY.data, UNet(maps=True)), (Shapes(), BasicNet())], ids=["means", "maps", "net"]
)
def test_networks_score_what_the_data_label(data: Any, network: Any) -> None:
    with pytest.raises(InvalidValue, match="labels"):
        dataclasses.replace(TINY, data=data, network=network)
