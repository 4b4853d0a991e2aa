"""What every data set provides.

To add a data set: one file in this folder with one final class. Import torch and loaders inside `load` only.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Examples:
    """Images, float32 of shape (N, channels, height, width), normalized, and their labels, int64 of shape (N,)."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Data:
    """The two parts of a data set; the training part is also the corpus on which features are measured."""

    train: Examples
    test: Examples


@dataclass(frozen=True)
class AbstractDataset(abc.ABC):
    """Sizes that are known without loading, and `load`; `name` is what a user types."""

    name: ClassVar[str]
    shape: ClassVar[tuple[int, int, int]]
    """Channels, height and width of an image."""
    classes: ClassVar[int]
    train_size: ClassVar[int]
    test_size: ClassVar[int]

    @abc.abstractmethod
    def load(self) -> Data:
        """The data, the same in every call and under every seed."""
