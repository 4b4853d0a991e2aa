"""MNIST and Fashion-MNIST: idx files as published, an .npz of the former, sheets of a part of the latter."""

from __future__ import annotations

import gzip
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from full_scale.data.arrays import Stored
from full_scale.data.coded import read_npz, read_sheets
from full_scale.data.files.location import Source, missing, present, reading, verified
from full_scale.data.stored import AbstractStoredDataset, Known

IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
LARGEST_IDX = 1 << 26
"""Bytes; the training images have 47 million."""


@dataclass(frozen=True)
class Mnist(AbstractStoredDataset):
    """MNIST: 70,000 handwritten digits of 28 × 28 pixels, 60,000 of them for training.

    Source: LeCun, Bottou, Bengio and Haffner, Gradient-Based Learning Applied to Document Recognition, Proc. IEEE 1998.
    """

    name: ClassVar[str] = "mnist"
    stored_shape: ClassVar[tuple[int, int, int]] = (1, 28, 28)
    classes: ClassVar[int] = 10
    stored_train: ClassVar[int] = 60_000
    stored_test: ClassVar[int] = 10_000
    sources: ClassVar[tuple[Source, ...]] = tuple(
        Source(f"{name}.gz", f"md5:{digest}", f"https://ossci-datasets.s3.amazonaws.com/mnist/{name}.gz")
        for name, digest in zip(
            IDX,
            [
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "d53e105ee54ea40749a09fcbcd1e9432",
                "9fb629c4189551a2d022fa330f9573f3",
                "ec29112dd5afa0611ce80d1b7f02629c",
            ],
            strict=True,
        )
    )
    known: ClassVar[tuple[Known, ...]] = (
        Known("train", 0, 60_000, "6510e85a72c3e9475c492d559d3770d2", "e86ee40d66677c011a9abda399ec8c4d"),
        Known("test", 0, 10_000, "240610fa99e73bfa49df8e7fc24d3206", "073c3904dfbd3e141ff8aa01cfde6b15"),
    )

    @classmethod
    def read(cls, folder: Path) -> tuple[Stored, Stored]:
        """See `AbstractStoredDataset`; idx files in `mnist/`, else `mnist.npz`."""
        path = folder / "mnist.npz"
        if path.is_file() and not _all_there(folder / cls.name):
            arrays = read_npz(path, dict.fromkeys(("x_train", "y_train", "x_test", "y_test"), LARGEST_IDX))
            return _stored(arrays["x_train"], arrays["y_train"]), _stored(arrays["x_test"], arrays["y_test"])
        return _read_idx(cls, folder / cls.name, cls.sources, "mnist.npz one folder above")


