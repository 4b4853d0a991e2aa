"""Residual networks: the thin ones for CIFAR, and ResNet-50."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from full_scale.models.base import AbstractArchitecture, Shape, require_side
from full_scale.models.choices import require_width, scaled
from mechanisms.validation import require, require_choice, require_whole

if TYPE_CHECKING:
    from torch import nn

SHORTCUTS = ("padded", "projection")
STEMS = ("imagenet", "small")
BLOCKS = (3, 4, 6, 3)
"""Blocks of each stage of ResNet-50."""
EXPANSION = 4
"""Channels of a stage's sums for each of its inner channels."""


@dataclass(frozen=True)
class ResNet(AbstractArchitecture):
    """The CIFAR network of He et al. 2016 (arXiv 1512.03385, section 4.2): three stages of basic blocks with 16, 32, 64 channels.

    `depth` is 6n + 2 for n blocks a stage: 20, 56, 110, …. Where a stage changes the shape, the `shortcut` is "padded"
    (option A, as in the paper for CIFAR) or a "projection" (option B). `width` multiplies the channels. Weights start He normal.
    """

    name: ClassVar[str] = "resnet"
    depth: int = 20
    width: float = 1.0
    shortcut: str = "padded"
    initialization: str = "he"

    def __post_init__(self) -> None:
        require_whole("depth", self.depth, 8)
        require(self.depth % 6 == 2, "depth", self.depth, "6 n + 2 for a whole number n, such as 20, 56 or 110")
        require_width(self.width)
        require_choice("shortcut", self.shortcut, SHORTCUTS)
        super().__post_init__()

    def require_fits(self, shape: Shape) -> None:
        """Raises `InvalidValue` if the two strides shrink images of this shape to nothing."""
        require_side(shape, 4, "depth", self.depth)

    def architecture(self, shape: Shape, classes: int) -> nn.Module:
        """See `AbstractArchitecture`; the feature layers are conv1 and layer1.0.conv1 … layer3.N.conv2."""
        from torch import nn

        from full_scale.models.parts.chains import convolution, named_chain, normalized
        from full_scale.models.parts.residual import BasicBlock, PaddedShortcut, projection

        inputs = scaled(16, self.width)
        parts = normalized(convolution(shape[0], inputs, 3), "1")
        for stage, channels in enumerate((16, 32, 64), start=1):
            blocks, outputs = nn.Sequential(), scaled(channels, self.width)
            for number in range((self.depth - 2) // 6):
                stride = 2 if stage > 1 and number == 0 else 1
                make = PaddedShortcut if self.shortcut == "padded" else projection
                bridge = nn.Identity() if (stride, inputs) == (1, outputs) else make(inputs, outputs, stride)
                blocks.append(BasicBlock(inputs, outputs, stride, bridge))
                inputs = outputs
            parts[f"layer{stage}"] = blocks
        head = {"mean": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": nn.Linear(inputs, classes)}
        return named_chain(parts | head)


@dataclass(frozen=True)
class ResNet50(AbstractArchitecture):
    """The ImageNet network of He et al. 2016, 50 layers of bottlenecks, the stride in the 3 × 3 convolution as in torchvision.

    `stem` is "imagenet" (7 × 7 convolution with stride 2, max-pool) or "small" (3 × 3 convolution, for images below 64 pixels).
    `width` multiplies all channels. Weights start He normal, the last linear layer too.
    """

    name: ClassVar[str] = "resnet50"
    width: float = 1.0
    stem: str = "imagenet"
    initialization: str = "he"

    def __post_init__(self) -> None:
        require_width(self.width)
        require_choice("stem", self.stem, STEMS)
        super().__post_init__()

    def require_fits(self, shape: Shape) -> None:
        """Raises `InvalidValue` if images of this shape have fewer pixels than the strides take together."""
        require_side(shape, 32 if self.stem == "imagenet" else 8, "stem", self.stem)

    def architecture(self, shape: Shape, classes: int) -> nn.Module:
        """See `AbstractArchitecture`; the feature layers are conv1 and layer1.0.conv1 … layer4.2.conv3 with four shortcuts."""
        from torch import nn

        from full_scale.models.parts.chains import convolution, named_chain, normalized
        from full_scale.models.parts.residual import Bottleneck, projection

        inputs, large = scaled(64, self.width), self.stem == "imagenet"
        parts = normalized(convolution(shape[0], inputs, 7 if large else 3, 2 if large else 1), "1")
        if large:
            parts["pool1"] = nn.MaxPool2d(3, 2, padding=1)
        for stage, count in enumerate(BLOCKS, start=1):
            blocks, inner = nn.Sequential(), scaled(32 * 2**stage, self.width)
            for number in range(count):
                stride = 2 if stage > 1 and number == 0 else 1
                bridge = nn.Identity() if number else projection(inputs, EXPANSION * inner, stride)
                blocks.append(Bottleneck(inputs, inner, EXPANSION * inner, stride, bridge))
                inputs = EXPANSION * inner
            parts[f"layer{stage}"] = blocks
        head = {"mean": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": nn.Linear(inputs, classes)}
        return named_chain(parts | head)
