"""Other networks than BasicNet: the four settings of the main claim on each.

Presets as everywhere, but a `demo` on a network that does not fit digits runs on synthetic images.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from full_scale.data.base import AbstractDataset
from full_scale.data.cifar10 import Cifar10, Cifar10Jpeg
from full_scale.data.digits import Digits
from full_scale.data.folders import ImageNet, TinyImageNet
from full_scale.data.synthetic import Synthetic
from full_scale.experiments.protocols import PROTOCOLS
from full_scale.models.base import AbstractNetwork
from full_scale.models.resnet import ResNet, ResNet50
from full_scale.models.vgg import VGG
from full_scale.training.augmentation import AbstractAugmentation, Flip, FlipCrop, NoAugmentation
from full_scale.training.spec import TrainSpec

Specs = tuple[TrainSpec, ...]
SMALL_PHOTOGRAPHS = Cifar10Jpeg(side=16, train_images=20_000, test_images=5_000)
PHOTOGRAPHS = Cifar10Jpeg(train_images=20_000, test_images=5_000)


@dataclass(frozen=True)
class Size:
    """What a preset of one network is: its data, the network, and the steps where they are others than the protocol's."""

    data: AbstractDataset
    network: AbstractNetwork
    steps: int | None = None
    batch_size: int = 40
    augmentation: AbstractAugmentation = field(default_factory=Flip)


def _four(preset: str, size: Size) -> Specs:
    specs = PROTOCOLS[preset].four()
    steps = size.steps or specs[0].steps
    common: dict[str, Any] = {"data": size.data, "network": size.network, "steps": steps, "batch_size": size.batch_size}
    return tuple(replace(spec, augmentation=size.augmentation, **common) for spec in specs)


def vgg16(preset: str = "demo") -> Specs:
    """VGG-16 with BatchNorm: width 1/8 on synthetic images, 1/4 on photographs of 32 × 32 pixels, whole on CIFAR-10."""
    sizes = {
        "demo": Size(Synthetic(side=32, train_images=2000, test_images=500), VGG(width=0.125), 600),
        "short": Size(PHOTOGRAPHS, VGG(width=0.25), 4000),
        "paper": Size(Cifar10(), VGG()),
    }
    return _four(preset, sizes[preset])


def vgg11_imagenet(preset: str = "demo") -> Specs:
    """VGG-11 with its three linear layers: width 1/16 on synthetic images, 1/4 on Tiny-ImageNet, whole on ImageNet for 60 epochs.

    Batch 60 on ImageNet, so that 60 epochs are as many steps as there are images; their number is this package's choice.
    """
    sizes = {
        "demo": Size(Synthetic(side=32, train_images=2000, test_images=500), VGG(depth=11, head="imagenet", width=1 / 16), 600),
        "short": Size(TinyImageNet(), VGG(depth=11, head="imagenet", width=0.25), 10_000, augmentation=FlipCrop()),
        "paper": Size(ImageNet(), VGG(depth=11, head="imagenet"), 1_281_167, batch_size=60, augmentation=FlipCrop()),
    }
    return _four(preset, sizes[preset])


def resnet(preset: str = "demo") -> Specs:
    """Residual networks: ResNet-20 on digits and on small photographs; ResNet-56 on CIFAR-10 and ResNet-50 on Tiny-ImageNet."""
    sizes = {
        "demo": [Size(Digits(), ResNet(), augmentation=NoAugmentation())],
        "short": [Size(SMALL_PHOTOGRAPHS, ResNet())],
        "paper": [Size(Cifar10(), ResNet(depth=56)), Size(TinyImageNet(), ResNet50(), augmentation=FlipCrop())],
    }
    return tuple(spec for size in sizes[preset] for spec in _four(preset, size))
