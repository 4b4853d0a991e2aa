"""CIFAR-100 as published."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from full_scale.data.arrays import Stored
from full_scale.data.files.cifar_archives import Archive, binary, pickled, read_archives
from full_scale.data.files.location import Source
from full_scale.data.stored import AbstractStoredDataset


@dataclass(frozen=True)
class Cifar100(AbstractStoredDataset):
    """CIFAR-100: 60,000 images of 32 × 32 pixels in 100 (fine) classes, 50,000 of them for training.

    Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, technical report 2009.
    """

    name: ClassVar[str] = "cifar100"
    stored_shape: ClassVar[tuple[int, int, int]] = (3, 32, 32)
    classes: ClassVar[int] = 100
    stored_train: ClassVar[int] = 50_000
    stored_test: ClassVar[int] = 10_000
    even: ClassVar[bool] = True
    archives: ClassVar[tuple[Archive, ...]] = (
        Archive(
            source=Source(
                "cifar-100-python.tar.gz",
                "md5:eb9058c3a382ffc7106e4002c42a8d85",
                "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
            ),
            folder="cifar-100-python",
            train=(Source("train", "md5:16019d7e3df5f24257cddd939b257f8d"),),
            test=(Source("test", "md5:f0ef6b0ae62326f3e7ffdfab6717acfc"),),
            parse=pickled("fine_labels"),
        ),
        Archive(
            source=Source("cifar-100-binary.tar.gz", "md5:03b5dce01913d631647c71ecec9e9cb8"),
            folder="cifar-100-binary",
            train=(Source("train.bin"),),
            test=(Source("test.bin"),),
            parse=binary(label_bytes=2),
        ),
    )

    @classmethod
    def read(cls, folder: Path) -> tuple[Stored, Stored]:
        """See `AbstractStoredDataset`."""
        return read_archives(cls.name, folder, cls.archives)
