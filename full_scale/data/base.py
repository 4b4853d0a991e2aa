"""What every data set provides.

To add a data set: one file in this folder with one final class. Import torch and loaders inside `load` only.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from mechanisms.system.context import RunContext
from mechanisms.validation import UserError

if TYPE_CHECKING:
    from torch import Tensor

IMAGES_AT_ONCE = 500
Crop = Callable[[int], np.random.Generator]
"""Number of a batch, from 0, → the generator that its random crops are drawn from."""


class AbstractExamples(abc.ABC):
    """The images and labels of one part of a data set; the labels are always in memory.

    They are int64 of shape (N,), or (N, height, width) where every pixel has one.
    """

    labels: Tensor

    def __len__(self) -> int:
        """The number of images."""
        return len(self.labels)

    @abc.abstractmethod
    def to(self, device: Any) -> Self:
        """The same examples, for use on a device: what is in memory moves there, what is decoded from files will go there."""

    @abc.abstractmethod
    def take(self, rows: np.ndarray) -> Self:
        """The examples of these numbers, in this order."""

    @abc.abstractmethod
    def batches(self, rows: Iterable[np.ndarray], crop: Crop | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """One (images, labels) for each array of example numbers, in order, made when it is asked for.

        Images are float32 of shape (n, channels, height, width), normalized. With `crop`, sets that crop while they decode do so
        at random, batch k by the generator `crop(k)`; sets in memory ignore it. Without, images come in their evaluation view.
        `rows` may be read ahead by a few batches.

        Raises:
            UserError: an image cannot be read.
        """

    def bounds(self) -> tuple[Tensor, Tensor]:
        """Return the smallest and the largest value of each channel, float32, that images may have."""
        import torch

        pairs = [(images.amin((0, 2, 3)), images.amax((0, 2, 3))) for images, _ in self.batches(in_order(len(self)))]
        low, high = zip(*pairs, strict=True)
        return torch.stack(low).amin(0), torch.stack(high).amax(0)


@dataclass(frozen=True, eq=False)
class Examples(AbstractExamples):
    """Images in memory: float32 of shape (N, channels, height, width), normalized, and their labels (see `AbstractExamples`)."""

    images: Tensor
    labels: Tensor

    def to(self, device: Any) -> Self:
        """See `AbstractExamples`."""
        return type(self)(self.images.to(device), self.labels.to(device))

    def take(self, rows: np.ndarray) -> Self:
        """See `AbstractExamples`."""
        return type(self)(*self._at(rows))

    def batches(self, rows: Iterable[np.ndarray], crop: Crop | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """See `AbstractExamples`."""
        return map(self._at, rows)

    def _at(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        import torch

        index = torch.from_numpy(np.asarray(rows, np.int64)).to(self.labels.device)
        return self.images[index], self.labels[index]


def in_order(count: int) -> Iterator[np.ndarray]:
    """The numbers from 0 to `count` - 1 in pieces that fit into memory."""
    for start in range(0, count, IMAGES_AT_ONCE):
        yield np.arange(start, min(start + IMAGES_AT_ONCE, count))


@dataclass(frozen=True)
class Data:
    """The two parts of a data set; the training part is also the corpus on which features are measured."""

    train: AbstractExamples
    test: AbstractExamples


def require_two_classes(what: str, labels: Any) -> None:
    """Raises `UserError` where all training labels, an array or a tensor, are the same; `what` names the data."""
    if labels.min() == labels.max():
        raise UserError(f"{what}: every training label is {int(labels.min())}: give images of two classes at least")


@dataclass(frozen=True)
class AbstractDataset(abc.ABC):
    """Sizes that are known without loading, and `load`; `name` is what a user types.

    The fields decide what the data are and belong to the identity of a run; the folder they are read from does not (see
    `full_scale.data.files.location`).
    """

    name: ClassVar[str]
    labels_pixels: ClassVar[bool] = False
    """Whether every pixel has a label, (N, height, width), and not every image (N,)."""

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""

    @property
    @abc.abstractmethod
    def classes(self) -> int:
        """The number of classes."""

    @property
    @abc.abstractmethod
    def train_size(self) -> int | None:
        """The number of training images; None where only the disk knows."""

    @property
    @abc.abstractmethod
    def test_size(self) -> int | None:
        """The number of test images; None where only the disk knows."""

    @abc.abstractmethod
    def load(self) -> Data:
        """The data, the same in every call and under every seed; sets with files look for them in the folder `data`.

        Raises:
            UserError: files are missing or damaged.
        """

    def load_for(self, context: RunContext) -> Data:
        """As `load`; sets with files look for them where a run has them, and fetch them if it may."""
        return self.load()
