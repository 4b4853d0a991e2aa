"""MobileNetV2: inverted residuals with depthwise convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from full_scale.models.base import AbstractArchitecture, Shape, require_side
from full_scale.models.choices import require_width
from mechanisms.validation import require_choice

if TYPE_CHECKING:
    from torch import nn

STAGES = (
    *((1, 16, 1, False), (6, 24, 2, True), (6, 32, 3, True), (6, 64, 4, True)),
    *((6, 96, 3, False), (6, 160, 3, True), (6, 320, 1, False)),
)
"""Expansion, channels, blocks and whether the first block may halve the map, of each stage."""
STEM, LAST = 32, 1280
DOWNSAMPLINGS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class MobileNetV2(AbstractArchitecture):
    """The network of Sandler et al. 2018 (arXiv 1801.04381), with the sizes of torchvision's `mobilenet_v2`, without its dropout.

    `width` multiplies the channels, which are then rounded to multiples of 8 as there. `downsampling` is by how much the map is
    smaller than the image at the end: 32 in the paper, for ImageNet; 8 suits images of 32 pixels, as in the repository
    kuangliu/pytorch-cifar. The strides that are too many become 1, the earliest first. Weights start He normal.
    """

    name: ClassVar[str] = "mobilenet_v2"
    width: float = 1.0
    downsampling: int = 8
    initialization: str = "he"

    def __post_init__(self) -> None:
        require_width(self.width)
        require_choice("downsampling", self.downsampling, DOWNSAMPLINGS)
        super().__post_init__()

    def require_fits(self, shape: Shape) -> None:
        """Raises `InvalidValue` if images of this shape have fewer pixels than the strides take together."""
        require_side(shape, self.downsampling, "downsampling", self.downsampling)

    def architecture(self, shape: Shape, classes: int) -> nn.Module:
        """See `AbstractArchitecture`; the feature layers are conv1, stage1.0.chain.conv2 … stage7.0.chain.conv3, conv2."""
        from torch import nn

        from full_scale.models.parts.chains import convolution, named_chain
        from full_scale.models.parts.inverted_residual import InvertedResidual

        halvings = [self.downsampling >= 2**left for left in (5, 4, 3, 2, 1)]
        inputs = rounded_to_eight(STEM * self.width)
        stem = convolution(shape[0], inputs, 3, 1 + halvings.pop(0))
        parts: dict[str, nn.Module] = {"conv1": stem, "norm1": nn.BatchNorm2d(inputs), "relu1": nn.ReLU6()}
        for stage, (expansion, channels, count, may_halve) in enumerate(STAGES, start=1):
            blocks, outputs = nn.Sequential(), rounded_to_eight(channels * self.width)
            strides = [1 + halvings.pop(0) if may_halve else 1] + [1] * (count - 1)
            for stride in strides:
                blocks.append(InvertedResidual(inputs, outputs, stride, expansion))
                inputs = outputs
            parts[f"stage{stage}"] = blocks
        last = rounded_to_eight(LAST * max(1.0, self.width))
        parts |= {"conv2": convolution(inputs, last, 1), "norm2": nn.BatchNorm2d(last), "relu2": nn.ReLU6()}
        return named_chain({**parts, "mean": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": nn.Linear(last, classes)})


def rounded_to_eight(channels: float) -> int:
    """The nearest multiple of 8 that is at least 8 and no more than a tenth below; as in torchvision's `_make_divisible`.

    >>> rounded_to_eight(24), rounded_to_eight(11.2), rounded_to_eight(18), rounded_to_eight(0.1)
    (24, 16, 24, 8)
    """
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest
