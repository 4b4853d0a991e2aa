"""Examples in memory: subsets and batches in the order asked for, lazily."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from full_scale.data.base import Examples
from full_scale.data.files.decoding import DEVIATION, MEAN, ImageFiles

EXAMPLES = Examples(torch.arange(24.0).reshape(6, 1, 2, 2), torch.arange(6))


def test_a_subset_keeps_the_order_asked_for() -> None:
    part = EXAMPLES.take(np.array([4, 0, 4]))
    assert len(part) == 3
    assert part.labels.tolist() == [4, 0, 4]
    assert torch.equal(part.images, EXAMPLES.images[[4, 0, 4]])


def test_batches_are_made_when_they_are_asked_for_and_in_order() -> None:
    asked = []

    def rows() -> Iterator[np.ndarray]:
        for number in range(1000):
            asked.append(number)
            yield np.array([number % 6, 5])

    batches = EXAMPLES.batches(rows())
    assert asked == []
    (images, labels), (_, second) = next(batches), next(batches)
    assert asked == [0, 1]
    assert (labels.tolist(), second.tolist()) == ([0, 5], [1, 5])
    assert torch.equal(images, EXAMPLES.images[[0, 5]])


def test_bounds_hold_every_value_that_an_image_may_have() -> None:
    assert [end.tolist() for end in EXAMPLES.bounds()] == [[0.0], [23.0]]
    low, high = ImageFiles(Path(), np.array([b"unread.png"]), torch.zeros(1, dtype=torch.int64), 8).bounds()
    torch.testing.assert_close(low, -torch.tensor(MEAN) / torch.tensor(DEVIATION))
    torch.testing.assert_close(high, (1 - torch.tensor(MEAN)) / torch.tensor(DEVIATION))


def test_a_crop_changes_nothing_in_memory() -> None:
    rows = [np.array([1, 2])]
    (plain, _), (cropped, _) = next(EXAMPLES.batches(rows)), next(EXAMPLES.batches(rows, np.random.default_rng))
    assert torch.equal(plain, cropped)


def test_examples_move_to_a_device_and_their_batches_are_made_there() -> None:
    moved = EXAMPLES.to("meta")
    assert moved.images.device.type == moved.labels.device.type == "meta"
    assert next(moved.batches([np.array([0])]))[0].device.type == "meta"
