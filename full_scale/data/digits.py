"""The handwritten digits that scikit-learn brings along: no download, seconds of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from full_scale.data.base import AbstractDataset, Data, Examples
from mechanisms.experiments.streams import stream


@dataclass(frozen=True)
class Digits(AbstractDataset):
    """1,797 digits of 8 × 8 pixels, 1,347 of them for training; the split is part of the data and the same under every seed.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI repository 1998 (its test part), as `load_digits`.
    """

    name: ClassVar[str] = "digits"
    shape: ClassVar[tuple[int, int, int]] = (1, 8, 8)
    classes: ClassVar[int] = 10
    train_size: ClassVar[int] = 1347
    test_size: ClassVar[int] = 450

    def load(self) -> Data:
        """Both parts, normalized by the mean and the standard deviation of the training pixels."""
        import numpy as np
        import torch
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        order = stream(0, "digits_split").permutation(len(labels))
        images, labels = pixels[order].reshape(-1, *self.shape), labels[order].astype(np.int64)
        training = images[: self.train_size]
        images = ((images - training.mean()) / training.std()).astype(np.float32)

        def part(rows: slice) -> Examples:
            return Examples(torch.from_numpy(images[rows].copy()), torch.from_numpy(labels[rows].copy()))

        return Data(train=part(slice(None, self.train_size)), test=part(slice(self.train_size, None)))
