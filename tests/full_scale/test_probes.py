"""Forces that add up to the change made, and feature measurements equal to a computation by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from full_scale.data.base import Examples
from full_scale.measure.probes import FORCES, ForceProbe, measure_features, observe
from full_scale.measure.silencing import without_features
from full_scale.models.base import BuiltNetwork, FeatureLayer
from full_scale.models.basic_net import BasicNet
from full_scale.training.optimizer import make_optimizer
from full_scale.training.parameters import ParameterGroups, group_parameters
from mechanisms.law.regularizers import COUPLINGS, L2, AbstractRegularizer
from mechanisms.law.update_rules import SGD, AbstractUpdateRule, Adam
from mechanisms.records.specs import choices

RULES = choices(AbstractUpdateRule)
REGULARIZERS = choices(AbstractRegularizer)
RATE = 0.02


def two_layers() -> BuiltNetwork:
    """conv1 (2 features, 1 × 1) is read by conv2 (3 features, 1 × 1), which a linear layer reads at 2 × 2 positions."""
    module = nn.Sequential(
        nn.Conv2d(1, 2, 1, bias=False), nn.BatchNorm2d(2), nn.ReLU(),
        nn.Conv2d(2, 3, 1, bias=False), nn.BatchNorm2d(3), nn.ReLU(),
        nn.Flatten(), nn.Linear(3 * 4, 2),
    )  # fmt: skip
    parts: list[Any] = list(module)
    return BuiltNetwork(
        module,
        (
            FeatureLayer("conv1", parts[0], parts[1], parts[2], parts[3]),
            FeatureLayer("conv2", parts[3], parts[4], parts[5], parts[7]),
        ),
    )


def scales(network: BuiltNetwork) -> np.ndarray:
    return torch.cat([layer.norm.weight for layer in network.layers]).detach().numpy().copy()


def random_gradients(module: nn.Module, generator: torch.Generator) -> None:
    for parameter in module.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("decayed", ["all", "no_norm", "norm"])
@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("regularizer_name", REGULARIZERS)
@pytest.mark.parametrize("rule_name", RULES)
def test_the_forces_add_up_to_the_change(rule_name: str, regularizer_name: str, coupling: str, decayed: str) -> None:
    network = two_layers()
    groups = group_parameters(network.module, decayed)
    law = (groups, RULES[rule_name](), REGULARIZERS[regularizer_name](strength=0.03, coupling=coupling), RATE)
    probe, optimizer = ForceProbe(network, *law), make_optimizer(*law)
    assert all(np.isnan(values).all() and values.shape == (5,) for values in probe.forces().values())
    generator = torch.Generator().manual_seed(0)
    for number in range(12):
        before, scale = scales(network), 1 / (1 + number)
        random_gradients(network.module, generator)
        probe.observe(scale)
        optimizer.step(scale)
        change, forces = scales(network) - before, probe.forces()
        total = forces["loss_force"] + forces["reg_force"]
        rounding = 4 * np.finfo(float).eps * np.abs(before).max()  # `change` is a difference of scales near 1
        assert np.abs(total - change).max() <= 1e-12 * np.abs(change).max() + rounding
        assert np.all(forces["denominator"] > 0)
        assert np.any(forces["reg_force"] != 0) == (decayed != "no_norm")


def test_the_split_itself() -> None:
    """Plain gradient descent: the loss force is −η g, the regularizer force −η λ w, the denominator 1."""
    network = two_layers()
    law = (group_parameters(network.module, "all"), SGD(), L2(strength=0.1), RATE)
    probe, before = ForceProbe(network, *law), scales(network)
    random_gradients(network.module, torch.Generator().manual_seed(3))
    probe.observe(0.5)
    forces = probe.forces()
    gradient = torch.cat([layer.norm.weight.grad for layer in network.layers if layer.norm.weight.grad is not None]).numpy()
    assert list(forces) == list(FORCES)
    np.testing.assert_allclose(forces["loss_force"], -0.01 * gradient, rtol=1e-6)
    np.testing.assert_allclose(forces["reg_force"], -0.01 * 0.1 * before, rtol=1e-6)
    np.testing.assert_array_equal(forces["denominator"], 1)


def test_scales_decayed_in_one_layer_alone_are_pulled_there_alone() -> None:
    network = two_layers()
    first, before = network.layers[0], scales(network)
    decayed = {"1.weight": first.norm.weight}
    groups = ParameterGroups(decayed, {n: p for n, p in network.module.named_parameters() if p is not first.norm.weight})
    probe = ForceProbe(network, groups, SGD(), L2(strength=0.1), RATE)
    random_gradients(network.module, torch.Generator().manual_seed(3))
    probe.observe(1.0)
    expected = np.where(np.arange(len(before)) < first.features, -RATE * 0.1 * before, 0)
    np.testing.assert_allclose(probe.forces()["reg_force"], expected, rtol=1e-6)


@torch.no_grad()
def hand_made() -> tuple[BuiltNetwork, Examples]:
    """Two layers with round numbers, BatchNorm in evaluation mode the identity but for scale and shift; three images of 2 × 2."""
    network = two_layers()
    first, second = network.layers
    for layer in network.layers:
        layer.norm.eps = 0.0
    first.conv.weight.copy_(torch.tensor([1.0, -2.0]).reshape(2, 1, 1, 1))
    first.norm.weight.copy_(torch.tensor([2.0, 1.0]))
    first.norm.bias.copy_(torch.tensor([0.0, -1.0]))
    second.conv.weight.copy_(torch.tensor([[3.0, 0.0], [4.0, 1.0], [0.0, 0.0]]).reshape(3, 2, 1, 1))
    second.norm.weight.copy_(torch.tensor([-1.0, 0.5, 1.0]))
    second.norm.bias.copy_(torch.tensor([5.0, 0.0, 0.25]))
    linear: Any = second.following
    linear.weight.zero_()
    linear.weight[0, 4:8] = torch.tensor([1.0, 2.0, 3.0, 4.0])  # what the second channel's four positions feed
    images = torch.tensor([[[1.0, -1.0], [0.0, 2.0]], [[0.0, 0.0], [0.0, 0.0]], [[1e-4, 0.0], [0.0, 0.0]]])
    return network, unlabelled(images.unsqueeze(1))


def unlabelled(images: torch.Tensor) -> Examples:
    return Examples(images, torch.zeros(len(images), dtype=torch.int64))


def test_features_against_a_computation_by_hand() -> None:
    network, examples = hand_made()
    table = measure_features(network, examples, 1)
    assert table["layer"].tolist() == ["conv1"] * 2 + ["conv2"] * 3
    assert table["feature"].tolist() == [0, 1, 0, 1, 2]
    # conv1, feature 0 is relu(2x): peaks 4, 0, 2e-4. Feature 1 is relu(−2x − 1): peaks 1 (at x = −1), 0, 0.
    # conv2 reads a and b. Feature 0 is relu(5 − 3a): over the positions of each image the largest is 5, where a = 0.
    # Feature 1 is relu((4a + b)/2): peaks 8 (a = 4, b = 0), 0, 4e-4. Feature 2 is its shift 0.25, everywhere.
    expected = {
        "scale": [2, 1, -1, 0.5, 1],
        "shift": [0, -1, 5, 0, 0.25],
        "incoming": [1, 2, 3, np.sqrt(17), 0],
        "outgoing": [5, 1, 0, np.sqrt(30), 0],
        "product": [10, 1, 0, 0.5 * np.sqrt(30), 0],
        "max_activation": [4, 1, 5, 8, 0.25],
        "mean_activation": [(4 + 2e-4) / 3, 1 / 3, 5, (8 + 4e-4) / 3, 0.25],
        "activity": [2 / 3, 1 / 3, 1, 2 / 3, 1],
        "zero_share": [9 / 12, 11 / 12, 2 / 12, 8 / 12, 0],
        "selectivity": [2 / 3, 2 / 3, 0, 2 / 3, 0],
        "selectivity_1e-1": [2 / 3, 2 / 3, 0, 2 / 3, 0],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(table[name], values, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize(("batch_size", "expected"), [(1, 1 / 4), (2, 1 / 2), (3, 1.0), (9, 1.0)])
def test_batch_activity_is_the_share_of_batches_that_use_a_feature(batch_size: int, expected: float) -> None:
    """Silent, silent, active, silent: one image in four, one pair in two, the only whole triple (the rest is left out)."""
    network, examples = hand_made()
    table = measure_features(network, examples.take(np.array([1, 1, 0, 1])), batch_size)
    assert table["batch_activity"][0] == pytest.approx(expected)


def test_without_a_normalization_scales_are_missing_and_features_are_left_out_at_their_source() -> None:
    network, examples = hand_made()
    bare = BuiltNetwork(network.module, tuple(dataclasses.replace(layer, norm=None) for layer in network.layers))
    table = measure_features(bare, examples, 1)
    assert table["scale"].isna().all()
    assert table["incoming"].tolist() == pytest.approx([1, 2, 3, np.sqrt(17), 0])
    before = network.layers[0].conv.weight.clone()
    with without_features(bare, table["feature"] == 0):
        assert network.layers[0].conv.weight.flatten().tolist() == [0, -2]
    assert torch.equal(network.layers[0].conv.weight, before)
    probe = ForceProbe(bare, group_parameters(bare.module, "all"), Adam(), L2(), RATE)
    assert np.isnan(probe.forces()["denominator"]).tolist() == [True] * 5


def test_a_silent_feature_is_fully_selective() -> None:
    network, examples = hand_made()
    with torch.no_grad():
        network.layers[0].norm.bias.fill_(-100.0)
    table = measure_features(network, examples, 1).iloc[:2]
    assert table["max_activation"].tolist() == [0, 0]
    assert table["selectivity"].tolist() == [1, 1]
    assert table["activity"].tolist() == [0, 0]


def test_a_feature_without_a_single_reader_is_its_scale() -> None:
    network, examples = hand_made()
    unread = dataclasses.replace(network.layers[0], following=None)
    table = measure_features(BuiltNetwork(network.module, (unread,)), examples, 1)
    assert table["outgoing"].isna().all()
    assert table["product"].tolist() == [2, 1]


def test_negative_activations_count_by_their_size() -> None:
    network, examples = hand_made()
    leaky = nn.LeakyReLU(0.5)
    network.module[2] = leaky  # type: ignore[operator]
    first = dataclasses.replace(network.layers[0], activation=leaky)
    table = measure_features(BuiltNetwork(network.module, (first,)), examples, 1)
    # Feature 0 is 2x above 0 and x below: peaks 4, 0, 2e-4. Feature 1 is −2x − 1, halved below 0: −2.5 at x = 2; else −0.5.
    np.testing.assert_allclose(table["max_activation"], [4, 2.5])
    np.testing.assert_allclose(table["mean_activation"], [(4 + 2e-4) / 3, (2.5 + 0.5 + 0.5001) / 3])
    assert table["activity"].tolist() == pytest.approx([2 / 3, 1])


def test_observing_changes_nothing_and_takes_any_number_of_images() -> None:
    network, examples = hand_made()
    network.module.train()
    before = {name: value.clone() for name, value in network.module.state_dict().items()}
    many = unlabelled(examples.images.repeat(500, 1, 1, 1))
    observation = observe(network, many)
    assert observation.scores.shape == (1500, 2)
    assert [tuple(peaks.shape) for peaks in observation.peaks] == [(1500, 2), (1500, 3)]
    assert torch.equal(observation.peaks[0][:3], observation.peaks[0][1497:])
    assert network.module.training
    assert all(torch.equal(before[name], value) for name, value in network.module.state_dict().items())
    assert not any(layer.activation._forward_hooks for layer in network.layers)


def test_the_table_does_not_follow_later_training() -> None:
    network, examples = hand_made()
    table = measure_features(network, examples, 1)
    with torch.no_grad():
        network.layers[0].norm.weight.fill_(99.0)
    assert table["scale"][0] == 2


def test_features_can_be_left_out_for_a_while() -> None:
    network = BasicNet(width=0.0625).build((1, 8, 8), 10, 0)
    examples = unlabelled(torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(1)))
    before, table = observe(network, examples), measure_features(network, examples, 1)
    marked = (table["layer"] == "conv2") & (table["feature"] < 3)
    with without_features(network, marked):
        inside = observe(network, examples)
        assert not inside.peaks[1][:, :3].any()
        assert torch.equal(inside.peaks[0], before.peaks[0])
        assert not torch.equal(inside.scores, before.scores)
    assert torch.equal(observe(network, examples).scores, before.scores)
