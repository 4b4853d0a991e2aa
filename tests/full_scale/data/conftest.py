"""What the tests of data sets share: folders, files in the published formats, the real sets where they are."""

from __future__ import annotations

import functools
import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from full_scale.data import folders, stored
from full_scale.data.files.location import Source
from mechanisms.system.context import RunContext

SHARED = Path(__file__).parents[3].parent / "shared" / "data"


def data_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on `load` looks for data sets in a folder."""
    for module in (folders, stored):
        monkeypatch.setattr(module, "RunContext", functools.partial(RunContext, data=folder, decoders=0))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder; downloads are not allowed."""
    data_in(tmp_path, monkeypatch)
    return tmp_path


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the real sets, set as the data folder."""
    if not SHARED.is_dir():
        pytest.skip(f"no real data: {SHARED} is absent")
    data_in(SHARED, monkeypatch)
    return SHARED


@pytest.fixture
def pixels() -> Callable[[int, int], np.ndarray]:
    """pixels(count, bytes): random images as rows of bytes, the same for the same arguments."""
    return lambda count, size: np.random.default_rng(count).integers(0, 256, (count, size), np.uint8)


def old_pickle(images: np.ndarray, labels: list[int], key: str) -> bytes:
    """A batch as Python 2 and its NumPy wrote the published files, opcode by opcode (protocol 2)."""
    numbers = b"".join(b"K" + bytes([label]) for label in labels)
    count, size = images.shape
    return b"".join(
        [
            b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03",
            b"U" + bytes([len(key)]) + key.encode() + b"q\x04]q\x05(" + numbers + b"e",
            b"U\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09",
            b"(K\x01M" + count.to_bytes(2, "little") + b"M" + size.to_bytes(2, "little") + b"\x86q\x0a",
            b"cnumpy\ndtype\nq\x0bU\x02u1K\x00K\x01\x87Rq\x0c(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89",
            b"T" + images.nbytes.to_bytes(4, "little") + images.tobytes() + b"tb",
            b"U\x09filenamesq\x0d]q\x0e(U\x05a.pngq\x0fU\x05b.pngq\x10eu.",
        ]
    )


@pytest.fixture
def as_python_2() -> Callable[[np.ndarray, list[int], str], bytes]:
    """See `old_pickle`."""
    return old_pickle


@pytest.fixture
def tar_gz() -> Callable[[dict[str, bytes]], bytes]:
    """tar_gz({name: content}): the bytes of such an archive."""

    def pack(members: dict[str, bytes]) -> bytes:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            for name, content in members.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        return packed.getvalue()

    return pack


@pytest.fixture
def placed() -> Callable[..., Source]:
    """placed(path, content): writes a file and returns it as a source with its true checksum."""

    def place(path: Path, content: bytes, address: str = "") -> Source:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return Source(path.name, f"md5:{hashlib.md5(content).hexdigest()}", address)

    return place
