"""Stored images → what a network sees: a selection of them, reduced in size, normalized, made harder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from full_scale.data.base import Data, Examples
from mechanisms.records.rng import stream
from mechanisms.validation import UserError

CHUNK = 2048
"""Images that are worked on at a time, so that float64 copies of large sets never exist."""


@dataclass(frozen=True, eq=False)
class Stored:
    """One part of a data set as it is stored: images of shape (N, height, width, channels), labels int64 of shape (N,)."""

    images: np.ndarray
    labels: np.ndarray

    def first_of_each_class(self, count: int, classes: int, what: str) -> Stored:
        """The first `count`/`classes` images of each class, in their order.

        Raises:
            UserError: a class has too few; `what` names the field that asked.
        """
        each = count // classes
        rows = [np.flatnonzero(self.labels == label)[:each] for label in range(classes)]
        fewest = min(len(one) for one in rows)
        if fewest < each:
            largest = classes * min(np.bincount(self.labels, minlength=classes))
            raise UserError(f"{what} = {count} is more than these files hold of each class: use at most {largest}")
        chosen = np.sort(np.concatenate(rows))
        return Stored(self.images[chosen], self.labels[chosen])


def reduced(images: np.ndarray, factor: int) -> np.ndarray:
    """Averages of blocks of factor × factor pixels: float32 of shape (N, channels, height/factor, width/factor)."""
    count, height, width, channels = images.shape
    out = np.empty((count, channels, height // factor, width // factor), np.float32)
    for start in range(0, count, CHUNK):
        planes = np.ascontiguousarray(images[start : start + CHUNK].transpose(0, 3, 1, 2))
        total = np.zeros((len(planes), *out.shape[1:]))
        for row in range(factor):
            for column in range(factor):
                total += planes[:, :, row::factor, column::factor]
        out[start : start + CHUNK] = total / factor**2
    return out


def prepared(
    train: Stored,
    test: Stored,
    *,
    name: str,
    classes: int,
    factor: int = 1,
    label_noise: float = 0.0,
    pixel_noise: float = 0.0,
) -> Data:
    """Both parts, reduced by a factor, normalized by the training part, with noise from streams under seed 0.

    Mean and standard deviation are one number a channel, over all pixels of the training part before noise. Pixel noise is added
    to both parts after that; a share of the training labels is replaced by random ones.
    """
    import torch

    images = reduced(train.images, factor), reduced(test.images, factor)
    mean, deviation = _moments(images[0])
    noise = stream(0, f"{name}_pixel_noise")
    for part in images:
        for start in range(0, len(part), CHUNK):
            chunk = (part[start : start + CHUNK] - mean) / deviation
            if pixel_noise:
                chunk += pixel_noise * noise.standard_normal(chunk.shape)
            part[start : start + CHUNK] = chunk
    labels = _with_wrong_labels(train, test, classes, label_noise, stream(0, f"{name}_label_noise"))
    return Data(*(Examples(torch.from_numpy(part), torch.from_numpy(own)) for part, own in zip(images, labels, strict=True)))


def _moments(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel, float64 of shape (channels, 1, 1); a constant channel has deviation 1."""
    starts, pixels = range(0, len(images), CHUNK), images[:, :1].size

    def total(mean: Any, power: int) -> Any:
        sums = [((images[i : i + CHUNK] - mean) ** power).sum(axis=(0, 2, 3), dtype=np.float64) for i in starts]
        return np.add.reduce(sums)[:, None, None]

    mean = total(np.float64(0), 1) / pixels
    deviation = np.sqrt(total(mean, 2) / pixels)
    return mean, np.where(deviation > 0, deviation, 1.0)


def _with_wrong_labels(
    train: Stored, test: Stored, classes: int, share: float, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    labels = np.concatenate([train.labels, test.labels])
    wrong = (random.random(len(labels)) < share) & (np.arange(len(labels)) < len(train.labels))
    changed = np.where(wrong, random.integers(0, classes, len(labels)), labels)
    return changed[: len(train.labels)].copy(), changed[len(train.labels) :].copy()
