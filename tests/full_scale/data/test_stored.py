"""Sets in memory: their fields are checked before any file is read, and their sizes follow from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from full_scale.data.arrays import Stored
from full_scale.data.base import AbstractDataset
from full_scale.data.stored import AbstractStoredDataset
from mechanisms.records.specs import choices
from mechanisms.validation import InvalidValue

DATASETS = {name: cls for name, cls in choices(AbstractDataset).items() if issubclass(cls, AbstractStoredDataset)}


@pytest.fixture(params=DATASETS)
def dataset(request: pytest.FixtureRequest) -> Any:
    return DATASETS[request.param]


def test_sizes_follow_from_the_fields(dataset: Any) -> None:
    plain, part = dataset(), dataset(side=dataset.stored_shape[1] // 4, train_images=200, test_images=100)
    assert (plain.shape, plain.train_size, plain.test_size) == (dataset.stored_shape, dataset.stored_train, dataset.stored_test)
    side = dataset.stored_shape[1] // 4
    assert (part.shape, part.train_size, part.test_size) == ((dataset.stored_shape[0], side, side), 200, 100)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("side", 5),
        ("side", -1),
        ("side", 64),
        ("train_images", 101),
        ("train_images", -100),
        ("train_images", 10**7),
        ("test_images", 99),
        ("label_noise", 1.0),
        ("label_noise", float("nan")),
        ("pixel_noise", -0.1),
    ],
)
def test_impossible_values_are_refused_by_name(field: str, value: Any, dataset: Any) -> None:
    with pytest.raises(InvalidValue, match=f"data.{field} = "):
        dataset(**{field: value})


def test_files_are_read_once_a_process_and_the_data_are_fresh(
    dataset: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channels, height, width = dataset.stored_shape
    reads = []

    def read(where: Path) -> tuple[Stored, Stored]:
        reads.append(where)
        images = np.random.default_rng(0).integers(0, 256, (400, height, width, channels), np.uint8)
        return Stored(images, np.arange(400) % 100), Stored(images[:200], np.arange(200) % 100)

    monkeypatch.setattr(dataset, "read", staticmethod(read))
    monkeypatch.setattr(dataset, "classes", 100)
    monkeypatch.setattr(dataset, "known", ())
    small = dataset(train_images=300, test_images=100)
    first, again = small.load(), small.load()
    assert reads == [folder]
    first.train.images.zero_()
    assert again.train.images.std().item() == pytest.approx(1, abs=1e-4)
