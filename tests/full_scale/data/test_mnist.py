"""MNIST and Fashion-MNIST as idx files, packed or not, as .npz and as sheets, and the real ones where they are."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from full_scale.data.base import Examples
from full_scale.data.files.location import Source
from full_scale.data.mnist import IDX, FashionMnist, Mnist
from full_scale.data.stored import Known
from mechanisms.validation import UserError

TRAIN, TEST = 30, 20
IMAGES = np.random.default_rng(0).integers(0, 256, (TRAIN + TEST, 28, 28), np.uint8)
LABELS = np.arange(TRAIN + TEST, dtype=np.uint8) % 10
ARRAYS = {"x_train": IMAGES[:TRAIN], "y_train": LABELS[:TRAIN], "x_test": IMAGES[TRAIN:], "y_test": LABELS[TRAIN:]}


def idx(array: np.ndarray) -> bytes:
    """An array of bytes in the idx format."""
    lengths = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return bytes([0, 0, 8, array.ndim]) + lengths + array.tobytes()


def npz(arrays: dict[str, np.ndarray]) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=True, **arrays)  # type: ignore[arg-type]
    return content.getvalue()


@pytest.fixture(params=[Mnist, FashionMnist])
def dataset(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[Any]:
    """The class, with the sizes of what the tests make and without the checksums of the real files."""
    found: type[Any] = request.param
    monkeypatch.setattr(found, "sources", tuple(dataclasses.replace(source, checksum="") for source in found.sources))
    monkeypatch.setattr(found, "stored_train", TRAIN)
    monkeypatch.setattr(found, "stored_test", TEST)
    monkeypatch.setattr(found, "known", ())
    return found


@pytest.fixture
def small_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mnist, "stored_train", TRAIN)
    monkeypatch.setattr(Mnist, "stored_test", TEST)
    digests = [hashlib.md5(array.tobytes()).hexdigest() for array in ARRAYS.values()]
    monkeypatch.setattr(Mnist, "known", (Known("train", 0, TRAIN, *digests[:2]), Known("test", 0, TEST, *digests[2:])))


def place(folder: Path, dataset: type[Any], packed: bool = True, **changed: bytes) -> Path:
    inside = folder / dataset.name
    inside.mkdir()
    for name, array in zip(IDX, ARRAYS, strict=True):
        content = changed.get(array, idx(ARRAYS[array]))
        (inside / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(content) if packed else content)
    return inside


def refused(dataset: type[Any], text: str) -> None:
    """Loading is refused in one line with that text."""
    with pytest.raises(UserError, match=text) as caught:
        dataset().load()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("packed", [True, False])
def test_idx_files_are_read(packed: bool, folder: Path, dataset: type[Any]) -> None:
    place(folder, dataset, packed)
    train, test = dataset.read(folder)
    assert np.array_equal(np.concatenate([train.images, test.images])[..., 0], IMAGES)
    assert np.array_equal(np.concatenate([train.labels, test.labels]), LABELS)
    assert tuple(dataset(side=7).load().test.images.shape) == (TEST, 1, 7, 7)


def test_missing_files_are_named_with_their_folder(folder: Path, dataset: type[Any]) -> None:
    refused(dataset, f"nothing in {folder / dataset.name}/: put {IDX[0]}.gz, .* or add --download")


@pytest.mark.parametrize(
    ("array", "content", "text"),
    [
        ("x_train", b"", "damaged or truncated"),
        ("x_train", b"\x89PNG" + bytes(100), "does not begin like an idx file"),
        ("x_train", idx(ARRAYS["x_train"])[:-1], "damaged or truncated"),
        ("x_train", b"\0\0\x08\x03" + b"\xff" * 12, "damaged or truncated"),
        ("x_train", idx(np.zeros((TRAIN, 32, 32), np.uint8)), r"images of shape \(30, 32, 32, 1\) .* not 28 × 28 × 1"),
        ("x_train", idx(LABELS[:5]), "1 axes and not 3"),
        ("y_test", idx(LABELS.reshape(-1, 1, 1)[:TEST]), "3 axes and not 1"),
        ("y_test", idx(LABELS[:5]), "for 5 labels"),
        ("y_test", idx(np.full(TEST, 10, np.uint8)), "labels in .* go from 10 to 10, outside 0 to 9"),
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_damaged_idx_files_are_refused(
    array: str, content: bytes, text: str, packed: bool, folder: Path, dataset: type[Any]
) -> None:
    place(folder, dataset, packed, **{array: content})
    refused(dataset, text)


def test_a_packed_file_that_unpacks_to_far_more_is_refused(
    folder: Path, dataset: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("full_scale.data.mnist.LARGEST_IDX", 10_000)
    place(folder, dataset)
    refused(dataset, "damaged or truncated")


def test_a_file_cut_short_or_another_one_is_refused(folder: Path, dataset: type[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    path = place(folder, dataset) / f"{IDX[0]}.gz"
    path.write_bytes(path.read_bytes()[:-20])
    refused(dataset, f"{path} cannot be read")
    digest = "md5:" + "0" * 32
    monkeypatch.setattr(dataset, "sources", (dataclasses.replace(dataset.sources[0], checksum=digest), *dataset.sources[1:]))
    refused(dataset, f"{path}: wrong checksum")


def test_the_npz_is_read(folder: Path, small_mnist: None) -> None:
    (folder / "mnist.npz").write_bytes(npz(ARRAYS))
    train, test = Mnist.read(folder)
    assert np.array_equal(np.concatenate([train.images, test.images])[..., 0], IMAGES)
    assert np.array_equal(test.labels, ARRAYS["y_test"])


@pytest.mark.parametrize("form", ["packed", "repacked", "plain", "plain named .gz"])
@pytest.mark.parametrize("array", [None, *ARRAYS])
def test_the_content_counts_in_every_form(array: str | None, form: str, folder: Path, small_mnist: None) -> None:
    changed = {} if array is None else {array: idx((ARRAYS[array] + 1) % 10)}
    inside = place(folder, Mnist, form != "plain", **changed)
    for path in inside.iterdir():
        if form == "repacked":
            path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1))
        elif form == "plain named .gz":
            path.write_bytes(gzip.decompress(path.read_bytes()))
    if array is None:
        assert len(Mnist().load().train) == TRAIN
    else:
        kind, part = {"x": "images", "y": "labels"}[array[0]], array[2:]
        refused(Mnist, f"data=mnist: {part} {kind} 0 to {len(ARRAYS[array]) - 1} in {folder} have md5")


def test_black_images_of_one_label_are_no_mnist(folder: Path) -> None:
    inside = folder / "mnist"
    inside.mkdir()
    for name, count in zip(IDX, (60_000, 60_000, 10_000, 10_000), strict=True):
        (inside / name).write_bytes(idx(np.zeros((count, 28, 28) if "idx3" in name else count, np.uint8)))
    refused(Mnist, "train images 0 to 59999 in .* have md5 .* and not 6510e85a")


def test_a_packing_that_is_not_the_published_one_is_refused_where_only_that_is_known(
    folder: Path, dataset: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "sources", tuple(dataclasses.replace(s, checksum="md5:" + "0" * 32) for s in dataset.sources))
    place(folder, dataset)
    refused(dataset, f"{IDX[0]}.gz: wrong checksum")


def test_a_part_that_is_published_even_must_be(folder: Path, dataset: type[Any]) -> None:
    place(folder, dataset, y_test=idx(np.zeros(TEST, np.uint8)))
    if dataset is FashionMnist:
        refused(dataset, "the test part in .* has 0 to 20 images of a class and not 2")
    else:
        assert len(dataset().load().test) == TEST


def test_a_training_part_of_one_class_is_refused(folder: Path, dataset: type[Any]) -> None:
    place(folder, dataset, y_train=idx(np.full(TRAIN, 3, np.uint8)))
    refused(dataset, "every training label is 3" if dataset is Mnist else "has 0 to 30 images of a class")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            npz({**ARRAYS, "x_test": ARRAYS["x_test"] + np.uint8(1)}),
            "test images 0 to 19 in .* have md5 .* get the files again",
        ),
        (npz({**ARRAYS, "y_test": np.array([object()])}), "holds Python objects"),
        (npz({"x_train": ARRAYS["x_train"]}), "y_train"),
        (npz({**ARRAYS, "x_test": np.zeros(1 << 27, np.uint8)}), "x_test.npy is larger than"),
        (npz(ARRAYS)[:-40], "damaged or truncated"),
        (b"PK", "damaged or truncated"),
    ],
)
def test_a_damaged_npz_is_refused(content: bytes, text: str, folder: Path, small_mnist: None) -> None:
    (folder / "mnist.npz").write_bytes(content)
    refused(Mnist, text)


def test_an_npz_that_announces_more_than_it_holds_is_refused(folder: Path, small_mnist: None) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (1 << 50,)})
    with zipfile.ZipFile(folder / "mnist.npz", "w") as archive:
        archive.writestr("x_train.npy", header.getvalue())
    refused(Mnist, "damaged or truncated")


def sheets(images: np.ndarray) -> list[bytes]:
    """Lossless WebP sheets of 32 × 32 tiles, grey written three times, the last padded with black."""
    coded = []
    for start in range(0, len(images), 1024):
        tiles = images[start : start + 1024]
        rows = -(-len(tiles) // 32)
        padded = np.zeros((rows * 32, 28, 28), np.uint8)
        padded[: len(tiles)] = tiles
        grid = padded.reshape(rows, 32, 28, 28).swapaxes(1, 2).reshape(rows * 28, 32 * 28)
        content = io.BytesIO()
        Image.fromarray(grid).convert("RGB").save(content, "WEBP", lossless=True)
        coded.append(content.getvalue())
    return coded


def place_sheets(folder: Path, monkeypatch: pytest.MonkeyPatch, images: np.ndarray, labels: np.ndarray) -> list[Path]:
    (folder / "fashion_mnist_label.npz").write_bytes(npz({"train_label": labels, "test_label": labels}))
    monkeypatch.setattr(FashionMnist, "labels", Source("fashion_mnist_label.npz"))
    written = []
    for part in ("train", "test"):
        names = [f"fashion_mnist_{part}_{number:02}.webp" for number in range(-(-len(images) // 1024))]
        monkeypatch.setattr(FashionMnist, f"{part}_sheets", tuple(map(Source, names)))
        for name, content in zip(names, sheets(images), strict=True):
            (folder / name).write_bytes(content)
            written.append(folder / name)
    return written


def test_sheets_serve_as_long_as_they_hold_enough(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FashionMnist, "known", ())
    images = np.random.default_rng(1).integers(0, 256, (1100, 28, 28), np.uint8)
    labels = (np.arange(1100) % 10).astype(np.uint8)
    place_sheets(folder, monkeypatch, images, labels)
    train, _ = FashionMnist.read(folder)
    assert np.array_equal(train.images[..., 0], images)
    assert len(FashionMnist(train_images=1100, test_images=20).load().train) == 1100
    refused(FashionMnist, "the files hold 1100 images and not 60000: set data.train_images")
    with pytest.raises(UserError, match=r"train_images = 1110 .* use at most 1100"):
        FashionMnist(train_images=1110, test_images=10).load()


def test_a_sheet_of_another_size_is_refused_before_it_is_decoded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = place_sheets(folder, monkeypatch, np.zeros((40, 28, 28), np.uint8), np.zeros(40, np.uint8))[0]
    Image.new("RGB", (896, 57)).save(path, "WEBP")
    refused(FashionMnist, f"{path} cannot be read.* 896 × 57 pixels, not 896 × 56")


def test_the_real_mnist_is_what_it_should_be(shared: Path) -> None:
    assert len(Mnist().load().train) == 60_000  # checks the md5 of every array
    train, test = Mnist.read(shared)
    assert (train.images.shape, test.images.shape) == ((60_000, 28, 28, 1), (10_000, 28, 28, 1))
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]


def test_the_real_sheets_are_what_their_readme_says(shared: Path) -> None:
    found = [hashlib.sha256(np.ascontiguousarray(part.images).tobytes()).hexdigest() for part in FashionMnist.read(shared)]
    assert found == [
        "3011e1e0d4907e2e15a0ee8c7fbde3978f1eed071fdbe8e58c4ce564da9ca464",
        "bed7d72160d50fc5a375d0aeeeae47f8f3c37a6925377761fb1363b5e0b6648b",
    ]
    data = FashionMnist(side=14, train_images=500, test_images=100).load()
    assert isinstance(data.train, Examples)
    assert tuple(data.train.images.shape) == (500, 1, 14, 14)
