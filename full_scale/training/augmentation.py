"""Random changes of training images, batched on the device; what is drawn is drawn on the host, from a stream of the run."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mechanisms.validation import require_whole

if TYPE_CHECKING:
    from torch import Tensor

DRAWS = 3
"""Uniform numbers an image: one for the flip, two for the position of the crop."""


class AbstractAugmentation(abc.ABC):
    """What every augmentation provides; `name` is what a user types."""

    name: ClassVar[str]
    crops: ClassVar[bool] = False
    """Whether images that are decoded from files are cropped at random on the way."""

    def draw(self, generator: np.random.Generator, count: int) -> np.ndarray | None:
        """Uniform numbers in [0, 1), float32 of shape (count, DRAWS); None where nothing is random."""
        return generator.random((count, DRAWS), np.float32)

    @abc.abstractmethod
    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """Changed images of the shape of `images`, (N, channels, height, width), by their rows of `draws`."""


@dataclass(frozen=True)
class NoAugmentation(AbstractAugmentation):
    """The images as they are."""

    name: ClassVar[str] = "none"

    def draw(self, generator: np.random.Generator, count: int) -> np.ndarray | None:
        """Nothing."""
        return None

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """The images themselves."""
        return images


@dataclass(frozen=True)
class Flip(AbstractAugmentation):
    """Mirrors each image, left and right, with probability one half."""

    name: ClassVar[str] = "flip"

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """See `AbstractAugmentation`."""
        return _flipped(images, draws[:, 0])


@dataclass(frozen=True)
class FlipCrop(AbstractAugmentation):
    """Flips, then shifts each image by up to `padding` pixels in both directions; what comes in from outside is 0, the mean.

    Images that are decoded from files are cropped at random to their size on the way, besides.
    """

    name: ClassVar[str] = "flip_crop"
    crops: ClassVar[bool] = True
    padding: int = 4

    def __post_init__(self) -> None:
        require_whole("padding", self.padding, 1, 1024)

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """See `AbstractAugmentation`."""
        import torch
        from torch.nn.functional import pad

        count, _, height, width = images.shape
        padded = pad(_flipped(images, draws[:, 0]), (self.padding,) * 4).permute(0, 2, 3, 1)
        corner = (draws[:, 1:] * (2 * self.padding + 1)).long()
        rows = corner[:, 0, None] + torch.arange(height, device=images.device)
        columns = corner[:, 1, None] + torch.arange(width, device=images.device)
        which = torch.arange(count, device=images.device)
        return padded[which[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _flipped(images: Tensor, draws: Tensor) -> Tensor:
    import torch

    return torch.where((draws < 0.5)[:, None, None, None], images.flip(-1), images)
