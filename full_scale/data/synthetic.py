"""Images made up for the purpose: patterns to find, with dials for how hard that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from full_scale.data.arrays import Stored, prepared
from full_scale.data.base import AbstractDataset, Data
from mechanisms.records.rng import stream
from mechanisms.validation import require_at_least, require_between, require_whole

DISTRACTORS = 16
"""Different patterns that mean nothing."""
SHARED = 0.75
"""Share of the variance that all patterns, distractors too, have in common."""


@dataclass(frozen=True)
class Synthetic(AbstractDataset):
    """Each image has the pattern of its class, half as wide as the image, at a random place; every class is equally frequent.

    Dials: `classes`; `noise`, the standard deviation of what is added to every (normalized) pixel; `label_noise`, the share of
    training labels replaced by random ones; `clutter`, the number of patterns at random places behind, out of 16 that are the
    same for all classes and resemble theirs. The data are the same under every seed.
    """

    name: ClassVar[str] = "synthetic"
    classes: int = 10
    side: int = 16
    channels: int = 3
    train_images: int = 4000
    test_images: int = 1000
    noise: float = 1.0
    label_noise: float = 0.0
    clutter: int = 0

    def __post_init__(self) -> None:
        require_whole("data.classes", self.classes, 2, 10_000)
        require_whole("data.side", self.side, 4, 512)
        require_whole("data.channels", self.channels, 1, 64)
        require_whole("data.train_images", self.train_images, self.classes, 10**7)
        require_whole("data.test_images", self.test_images, self.classes, 10**7)
        require_at_least("data.noise", self.noise, 0)
        require_between("data.label_noise", self.label_noise, 0, 1)
        require_whole("data.clutter", self.clutter, 0, 1000)

    @property
    def shape(self) -> tuple[int, int, int]:
        """See `AbstractDataset`."""
        return (self.channels, self.side, self.side)

    @property
    def train_size(self) -> int:
        """See `AbstractDataset`."""
        return self.train_images

    @property
    def test_size(self) -> int:
        """See `AbstractDataset`."""
        return self.test_images

    def load(self) -> Data:
        """See `AbstractDataset`."""
        return prepared(
            self._drawn("train", self.train_images),
            self._drawn("test", self.test_images),
            name=self.name,
            classes=self.classes,
            label_noise=self.label_noise,
            pixel_noise=self.noise,
        )

    def _drawn(self, part: str, count: int) -> Stored:
        size = self.side // 2
        shape = (size, size, self.channels)
        common = stream(0, "synthetic_common").standard_normal(shape)
        patterns, distractors = (
            SHARED**0.5 * common + (1 - SHARED) ** 0.5 * stream(0, f"synthetic_{kind}").standard_normal((number, *shape))
            for kind, number in (("patterns", self.classes), ("distractors", DISTRACTORS))
        )
        random = stream(0, f"synthetic_{part}")
        labels = np.arange(count) % self.classes
        corners = random.integers(0, self.side - size + 1, (count, self.clutter + 1, 2))
        behind = random.integers(0, DISTRACTORS, (count, self.clutter))
        images = np.zeros((count, self.side, self.side, self.channels), np.float32)
        for image, label, corner, others in zip(images, labels, corners, behind, strict=True):
            for pattern, (top, left) in zip([*distractors[others], patterns[label]], corner, strict=True):
                image[top : top + size, left : left + size] = pattern
        return Stored(images, labels.astype(np.int64))
