"""Networks: shapes, sizes, initial weights; which of their parameters are decayed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from full_scale.models.basic_net import BasicNet
from full_scale.training.parameters import group_parameters
from full_scale.training.spec import DECAYED
from mechanisms.records.rng import stream
from mechanisms.validation import InvalidValue

SHAPE = (1, 8, 8)


def small(seed: int = 0) -> nn.Module:
    return BasicNet(width=1 / 16).build(SHAPE, 10, seed).module


@pytest.mark.parametrize(
    ("width", "channels"),
    [(1.0, (64, 128, 128, 256, 256, 512, 512)), (0.25, (16, 32, 32, 64, 64, 128, 128)), (1e-6, (1,) * 7)],
)
def test_basic_net_widths(width: float, channels: tuple[int, ...]) -> None:
    network = BasicNet(width=width)
    assert network.channels == channels
    built = network.build(SHAPE, 10, 0)
    assert tuple(layer.features for layer in built.layers) == channels
    assert [layer.name for layer in built.layers] == [f"conv{n}" for n in range(1, 8)]


@pytest.mark.parametrize(("first_kernel", "parameters"), [(5, 4_649_664), (3, 4_646_592)])
def test_basic_net_has_the_recollected_number_of_convolution_weights(first_kernel: int, parameters: int) -> None:
    """A consistency check of the recollection: the total 4,649,664 belongs to a first kernel of 5 × 5 on three input channels."""
    built = BasicNet(width=1.0, first_kernel=first_kernel).build((3, 32, 32), 10, 0)
    assert sum(layer.conv.weight.numel() for layer in built.layers) == parameters


def test_basic_net_parts_follow_one_another() -> None:
    module = BasicNet(pools_after=(2, 7), width=0.25).build(SHAPE, 10, 0).module
    names = [name for name, _ in module.named_children()]
    assert names[3:8] == ["conv2", "norm2", "relu2", "pool2", "conv3"]
    assert names[-6:] == ["relu7", "pool7", "flatten", "fc1", "relu8", "fc2"]
    assert dict(module.named_children())["fc1"].in_features == 128 * 2 * 2


def test_the_outgoing_weights_are_those_of_the_next_layer() -> None:
    layers = BasicNet(width=1 / 16).build(SHAPE, 10, 0).layers
    for layer, following in itertools.pairwise(layers):
        assert layer.following is following.conv
    assert isinstance(layers[-1].following, nn.Linear)


def test_initial_weights_are_those_of_the_seed_and_no_global_generator_moves() -> None:
    before = torch.random.get_rng_state()
    first, again, other = small(0).state_dict(), small(0).state_dict(), small(1).state_dict()
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["conv3.weight"], other["conv3.weight"])


def test_initial_weights_are_those_of_torch() -> None:
    """Uniform within ±1/√fan-in, as torch's own reset_parameters draws them."""
    torch.manual_seed(0)
    for name, own in (("conv3", torch.nn.Conv2d(128, 128, 3, bias=False)), ("fc1", torch.nn.Linear(2048, 256))):
        ours = getattr(BasicNet(width=1.0).build(SHAPE, 10, 0).module, name)
        for (_, expected), (_, found) in zip(own.named_parameters(), ours.named_parameters(), strict=True):
            assert found.abs().max().item() == pytest.approx(expected.abs().max().item(), rel=0.02)
            assert found.std().item() == pytest.approx(expected.std().item(), rel=0.1)


def test_initial_weights_can_be_xavier_uniform() -> None:
    module = BasicNet(width=1.0, initialization="xavier").build(SHAPE, 10, 0).module
    parameters = dict(module.named_parameters())
    for name, inputs, outputs in (("conv3", 128 * 9, 128 * 9), ("fc1", 512 * 4, 256)):
        bound, weight = np.sqrt(6 / (inputs + outputs)), parameters[f"{name}.weight"].detach().numpy()
        assert np.abs(weight).max() <= bound * (1 + 1e-6)
        assert weight.std() == pytest.approx(bound / np.sqrt(3), rel=0.01)
    assert not parameters["fc1.bias"].any()
    assert not parameters["fc2.bias"].any()
    assert torch.equal(parameters["norm4.weight"], torch.ones(256))
    assert not parameters["norm4.bias"].any()


def test_initial_weights_are_drawn_in_the_order_of_the_parts() -> None:
    """So that a part which is added at the end, or an option that adds none, leaves what is on record as it was."""
    generator = torch.Generator().manual_seed(int(stream(3, "init").integers(2**63)))
    for part in small(3).children():
        for drawn in () if isinstance(part, nn.BatchNorm2d) else part.parameters():
            bound = part.weight[0].numel() ** -0.5
            assert torch.equal(drawn, torch.empty_like(drawn).uniform_(-bound, bound, generator=generator))


@pytest.mark.parametrize(("normalization", "kind"), [("batch", nn.BatchNorm2d), ("layer", nn.GroupNorm), ("none", None)])
def test_basic_net_for_contrast(normalization: str, kind: type[nn.Module] | None) -> None:
    built = BasicNet(width=1 / 16, normalization=normalization, activation="gelu").build(SHAPE, 10, 0)
    assert [layer.name for layer in built.layers] == [f"conv{n}" for n in range(1, 8)]
    for layer in built.layers:
        assert (layer.norm is None) if kind is None else isinstance(layer.norm, kind)
        assert (layer.conv.bias is None) == (kind is not None)
        assert isinstance(layer.activation, nn.GELU)


def test_layer_normalization_is_over_all_features_and_positions_of_an_image() -> None:
    norm = BasicNet(width=1 / 16, normalization="layer").build(SHAPE, 10, 0).layers[2].norm
    images = torch.randn(4, 8, 5, 5, generator=torch.Generator().manual_seed(0))
    assert norm is not None
    expected = nn.functional.layer_norm(images, images.shape[1:])
    assert torch.allclose(norm(images), expected, atol=1e-6)


@pytest.mark.parametrize(
    "fields",
    [
        {"width": 0.0},
        {"pools_after": (0,)},
        {"pools_after": (8,)},
        {"pools_after": (4, 2)},
        {"kernel": 2},
        {"first_kernel": 0},
        {"initialization": "orthogonal"},
        {"normalization": "group"},
        {"activation": "tanh"},
        {"negative_slope": 0.1, "activation": "gelu"},
    ],
)
def test_impossible_networks_are_refused_by_name(fields: dict[str, object]) -> None:
    with pytest.raises(InvalidValue, match=next(iter(fields))):
        BasicNet(**fields)


@pytest.mark.parametrize("decayed", DECAYED)
def test_decayed_parameters(decayed: str) -> None:
    module = small()
    groups = group_parameters(module, decayed)
    conv = {f"conv{n}.weight" for n in range(1, 8)}
    norm = {f"norm{n}.{part}" for n in range(1, 8) for part in ("weight", "bias")}
    linear = {f"fc{n}.{part}" for n in (1, 2) for part in ("weight", "bias")}
    expected = {"all": conv | norm | linear, "no_norm": conv | linear, "norm": norm, "conv": conv}[decayed]
    assert set(groups.decayed) == expected
    assert set(groups.free) == (conv | norm | linear) - expected
    parameters = dict(module.named_parameters())
    assert all(parameters[name] is parameter for name, parameter in (groups.decayed | groups.free).items())


def test_convolution_biases_are_free_when_convolution_weights_are_decayed() -> None:
    groups = group_parameters(nn.Sequential(nn.Conv2d(1, 1, 1)), "conv")
    assert (list(groups.decayed), list(groups.free)) == (["0.weight"], ["0.bias"])
