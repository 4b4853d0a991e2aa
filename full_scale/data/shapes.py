"""Images for segmentation, made up for the purpose: shapes to tell from what is behind them, pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from full_scale.data.base import AbstractDataset, Data, Examples
from mechanisms.records.rng import stream
from mechanisms.validation import require_at_least, require_whole

SHAPES = ("disc", "square", "ring")


@dataclass(frozen=True)
class Shapes(AbstractDataset):
    """Discs, squares and rings on a noisy ground; the label of each pixel is its shape (1 to 3), or 0 for the ground.

    Each image has `shapes` of them at random places, of a radius between 1/10 and 1/5 of the side, later ones in front; all are
    brighter than the ground by 1, and `noise` is the standard deviation of the noise of every pixel. The data are
    the same under every seed.
    """

    name: ClassVar[str] = "shapes"
    classes: ClassVar[int] = 1 + len(SHAPES)
    labels_pixels: ClassVar[bool] = True
    side: int = 32
    shapes: int = 3
    train_images: int = 1000
    test_images: int = 250
    noise: float = 0.5

    def __post_init__(self) -> None:
        require_whole("data.side", self.side, 8, 512)
        require_whole("data.shapes", self.shapes, 1, 100)
        require_whole("data.train_images", self.train_images, 1, 10**6)
        require_whole("data.test_images", self.test_images, 1, 10**6)
        require_at_least("data.noise", self.noise, 0)

    @property
    def shape(self) -> tuple[int, int, int]:
        """See `AbstractDataset`."""
        return (1, self.side, self.side)

    @property
    def train_size(self) -> int:
        """See `AbstractDataset`."""
        return self.train_images

    @property
    def test_size(self) -> int:
        """See `AbstractDataset`."""
        return self.test_images

    def load(self) -> Data:
        """The data; labels have shape (N, side, side)."""
        return Data(self._drawn("train", self.train_images), self._drawn("test", self.test_images))

    def _drawn(self, part: str, count: int) -> Examples:
        import torch

        random = stream(0, f"shapes_{part}")
        labels = np.zeros((count, self.side, self.side), np.int64)
        places = np.arange(self.side)
        for image in labels:
            for _ in range(self.shapes):
                kind, (row, column) = int(random.integers(len(SHAPES))), random.integers(0, self.side, 2)
                radius = self.side * random.uniform(0.1, 0.2)
                image[_inside(SHAPES[kind], places[:, None] - row, places - column, radius)] = 1 + kind
        images = (labels > 0) + self.noise * random.standard_normal(labels.shape)
        images = (images - images.mean()) / images.std()
        return Examples(torch.from_numpy(images[:, None].astype(np.float32)), torch.from_numpy(labels))


def _inside(kind: str, rows: np.ndarray, columns: np.ndarray, radius: float) -> np.ndarray:
    """Which pixels, given by their distances from the middle, a shape covers."""
    if kind == "square":
        return np.asarray(np.maximum(abs(rows), abs(columns)) <= radius)
    distance = np.hypot(rows, columns)
    return np.asarray(distance <= radius if kind == "disc" else (distance <= radius) & (distance >= 0.5 * radius))
