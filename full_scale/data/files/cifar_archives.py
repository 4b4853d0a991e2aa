"""CIFAR-10 and CIFAR-100 as published: a tar (packed or not) of pickles or of binary files, or the folder that it unpacks to."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from full_scale.data.arrays import Stored
from full_scale.data.files.location import Source, missing, reading, require_checksum, verified
from full_scale.data.files.unpickling import parse_plain

PIXELS = 3 * 32 * 32
LARGEST_MEMBER = 1 << 28
"""Bytes; the largest file published has 155 million."""


@dataclass(frozen=True)
class Archive:
    """One published form: the archive, the folder in it, the files there, and what makes an image set of one file's bytes.

    Source: https://www.cs.toronto.edu/~kriz/cifar.html, which gives formats and checksums.
    """

    source: Source
    folder: str
    train: tuple[Source, ...]
    test: tuple[Source, ...]
    parse: Callable[[bytes], Stored]

    @property
    def members(self) -> tuple[Source, ...]:
        """The files in the folder."""
        return (*self.train, *self.test)

    @property
    def names(self) -> tuple[str, str]:
        """What the archive may be called: some programs unpack its outer layer as they fetch it."""
        return self.source.name, self.source.name.removesuffix(".gz")

    @property
    def checked_by_members(self) -> bool:
        """Whether the content of every file is known, so that the packing does not matter."""
        return all(member.checksum for member in self.members)


def read_archives(name: str, folder: Path, archives: tuple[Archive, ...]) -> tuple[Stored, Stored]:
    """The training and the test part of the first form that is there, in the published order.

    Raises:
        UserError: none is there; a file has a wrong checksum, is damaged, or holds anything but images.
    """
    for archive in archives:
        packed = next((path for name in archive.names if (path := folder / name).is_file()), None)
        if packed is not None:
            if not archive.checked_by_members:
                verified(folder, replace(archive.source, name=packed.name))
            return _joined(archive, dict(_unpacked(packed, archive)), packed)
        inside = folder / archive.folder
        if all((inside / member.name).is_file() for member in archive.members):
            contents = {member.name: verified(inside, member).read_bytes() for member in archive.members}
            return _joined(archive, contents, inside)
    forms = " or ".join(f"{archive.source.name} (or its folder {archive.folder}/)" for archive in archives)
    raise missing(name, folder, forms, (archives[0].source,))


def _unpacked(path: Path, archive: Archive) -> Iterator[tuple[str, bytes]]:
    """Name → content of the wanted members; nothing is written, so that no path in an archive is ever followed."""
    wanted = {f"{archive.folder}/{member.name}": member for member in archive.members}
    with reading(path), tarfile.open(path, "r|*") as tar:
        for member in tar:
            if member.name in wanted:
                file = tar.extractfile(member) if member.isfile() and member.size <= LARGEST_MEMBER else None
                if file is None:
                    raise ValueError(f"{member.name} in it is no file of at most {LARGEST_MEMBER} bytes")
                content = file.read()
                require_checksum(path / member.name, wanted[member.name], content)
                yield wanted.pop(member.name).name, content
        if wanted:
            raise ValueError(f"{next(iter(wanted))} is not in it")


def _joined(archive: Archive, contents: dict[str, bytes], path: Path) -> tuple[Stored, Stored]:
    parts = []
    for members in (archive.train, archive.test):
        batches = []
        for member in members:
            with reading(path / member.name):
                batches.append(archive.parse(contents.pop(member.name)))
        images, labels = ([getattr(batch, field) for batch in batches] for field in ("images", "labels"))
        parts.append(Stored(np.concatenate(images), np.concatenate(labels)))
    return parts[0], parts[1]


def pickled(labels: str) -> Callable[[bytes], Stored]:
    """What reads one pickle whose labels stand under that key."""

    def parse(content: bytes) -> Stored:
        values = {k.decode("latin1") if isinstance(k, bytes) else k: v for k, v in parse_plain(content).items()}
        images, classes = values["data"], np.array(values[labels])
        if not isinstance(images, np.ndarray) or images.shape != (len(classes), PIXELS) or classes.dtype.kind != "i":
            raise ValueError(f"no {PIXELS} bytes and one whole number for each image")
        return Stored(_upright(images), classes.astype(np.int64))

    return parse


def binary(label_bytes: int) -> Callable[[bytes], Stored]:
    """What reads one binary file whose images stand behind that many label bytes, the last of which counts."""

    def parse(content: bytes) -> Stored:
        rows, rest = divmod(len(content), label_bytes + PIXELS)
        if rest or not rows:
            raise ValueError(f"its {len(content)} bytes are no whole number of images")
        table = np.frombuffer(content, np.uint8).reshape(rows, -1)
        return Stored(_upright(table[:, label_bytes:]), table[:, label_bytes - 1].astype(np.int64))

    return parse


def _upright(rows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
