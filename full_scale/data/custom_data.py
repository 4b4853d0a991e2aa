"""A user's own data: `data=custom:PACKAGE.MODULE:CALLABLE`."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from full_scale.custom import AbstractCustom, blaming, imported
from full_scale.data.arrays import Stored, prepared
from full_scale.data.base import AbstractDataset, AbstractExamples, Data, Examples, require_two_classes
from mechanisms.validation import UserError


@dataclass(frozen=True)
class CustomData(AbstractCustom, AbstractDataset):
    """What the callable at `path` returns: a `full_scale.data.base.Data`, or arrays ((x_train, y_train), (x_test, y_test)).

    A `Data` is taken as it is. Arrays are numbers of shape (N, channels, height, width) or (N, height, width), and labels from 0
    on; they are normalized by the mean and the standard deviation of each channel of the training part. The callable is called
    without arguments, once a process, already when its sizes are asked for; it must return the same data always.
    """

    kind: ClassVar[str] = "data"

    @property
    def shape(self) -> tuple[int, int, int]:
        """See `AbstractDataset`."""
        _, channels, height, width = _first_image(self.load().train).shape
        return channels, height, width

    @property
    def classes(self) -> int:
        """The largest training label plus one."""
        return int(self.load().train.labels.max()) + 1

    @property
    def train_size(self) -> int:
        """See `AbstractDataset`."""
        return len(self.load().train)

    @property
    def test_size(self) -> int:
        """See `AbstractDataset`."""
        return len(self.load().test)

    def load(self) -> Data:
        """See `AbstractDataset`.

        Raises:
            UserError: the callable is missing or fails, or what it returns is no such data.
        """
        return _loaded(self.path)


@functools.lru_cache(maxsize=1)
def _loaded(path: str) -> Data:
    make, what = imported("data.path", path), f"data {path}"
    with blaming(what, "it fails without arguments"):
        returned = make()
    data = returned if isinstance(returned, Data) else _from_arrays(what, returned)
    _require_consistent(what, data)
    return data


def _from_arrays(what: str, returned: Any) -> Data:
    with blaming(what, "it must return full_scale.data.base.Data or ((x_train, y_train), (x_test, y_test))"):
        (train_images, train_labels), (test_images, test_labels) = returned
    train = _stored(what, "train", train_images, train_labels)
    test = _stored(what, "test", test_images, test_labels)
    if train.images.shape[1:] != test.images.shape[1:]:
        raise UserError(f"{what}: training and test images have different shapes: make them the same")
    return prepared(train, test, name=CustomData.name, classes=int(train.labels.max()) + 1)


def _stored(what: str, part: str, images: Any, labels: Any) -> Stored:
    with blaming(what, f"x_{part} and y_{part} must be arrays"):
        images, labels = np.asarray(images), np.asarray(labels)
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4 or images.size == 0 or images.dtype.kind not in "buif":
        raise UserError(
            f"{what}: x_{part} is {images.dtype} of shape {images.shape}: use numbers of shape (N, channels, height, width)"
        )
    if images.shape[3] in (3, 4) and min(images.shape[1:3]) > 4:  # which would train, on stripes
        seen = f"x_{part} of shape {images.shape} looks like images with channels last"
        raise UserError(f"{what}: {seen}: transpose(0, 3, 1, 2) them, or return Data")
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "ui":
        raise UserError(
            f"{what}: y_{part} is {labels.dtype} of shape {labels.shape}: use {len(images)} whole numbers, one an image"
        )
    return Stored(images.transpose(0, 2, 3, 1), labels.astype(np.int64))


def _require_consistent(what: str, data: Data) -> None:
    """Raises `UserError` unless labels are class numbers and images are finite, of one shape in both parts."""
    import torch

    for part, examples in (("train", data.train), ("test", data.test)):
        if not isinstance(examples, AbstractExamples) or len(examples) == 0:
            raise UserError(f"{what}: its {part} part holds no examples: use full_scale.data.base.Examples(images, labels)")
        if examples.labels.dtype != torch.int64 or examples.labels.min() < 0:
            raise UserError(f"{what}: its {part} labels must be class numbers from 0 on, int64")
        image = examples.images if isinstance(examples, Examples) else _first_image(examples)
        counted = not isinstance(examples, Examples) or len(image) == len(examples)
        if image.dtype != torch.float32 or image.ndim != 4 or not counted:
            raise UserError(
                f"{what}: its {part} images are {image.dtype} of shape {tuple(image.shape)}: use float32, one a label"
            )
        if not bool(torch.isfinite(image).all()):
            raise UserError(f"{what}: its {part} images hold values that are not finite: remove them")
    require_two_classes(what, data.train.labels)
    if data.test.labels.max() > data.train.labels.max():
        raise UserError(f"{what}: test label {int(data.test.labels.max())} is not among the training labels")
    if _first_image(data.train).shape != _first_image(data.test).shape:
        raise UserError(f"{what}: training and test images have different shapes: make them the same")


def _first_image(examples: AbstractExamples) -> Any:
    """The first image, of shape (1, channels, height, width)."""
    images, _ = next(iter(examples.batches([np.array([0])])))
    return images
