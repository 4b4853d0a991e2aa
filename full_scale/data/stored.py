"""What data sets of a fixed number of small images have in common: read once a process, kept in memory."""

from __future__ import annotations

import abc
import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from full_scale.data.arrays import Stored, prepared
from full_scale.data.base import AbstractDataset, Data, require_two_classes
from full_scale.data.files.location import with_files
from mechanisms.system.context import RunContext
from mechanisms.validation import UserError, require, require_at_least, require_between, require_whole

SETS_IN_MEMORY = 2


@dataclass(frozen=True)
class Known:
    """A stretch of one part whose content is known, whatever files it comes in: md5 of its pixels, and of its labels as bytes."""

    part: str
    """`train` or `test`."""
    first: int
    end: int
    images: str
    labels: str


@dataclass(frozen=True)
class AbstractStoredDataset(AbstractDataset):
    """A set of small images, as it is or reduced.

    `side` reduces the images by block averages to side × side pixels (0: as they are; it must divide their own side);
    `train_images` and `test_images` take that many, the first of each class (0: all); `label_noise` is the share of training
    labels replaced by random ones, `pixel_noise` the standard deviation of noise added to every (normalized) pixel.
    """

    stored_shape: ClassVar[tuple[int, int, int]]
    """Channels, height and width in the files."""
    classes: ClassVar[int]
    stored_train: ClassVar[int]
    stored_test: ClassVar[int]
    known: ClassVar[tuple[Known, ...]] = ()
    """What is compared in every form of the set."""
    even: ClassVar[bool] = False
    """Whether each part, if it is whole, has equally many images of each class as published."""
    side: int = 0
    train_images: int = 0
    test_images: int = 0
    label_noise: float = 0.0
    pixel_noise: float = 0.0

    def __post_init__(self) -> None:
        own = self.stored_shape[1]
        divisors = [n for n in range(1, own + 1) if own % n == 0]
        require(self.side in (0, *divisors), "data.side", self.side, f"0 (as it is) or a divisor of {own}, one of {divisors}")
        for field, count, stored in (
            ("data.train_images", self.train_images, self.stored_train),
            ("data.test_images", self.test_images, self.stored_test),
        ):
            require_whole(field, count, 0, stored)
            require(count % self.classes == 0, field, count, f"0 (all) or a multiple of the {self.classes} classes")
        require_between("data.label_noise", self.label_noise, 0, 1)
        require_at_least("data.pixel_noise", self.pixel_noise, 0)

    @property
    def shape(self) -> tuple[int, int, int]:
        """See `AbstractDataset`."""
        channels, height, width = self.stored_shape
        return (channels, self.side, self.side) if self.side else (channels, height, width)

    @property
    def train_size(self) -> int:
        """See `AbstractDataset`."""
        return self.train_images or self.stored_train

    @property
    def test_size(self) -> int:
        """See `AbstractDataset`."""
        return self.test_images or self.stored_test

    @classmethod
    @abc.abstractmethod
    def read(cls, folder: Path) -> tuple[Stored, Stored]:
        """The training and the test part as they are in the files of a folder."""

    def load(self) -> Data:
        """See `AbstractDataset`."""
        return self.load_for(RunContext())

    def load_for(self, context: RunContext) -> Data:
        """See `AbstractDataset`; the files are read once a process, the arrays of the last sets are kept."""
        train, test = with_files(lambda: _read(type(self), context.data.absolute()), context.download)
        selected = self._selected(train, "train_images", self.train_images, self.stored_train)
        require_two_classes(f"data={self.name}", selected.labels)
        return prepared(
            selected,
            self._selected(test, "test_images", self.test_images, self.stored_test),
            name=self.name,
            classes=self.classes,
            factor=self.stored_shape[1] // self.shape[1],
            label_noise=self.label_noise,
            pixel_noise=self.pixel_noise,
        )

    def _selected(self, part: Stored, field: str, count: int, expected: int) -> Stored:
        if count:
            return part.first_of_each_class(count, self.classes, f"data={self.name}: {field}")
        if len(part.labels) != expected:
            raise UserError(
                f"data={self.name}: the files hold {len(part.labels)} images and not {expected}:"
                f" set data.{field} to fewer, or get the whole set"
            )
        return part


@functools.lru_cache(maxsize=SETS_IN_MEMORY)
def _read(dataset: type[AbstractStoredDataset], folder: Path) -> tuple[Stored, Stored]:
    parts = dict(zip(("train", "test"), dataset.read(folder), strict=True))
    for part in parts.values():
        channels, height, width = dataset.stored_shape
        if part.images.shape != (len(part.labels), height, width, channels):
            raise UserError(
                f"data={dataset.name}: the files in {folder} hold images of shape {part.images.shape} for {len(part.labels)}"
                f" labels, not {height} × {width} × {channels}"
            )
        if len(part.labels) and (part.labels.min() < 0 or part.labels.max() >= dataset.classes):
            raise UserError(
                f"data={dataset.name}: labels in {folder} go from {part.labels.min()} to {part.labels.max()}, outside 0 to"
                f" {dataset.classes - 1}"
            )
    for known in dataset.known:
        _require_known(dataset.name, folder, parts[known.part], known)
    for (name, part), whole in zip(parts.items(), (dataset.stored_train, dataset.stored_test), strict=True):
        counts = np.bincount(part.labels, minlength=dataset.classes)
        if dataset.even and len(part.labels) == whole and counts.min() != counts.max():
            raise UserError(
                f"data={dataset.name}: the {name} part in {folder} has {counts.min()} to {counts.max()} images of a class and not"
                f" {whole // dataset.classes}: get the files again"
            )
    return parts["train"], parts["test"]


def _require_known(name: str, folder: Path, part: Stored, known: Known) -> None:
    images = part.images[known.first : known.end]
    labels = part.labels[known.first : known.end].astype(np.uint8)
    for what, content, digest in (("images", images, known.images), ("labels", labels, known.labels)):
        found = hashlib.md5(np.ascontiguousarray(content).tobytes(), usedforsecurity=False).hexdigest()
        if found != digest:
            rows = f"{known.part} {what} {known.first} to {known.end - 1}"
            raise UserError(f"data={name}: {rows} in {folder} have md5 {found} and not {digest}: get the files again")