@dataclass(frozen=True)
class FashionMnist(AbstractStoredDataset):
    """Fashion-MNIST: 70,000 articles of clothing of 28 × 28 pixels, 60,000 of them for training.

    The WebP sheets hold the first 8,226 training and the first 1,770 test images. They serve as long as `train_images` and
    `test_images` ask for no more than they hold of each class (at most 7,660 and 1,660), and then are the very same data.

    Source: Xiao, Rasul and Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms, 2017.
    """

    name: ClassVar[str] = "fashion_mnist"
    stored_shape: ClassVar[tuple[int, int, int]] = (1, 28, 28)
    classes: ClassVar[int] = 10
    stored_train: ClassVar[int] = 60_000
    stored_test: ClassVar[int] = 10_000
    sources: ClassVar[tuple[Source, ...]] = tuple(
        Source(f"{name}.gz", f"md5:{digest}", f"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/{name}.gz")
        for name, digest in zip(
            IDX,
            [
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "25c81989df183df01b3e8a0aad5dffbe",
                "bef4ecab320f06d8554ea6380940ec79",
                "bb300cfdad3c16e7a12a480ee83cd310",
            ],
            strict=True,
        )
    )
    known: ClassVar[tuple[Known, ...]] = (
        Known("train", 0, 8226, "b21f7b29099dee04cdff2648259286c9", "d15edc86abf3cee95bd8d1e2f0e76881"),
        Known("test", 0, 1770, "3d12078b479a07a0d775788355240643", "929a3c983b1390db6c1c9a8a07893a0b"),
    )
    even: ClassVar[bool] = True
    labels: ClassVar[Source] = Source(
        "fashion_mnist_label.npz", "sha256:d09927fc25d73ebafe0204c76c406fece67b4cb05e96c69005b7c72c8373d938"
    )
    train_sheets: ClassVar[tuple[Source, ...]] = tuple(
        Source(f"fashion_mnist_train_{number:02}.webp", f"sha256:{digest}")
        for number, digest in enumerate(
            [
                "e0613e9b4554042b5870b575835d55011929ffd8a4d6d2a2cf60a50e4ba5aea0",
                "120b23e78f41dd2013368c5dca3df0ac50530325f089fa65c3cf01d8fc4561f5",
                "32064bb19daca522388d80d99e9b68684efa31ec4a71bbccbd784883f3aa8ef3",
                "539c0f7d5acb3112b831f1639e3f2d2effe894e5b5266a73c0c4d11be17bc001",
                "bf02cafc131ecc36689ae589add01d749d7f856a29e2c65f27043706e7af20b0",
                "c8969d0f1019d8da5b0876b0785c621768c2e4f41cfbd1ce6c5f2c9193464ce0",
                "0641542e626d9585818289bbed946c045b32b28ae60fab0124ca5758cc699e6e",
                "8faab6e11534a78738c2f448872a87eb10e71fe0fbbcd13d212cee5931668466",
                "80b779a2325063ab05369791df16bad5b2de87e68de8b8814a5cff1424cb31ad",
            ]
        )
    )
    test_sheets: ClassVar[tuple[Source, ...]] = (
        Source("fashion_mnist_test_00.webp", "sha256:c51998aea6e08739b45a87bcd79651811fc9433abfd78dbbdf7c65635246e1dd"),
        Source("fashion_mnist_test_01.webp", "sha256:9eb7a1de0c109be1f5496f59761f78f1f7ce4f59ccd0d214a45a6ffd59f47fde"),
    )

    @classmethod
    def read(cls, folder: Path) -> tuple[Stored, Stored]:
        """See `AbstractStoredDataset`; idx files in `fashion_mnist/`, else the sheets."""
        sheets = (cls.labels, *cls.train_sheets, *cls.test_sheets)
        if _all_there(folder / cls.name) or not all((folder / sheet.name).is_file() for sheet in sheets):
            return _read_idx(cls, folder / cls.name, cls.sources, "the fashion_mnist_*.webp sheets one folder above")
        labels = read_npz(verified(folder, cls.labels), {"train_label": cls.stored_train, "test_label": cls.stored_test})
        parts = []
        for part, names in (("train_label", cls.train_sheets), ("test_label", cls.test_sheets)):
            tiles = read_sheets([verified(folder, sheet) for sheet in names], len(labels[part]), 28)
            parts.append(_stored(tiles[..., 0], labels[part]))
        return parts[0], parts[1]


def _all_there(folder: Path) -> bool:
    return all((folder / name).is_file() or (folder / f"{name}.gz").is_file() for name in IDX)


def _read_idx(
    dataset: type[AbstractStoredDataset], folder: Path, sources: tuple[Source, ...], otherwise: str
) -> tuple[Stored, Stored]:
    """Both parts of four idx files, packed or plain; packed ones must be those published where `known` does not cover all."""
    covered = sum(known.end - known.first for known in dataset.known) == dataset.stored_train + dataset.stored_test
    if not _all_there(folder) and not present(folder, sources):
        raise missing(dataset.name, folder, ", ".join(source.name for source in sources) + f" (or {otherwise})", sources)
    arrays = []
    for source in sources:
        plain = folder / source.name.removesuffix(".gz")
        path = plain if plain.is_file() else folder / source.name if covered else verified(folder, source)
        with reading(path):
            arrays.append(_parse_idx(_unpacked(path)))
            if arrays[-1].ndim != (axes := 3 if "idx3" in source.name else 1):
                raise ValueError(f"it holds an array of {arrays[-1].ndim} axes and not {axes}")
    return _stored(arrays[0], arrays[1]), _stored(arrays[2], arrays[3])


def _unpacked(path: Path) -> bytes:
    """The content of a file, packed by gzip or not, whatever its name says; no more than what is too much."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else path.open("rb") as file:
        return file.read(LARGEST_IDX + 1)


def _parse_idx(content: bytes) -> np.ndarray:
    """The array of an idx file of bytes: two zeros, 8 for uint8, the number of axes, each length as four bytes, the content.

    Source: http://yann.lecun.com/exdb/mnist/, "The IDX file format".
    """
    if content[:3] != b"\0\0\x08" or content[3] not in (1, 3):
        raise ValueError("it does not begin like an idx file of bytes")
    start = 4 + 4 * content[3]
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _stored(images: np.ndarray, labels: np.ndarray) -> Stored:
    return Stored(images[..., None], labels.astype(np.int64))
