"""Augmentations: what is drawn is drawn from the run's streams, and does to each image what its numbers say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from full_scale.training.augmentation import DRAWS, AbstractAugmentation, Flip, FlipCrop, NoAugmentation
from mechanisms.records.specs import choices
from mechanisms.validation import InvalidValue

AUGMENTATIONS = choices(AbstractAugmentation)
IMAGES = torch.arange(2 * 1 * 3 * 4, dtype=torch.float32).reshape(2, 1, 3, 4) + 1


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_shapes_and_draws(name: str) -> None:
    augmentation = AUGMENTATIONS[name]()
    draws = augmentation.draw(np.random.default_rng(0), 2)
    if draws is None:
        assert name == "none"
        return
    assert (draws.shape, draws.dtype) == ((2, DRAWS), np.float32)
    assert augmentation.apply(IMAGES, torch.from_numpy(draws)).shape == IMAGES.shape


def test_a_flip_happens_below_one_half() -> None:
    flipped = Flip().apply(IMAGES, torch.tensor([[0.49, 0, 0], [0.51, 0, 0]]))
    assert torch.equal(flipped[0], IMAGES[0].flip(-1))
    assert torch.equal(flipped[1], IMAGES[1])


@pytest.mark.parametrize(
    ("draw", "rows", "columns"), [(0.5, 0, 0), (0.0, 1, 1), (0.999, -1, -1)], ids=["centre", "down and right", "up and left"]
)
def test_a_crop_shifts_and_fills_with_zero(draw: float, rows: int, columns: int) -> None:
    """Padding 1 has three positions in each direction: [0, ⅓) shows the padding above, the middle third is the image itself."""
    found = FlipCrop(padding=1).apply(IMAGES, torch.tensor([[0.9, draw, draw]] * 2))
    expected = torch.zeros_like(IMAGES)
    for row in range(3):
        for column in range(4):
            if 0 <= row - rows < 3 and 0 <= column - columns < 4:
                expected[:, :, row, column] = IMAGES[:, :, row - rows, column - columns]
    assert torch.equal(found, expected)


def test_nothing_is_nothing() -> None:
    assert NoAugmentation().apply(IMAGES, torch.empty(0)) is IMAGES


def test_a_padding_of_zero_is_refused() -> None:
    with pytest.raises(InvalidValue, match="padding"):
        FlipCrop(padding=0)
