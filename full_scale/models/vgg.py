"""VGG with BatchNorm, for small images and for ImageNet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from full_scale.models.base import AbstractArchitecture, Shape, require_side
from full_scale.models.choices import require_width, scaled
from mechanisms.validation import require_choice, require_whole

if TYPE_CHECKING:
    from torch import nn

CHANNELS = (64, 128, 256, 512, 512)
"""Channels of the convolutions of each stage."""
CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 16: (2, 2, 3, 3, 3)}
"""Depth → convolutions of each stage."""
HEADS = ("cifar", "imagenet")
HIDDEN, SIDE = 4096, 7


@dataclass(frozen=True)
class VGG(AbstractArchitecture):
    """Five stages of (3 × 3 convolution with bias → BatchNorm → ReLU), each ended by a max-pool, then a head.

    `depth` is 11 (configuration A) or 16 (D) of Simonyan and Zisserman 2015, arXiv 1409.1556; BatchNorm and the biases
    beside it as in torchvision's `vgg16_bn`. `head` "cifar" is the mean over positions and one linear layer, as in the repository
    kuangliu/pytorch-cifar at 32 × 32 pixels, where one position is left; "imagenet" is the average over 7 × 7 areas and
    three linear layers with 4,096 hidden units, as in torchvision, but without its dropout, which would draw from the global
    generator while training. `width` multiplies channels and hidden units. `pools` below 5 leaves out the last pools, for
    images that are smaller than 32 pixels. Weights start He normal.
    """

    name: ClassVar[str] = "vgg"
    depth: int = 16
    width: float = 1.0
    head: str = "cifar"
    pools: int = 5
    initialization: str = "he"

    def __post_init__(self) -> None:
        require_choice("depth", self.depth, tuple(CONVOLUTIONS))
        require_width(self.width)
        require_choice("head", self.head, HEADS)
        require_whole("pools", self.pools, 0, len(CHANNELS))
        super().__post_init__()

    def require_fits(self, shape: Shape) -> None:
        """Raises `InvalidValue` if the pools shrink images of this shape to nothing."""
        require_side(shape, 2**self.pools, "pools", self.pools)

    def architecture(self, shape: Shape, classes: int) -> nn.Module:
        """See `AbstractArchitecture`; the feature layers are conv1 … conv8 or conv13."""
        from torch import nn

        from full_scale.models.parts.chains import named_chain, normalized

        parts: dict[str, nn.Module] = {}
        inputs, number = shape[0], 0
        for stage, (channels, convolutions) in enumerate(zip(CHANNELS, CONVOLUTIONS[self.depth], strict=True)):
            outputs = scaled(channels, self.width)
            for _ in range(convolutions):
                number += 1
                parts |= normalized(nn.Conv2d(inputs, outputs, 3, padding=1), str(number))
                inputs = outputs
            if stage < self.pools:
                parts[f"pool{number}"] = nn.MaxPool2d(2)
        return named_chain(parts | self._head(inputs, classes))

    def _head(self, inputs: int, classes: int) -> dict[str, nn.Module]:
        from torch import nn

        if self.head == "cifar":
            return {"mean": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc1": nn.Linear(inputs, classes)}
        hidden = scaled(HIDDEN, self.width)
        return {
            "mean": nn.AdaptiveAvgPool2d(SIDE),
            "flatten": nn.Flatten(),
            "fc1": nn.Linear(inputs * SIDE**2, hidden),
            "fc_relu1": nn.ReLU(),
            "fc2": nn.Linear(hidden, hidden),
            "fc_relu2": nn.ReLU(),
            "fc3": nn.Linear(hidden, classes),
        }
