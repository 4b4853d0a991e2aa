"""Data sets: sizes as announced, one fixed split, normalized by the training part."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from full_scale.data.base import AbstractDataset
from full_scale.data.digits import Digits
from mechanisms.experiments.specs import choices

DATASETS = choices(AbstractDataset)


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_is_what_it_announces(name: str) -> None:
    dataset = DATASETS[name]()
    data = dataset.load()
    for part, size in ((data.train, dataset.train_size), (data.test, dataset.test_size)):
        assert tuple(part.images.shape) == (size, *dataset.shape)
        assert part.images.dtype == torch.float32
        assert part.labels.shape == (size,)
        assert part.labels.dtype == torch.int64
        assert set(part.labels.tolist()) == set(range(dataset.classes))
    assert data.train.images.mean().item() == pytest.approx(0, abs=1e-5)
    assert data.train.images.std(correction=0).item() == pytest.approx(1, abs=1e-5)
    again = dataset.load()
    assert torch.equal(data.test.images, again.test.images)
    assert torch.equal(data.train.labels, again.train.labels)


def test_digits_are_split_without_loss_or_overlap() -> None:
    data = Digits().load()
    pixels, labels = load_digits(return_X_y=True)
    together = torch.cat([data.train.images, data.test.images]).reshape(1797, -1).numpy()
    slope, offset = np.polyfit(np.sort(together.ravel()), np.sort(pixels.ravel()), 1)
    restored = np.rint(together * slope + offset)
    with_labels = np.column_stack([restored, torch.cat([data.train.labels, data.test.labels]).numpy()])
    original = np.column_stack([pixels, labels])
    assert sorted(map(tuple, with_labels)) == sorted(map(tuple, original))


def test_the_split_of_the_digits_is_pinned() -> None:
    data = Digits().load()
    assert data.train.labels[:10].tolist() == [0, 0, 6, 2, 4, 7, 5, 9, 6, 0]
    assert data.test.labels[:10].tolist() == [4, 2, 0, 1, 7, 2, 1, 3, 1, 5]
