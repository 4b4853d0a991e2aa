"""The handwritten digits that scikit-learn brings along: no download, seconds of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from full_scale.data.base import AbstractDataset, Data, Examples
from mechanisms.experiments.streams import stream
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
        import numpy as np
        import torch
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        order = stream(0, "digits_split").permutation(len(labels))
        images, labels = pixels[order].reshape(-1, *self.shape), labels[order].astype(np.int64)
        training = images[: self.train_size]
        images = (images - training.mean()) / training.std()
        images = (images + self.pixel_noise * stream(0, "digits_pixel_noise").standard_normal(images.shape)).astype(np.float32)
        random = stream(0, "digits_label_noise")
        wrong = (random.random(len(labels)) < self.label_noise) & (np.arange(len(labels)) < self.train_size)
        labels = np.where(wrong, random.integers(0, self.classes, len(labels)), labels)

        def part(rows: slice) -> Examples:
            return Examples(torch.from_numpy(images[rows].copy()), torch.from_numpy(labels[rows].copy()))

        return Data(train=part(slice(None, self.train_size)), test=part(slice(self.train_size, None)))
