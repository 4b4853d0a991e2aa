"""Networks of the literature have the sizes that others count, and do what the implementations of others do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from full_scale.models.base import AbstractArchitecture
from full_scale.models.lenet import LeNet
from full_scale.models.mlp import MLP
from full_scale.models.mobilenet_v2 import DOWNSAMPLINGS, MobileNetV2
from full_scale.models.parts.residual import PaddedShortcut
from full_scale.models.resnet import ResNet, ResNet50
from full_scale.models.unet import UNet
from full_scale.models.vgg import VGG
from mechanisms.validation import InvalidValue
from tests.full_scale.removal.zoo import torchvision_models

CIFAR, IMAGENET, MNIST = ((3, 32, 32), 10), ((3, 224, 224), 1000), ((1, 28, 28), 10)


def weightless(network: AbstractArchitecture, shape: tuple[int, int, int], classes: int) -> nn.Module:
    with torch.device("meta"):
        return network.architecture(shape, classes)


@pytest.mark.parametrize(
    ("network", "images", "parameters"),
    [
        # The pages of torchvision's weights.
        (VGG(depth=16, head="imagenet"), IMAGENET, 138_365_992),
        (VGG(depth=11, head="imagenet"), IMAGENET, 132_868_840),
        (ResNet50(), IMAGENET, 25_557_032),
        (MobileNetV2(downsampling=32), IMAGENET, 3_504_872),
        # Thirteen convolutions and one linear layer, by hand: weights 14,710,464 + 5,120, biases 4,224 + 10, BatchNorm 8,448.
        (VGG(depth=16), CIFAR, 14_728_266),
        # He et al. 2016, table 6: 0.27, 0.85 and 1.7 million. By hand: 3 × 16 × 9 + n (2 × 16² + 2 × 32² + 2 × 64²) × 9
        # - (16 × 32 + 32 × 64) × 9 + 2 × 16 + 4 n (16 + 32 + 64) + 650 for n = 3, 9, 18.
        (ResNet(depth=20), CIFAR, 269_722),
        (ResNet(depth=56), CIFAR, 853_018),
        (ResNet(depth=110), CIFAR, 1_727_962),
        # Two shortcuts of 16 × 32 and 32 × 64 weights with their BatchNorm more.
        (ResNet(depth=20, shortcut="projection"), CIFAR, 269_722 + 16 * 32 + 32 * 64 + 2 * 32 + 2 * 64),
        # 156 + 2,416 + 48,120 + 10,164 + 850.
        (LeNet(normalization="none"), MNIST, 61_706),
        # The LeNet of Caffe, 431 thousand in the literature on pruning.
        (LeNet(normalization="none", channels=(20, 50), hidden=(500,), padding=0), MNIST, 431_080),
        # The perceptron 784-300-100, 266.6 thousand in the same literature.
        (MLP(hidden=(300, 100), normalization="none"), MNIST, 266_610),
    ],
    ids=str,
)
def test_parameters(network: AbstractArchitecture, images: Any, parameters: int) -> None:
    assert sum(parameter.numel() for parameter in weightless(network, *images).parameters()) == parameters


@pytest.mark.parametrize(("depth", "filters"), [(11, 2752), (16, 4224)])
def test_filters_of_vgg(depth: int, filters: int) -> None:
    assert sum(layer.features for layer in VGG(depth=depth, width=1.0).build(*CIFAR, seed=0).layers) == filters


@pytest.fixture
def models() -> Any:
    """The models of torchvision."""
    try:
        return torchvision_models()
    except ImportError as error:
        pytest.skip(f"torchvision is not installed: {error}")


@pytest.mark.parametrize(
    ("network", "name"),
    [
        (VGG(depth=16, head="imagenet"), "vgg16_bn"),
        (VGG(depth=11, head="imagenet"), "vgg11_bn"),
        (ResNet50(), "resnet50"),
        (MobileNetV2(downsampling=32), "mobilenet_v2"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_shapes_are_those_of_torchvision(models: Any, network: AbstractArchitecture, name: str) -> None:
    with torch.device("meta"):
        theirs = getattr(models, name)()
    assert [p.shape for p in weightless(network, *IMAGENET).parameters()] == [p.shape for p in theirs.parameters()]


@pytest.mark.parametrize(
    ("network", "name"),
    [(ResNet50(), "resnet50"), (MobileNetV2(downsampling=32), "mobilenet_v2")],
    ids=lambda value: value if isinstance(value, str) else "",
)
@torch.no_grad()
def test_scores_are_those_of_torchvision(models: Any, network: AbstractArchitecture, name: str) -> None:
    """With equal weights and running statistics, in float64 to its rounding."""
    ours = network.build(*IMAGENET, seed=0).module
    with torch.device("meta"):
        theirs = getattr(models, name)()
    theirs.to_empty(device="cpu")
    for own, other in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        other.copy_(own)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected, found = theirs.double().eval()(images), ours.double().eval()(images)
    assert expected.std() > 1e-3
    assert torch.allclose(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("downsampling", DOWNSAMPLINGS)
def test_the_map_of_mobilenet_shrinks_as_asked(downsampling: int) -> None:
    module = MobileNetV2(width=1 / 16, downsampling=downsampling).build((1, 32, 32), 10, 0).module
    assert _side_before_the_mean(module) == 32 // downsampling


@pytest.mark.parametrize("pools", range(6))
def test_the_map_of_vgg_shrinks_as_asked(pools: int) -> None:
    assert _side_before_the_mean(VGG(depth=11, width=1 / 64, pools=pools).build((1, 32, 32), 10, 0).module) == 32 >> pools


def test_the_map_of_a_cifar_resnet_shrinks_twice() -> None:
    assert _side_before_the_mean(ResNet(depth=8, width=1 / 8).build((1, 32, 32), 10, 0).module) == 8


def test_a_padded_shortcut_takes_every_second_pixel_and_adds_channels_of_zeros() -> None:
    maps = torch.arange(32.0).reshape(1, 2, 4, 4)
    found = PaddedShortcut(2, 5, stride=2)(maps)
    assert found.shape == (1, 5, 2, 2)
    assert torch.equal(found[:, :2], maps[:, :, [0, 2]][:, :, :, [0, 2]])
    assert not found[:, 2:].any()


@pytest.mark.parametrize(("stem", "side"), [("imagenet", 1), ("small", 4)])
def test_the_map_of_resnet50_shrinks_as_its_stem_says(stem: str, side: int) -> None:
    assert _side_before_the_mean(ResNet50(width=1 / 64, stem=stem).build((1, 32, 32), 10, 0).module) == side


def _side_before_the_mean(module: nn.Module) -> int:
    sides: list[int] = []
    module.get_submodule("mean").register_forward_pre_hook(lambda part, inputs: sides.append(inputs[0].shape[-1]))
    module(torch.zeros(2, 1, 32, 32))
    return sides[0]


@pytest.mark.parametrize(
    ("network", "fields"),
    [
        (VGG, {"depth": 13}),
        (VGG, {"head": "mnist"}),
        (VGG, {"pools": 6}),
        (VGG, {"width": 17.0}),
        (ResNet, {"depth": 18}),
        (ResNet, {"depth": 2}),
        (ResNet, {"shortcut": "none"}),
        (ResNet50, {"stem": "cifar"}),
        (LeNet, {"channels": (6,)}),
        (LeNet, {"hidden": (0,)}),
        (LeNet, {"padding": 3}),
        (LeNet, {"normalization": "group"}),
        (MLP, {"hidden": ()}),
        (MLP, {"hidden": (0,)}),
        (UNet, {"levels": 0}),
        (UNet, {"width": 0.0}),
        (MobileNetV2, {"downsampling": 3}),
    ],
)
def test_impossible_networks_are_refused_by_name(network: Any, fields: dict[str, object]) -> None:
    with pytest.raises(InvalidValue, match=next(iter(fields))):
        network(**fields)


def test_a_u_net_is_refused_where_a_map_cannot_be_halved() -> None:
    with pytest.raises(InvalidValue, match="levels"):
        UNet(levels=2).require_fits((1, 12, 10))
