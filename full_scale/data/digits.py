"""The handwritten digits that scikit-learn brings along: no download, seconds of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from full_scale.data.arrays import Stored, prepared
from full_scale.data.base import AbstractDataset, Data
from mechanisms.records.rng import stream
from mechanisms.validation import require_at_least, require_between


@dataclass(frozen=True)
class Digits(AbstractDataset):
    """1,797 digits of 8 × 8 pixels, 1,347 of them for training; the split is part of the data and the same under every seed.

    `label_noise` is the share of training labels replaced by random ones, `pixel_noise` the standard deviation of noise
    added to every (normalized) pixel: dials for difficulty, part of the data as well.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI repository 1998 (its test part), as `load_digits`.
    """

    name: ClassVar[str] = "digits"
    shape: ClassVar[tuple[int, int, int]] = (1, 8, 8)
    classes: ClassVar[int] = 10
    train_size: ClassVar[int] = 1347
    test_size: ClassVar[int] = 450
    label_noise: float = 0.0
    pixel_noise: float = 0.0

    def __post_init__(self) -> None:
        require_between("label_noise", self.label_noise, 0, 1)
        require_at_least("pixel_noise", self.pixel_noise, 0)

    def load(self) -> Data:
        """Both parts, normalized by the mean and the standard deviation of the training pixels."""
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        order = stream(0, "digits_split").permutation(len(labels))
        images, labels = pixels[order].reshape(-1, 8, 8, 1), labels[order].astype(np.int64)
        train, test = slice(None, self.train_size), slice(self.train_size, None)
        return prepared(
            Stored(images[train], labels[train]),
            Stored(images[test], labels[test]),
            name=self.name,
            classes=self.classes,
            label_noise=self.label_noise,
            pixel_noise=self.pixel_noise,
        )
