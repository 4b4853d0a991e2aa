"""Data sets: sizes as announced, one fixed split, normalized by the training part."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from full_scale.data.base import AbstractDataset, Data, Examples
from full_scale.data.digits import Digits
from full_scale.data.folders import AbstractFolderDataset
from full_scale.data.stored import AbstractStoredDataset
from mechanisms.records.specs import choices, from_json, to_json
from mechanisms.system.context import RunContext
from mechanisms.validation import UserError
from tests.full_scale.data.conftest import data_in

DATASETS = choices(AbstractDataset)
SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def small(name: str) -> AbstractDataset:
    """A data set with its defaults; a small part of one that is stored."""
    cls = DATASETS[name]
    if not issubclass(cls, AbstractStoredDataset):
        return cls()  # type: ignore[no-any-return]
    return cls(side=cls.stored_shape[1] // 2, train_images=500, test_images=200)


@pytest.mark.parametrize("name", [name for name, cls in DATASETS.items() if not issubclass(cls, AbstractFolderDataset)])
def test_every_data_set_is_what_it_announces(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data_in(SHARED, monkeypatch)
    dataset = small(name)
    try:
        data = dataset.load()
    except UserError as error:
        if "nothing in" not in str(error):
            raise
        pytest.skip(str(error))
    for part, size in ((data.train, dataset.train_size), (data.test, dataset.test_size)):
        assert isinstance(part, Examples)
        assert tuple(part.images.shape) == (size, *dataset.shape)
        assert part.images.dtype == torch.float32
        assert tuple(part.labels.shape) == ((size, *dataset.shape[1:]) if dataset.labels_pixels else (size,))
        assert part.labels.dtype == torch.int64
        assert set(part.labels.flatten().tolist()) == set(range(dataset.classes))
    assert isinstance(data.train, Examples)
    if isinstance(dataset, AbstractStoredDataset | Digits):
        assert data.train.images.mean().item() == pytest.approx(0, abs=1e-5)
        assert data.train.images.std(correction=0).item() == pytest.approx(1, abs=1e-5)
    again = dataset.load()
    assert isinstance(again.train, Examples)
    assert torch.equal(data.train.images, again.train.images)
    assert torch.equal(data.train.labels, again.train.labels)


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_survives_json(name: str) -> None:
    dataset = small(name)
    assert from_json(type(dataset), to_json(dataset)) == dataset


@pytest.mark.parametrize("name", DATASETS)
def test_missing_files_are_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_in(tmp_path, monkeypatch)
    if not issubclass(DATASETS[name], AbstractStoredDataset | AbstractFolderDataset):
        assert DATASETS[name]().load()
        return
    with pytest.raises(UserError, match=f"data={name}: .*{tmp_path}.* put .*--data DIR") as caught:
        DATASETS[name]().load()
    assert "\n" not in str(caught.value)


def in_memory(data: Data) -> tuple[Examples, Examples]:
    assert isinstance(data.train, Examples)
    assert isinstance(data.test, Examples)
    return data.train, data.test


def test_digits_are_split_without_loss_or_overlap() -> None:
    train, test = in_memory(Digits().load())
    pixels, labels = load_digits(return_X_y=True)
    together = torch.cat([train.images, test.images]).reshape(1797, -1).numpy()
    slope, offset = np.polyfit(np.sort(together.ravel()), np.sort(pixels.ravel()), 1)
    restored = np.rint(together * slope + offset)
    with_labels = np.column_stack([restored, torch.cat([train.labels, test.labels]).numpy()])
    original = np.column_stack([pixels, labels])
    assert sorted(map(tuple, with_labels)) == sorted(map(tuple, original))


def test_the_split_of_the_digits_is_pinned() -> None:
    data = Digits().load()
    assert data.train.labels[:10].tolist() == [0, 0, 6, 2, 4, 7, 5, 9, 6, 0]
    assert data.test.labels[:10].tolist() == [4, 2, 0, 1, 7, 2, 1, 3, 1, 5]


def test_the_digits_are_pinned_to_the_last_bit() -> None:
    """Records made before data sets shared their code stay comparable."""
    found = []
    for dataset in (Digits(), Digits(label_noise=0.2, pixel_noise=0.5)):
        train, test = in_memory(dataset.load())
        found += [hashlib.sha256(t.numpy().tobytes()).hexdigest()[:16] for t in (train.images, train.labels, test.images)]
    assert found == [
        *("ca20cd57f2afd761", "a86e7bfe07ff19e3", "b2db35bb857e2644"),
        *("4b94e39ef3f668b9", "68d1f56c9e0321e0", "3e67c5320c4d4fdc"),
    ]


def test_the_folder_of_data_is_that_of_the_environment_where_none_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPLICIT_SPARSITY_DATA", str(tmp_path))
    assert RunContext().data == tmp_path
    assert RunContext(data=Path("mine")).data == Path("mine")
    monkeypatch.delenv("IMPLICIT_SPARSITY_DATA")
    assert RunContext().data == Path("data")
