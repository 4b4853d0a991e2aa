"""Residual blocks: what they add to their input, and how the input is brought to the shape of the sum."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from full_scale.models.parts.chains import convolution


class PaddedShortcut(nn.Module):
    """Every `stride`-th pixel, and channels of zeros beyond the first: the parameter-free option A of He et al. 2016."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.missing = outputs - inputs
        self.stride = stride

    def forward(self, maps: Tensor) -> Tensor:
        """The maps, smaller and with more channels."""
        return functional.pad(maps[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.missing))


def projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    """1 × 1 convolution → BatchNorm: option B of He et al. 2016."""
    return nn.Sequential(convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """relu(norm2(conv2(relu1(norm1(conv1 x)))) + shortcut x), both convolutions 3 × 3."""

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: nn.Module) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, outputs, 3, stride)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = convolution(outputs, outputs, 3)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU()
        self.shortcut = shortcut

    def forward(self, maps: Tensor) -> Tensor:
        """The maps that the next block reads."""
        inner = self.relu1(self.norm1(self.conv1(maps)))
        summed: Tensor = self.relu2(self.norm2(self.conv2(inner)) + self.shortcut(maps))
        return summed


class Bottleneck(nn.Module):
    """relu(norm3(conv3(relu2(norm2(conv2(relu1(norm1(conv1 x)))))) + shortcut x), kernels 1, 3, 1; conv2 has the stride."""

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int, shortcut: nn.Module) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, inner, 1)
        self.norm1 = nn.BatchNorm2d(inner)
        self.relu1 = nn.ReLU()
        self.conv2 = convolution(inner, inner, 3, stride)
        self.norm2 = nn.BatchNorm2d(inner)
        self.relu2 = nn.ReLU()
        self.conv3 = convolution(inner, outputs, 1)
        self.norm3 = nn.BatchNorm2d(outputs)
        self.relu3 = nn.ReLU()
        self.shortcut = shortcut

    def forward(self, maps: Tensor) -> Tensor:
        """The maps that the next block reads."""
        inner = self.relu2(self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(maps))))))
        summed: Tensor = self.relu3(self.norm3(self.conv3(inner)) + self.shortcut(maps))
        return summed
