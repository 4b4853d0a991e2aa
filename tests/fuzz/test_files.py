"""Every file that a person may hand over, damaged at random: read as something, or refused in one line; never anything else."""

import contextlib
import functools
import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from full_scale.commands.parts.images import images_of
from full_scale.commands.parts.weights import with_weights
from full_scale.data.coded import read_npz
from full_scale.data.files.cifar_archives import Archive, _unpacked, binary
from full_scale.data.files.decoding import decode
from full_scale.data.files.location import Source, reading
from full_scale.data.files.unpacking import unpack
from full_scale.data.mnist import LARGEST_IDX, _parse_idx
from full_scale.removal import load, save
from mechanisms.validation import UserError
from tests.fuzz.damage import FUZZ, damaged, understood_or_refused


def network():
    return torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.ReLU())


def idx(path):
    with reading(path), gzip.open(path) as file:
        return _parse_idx(file.read(LARGEST_IDX + 1))


def plain_idx(path):
    with reading(path):
        return _parse_idx(path.read_bytes())


def cifar(path):
    archive = Archive(Source(path.name), "batches", (Source("train.bin"),), (Source("test.bin"),), binary(1))
    contents = dict(_unpacked(path, archive))
    with reading(path):
        return [archive.parse(content) for content in contents.values()]


def image(path):
    with reading(path):
        return decode(path, 8, None)


def zipped(path):
    import re

    unpack(path, path.with_name("unpacked"), re.compile(r"(images/\w+\.png)"))


CORPUS = Path(__file__).parent / "corpus"
"""Damaged files by what reads them (`keep_corpus.py`)."""
READERS = {
    "weights.pt": lambda path: with_weights(network(), path),
    "weights.safetensors": lambda path: with_weights(network(), path),
    "shrunk.safetensors": lambda path: load(path, network()),
    "images.npy": lambda path: images_of(str(path), None, torch.float32),
    "images.npz": lambda path: images_of(str(path), None, torch.float32),
    "mnist.npz": lambda path: read_npz(path, {"x_train": 1 << 12}),
    "images.gz": idx,
    "images-idx3-ubyte": plain_idx,
    "cifar.tar.gz": cifar,
    "image.png": image,
    "image.jpeg": image,
    "images.zip": zipped,
}
"""Name of a file → what reads it."""


@functools.cache
def whole_files():
    """Name → bytes of a sound file of each kind."""
    found = {name: io.BytesIO() for name in READERS}
    torch.save(network().state_dict(), found["weights.pt"])
    np.save(found["images.npy"], np.zeros((2, 1, 8, 8), np.float32))
    np.savez(found["images.npz"], images=np.zeros((2, 1, 8, 8), np.float32))
    np.savez_compressed(found["mnist.npz"], x_train=np.zeros((3, 28, 28), np.uint8))
    found["images-idx3-ubyte"].write(b"\0\0\x08\x03" + np.array([2, 4, 4], ">u4").tobytes() + bytes(32))
    found["images.gz"].write(gzip.compress(found["images-idx3-ubyte"].getvalue(), mtime=0))
    with tarfile.open(fileobj=found["cifar.tar.gz"], mode="w:gz") as tar:
        for name in ("train.bin", "test.bin"):
            entry = tarfile.TarInfo(f"batches/{name}")
            entry.size = 2 * 3073
            tar.addfile(entry, io.BytesIO(bytes(entry.size)))
    pixels = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    pixels.save(found["image.png"], "PNG")
    pixels.save(found["image.jpeg"], "JPEG")
    with zipfile.ZipFile(found["images.zip"], "w") as archive:
        archive.writestr("images/one.png", found["image.png"].getvalue())
    return {name: file.getvalue() for name, file in found.items() if file.getvalue()}


def write_sound_files(folder):
    """Writes a sound file of each kind."""
    for name, content in whole_files().items():
        (folder / name).write_bytes(content)
    safetensors.torch.save_file(network().state_dict(), folder / "weights.safetensors")
    save(network(), folder / "shrunk.safetensors")


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A folder with a sound file of each kind."""
    folder = tmp_path_factory.mktemp("sound")
    write_sound_files(folder)
    return folder


@pytest.mark.parametrize("name", READERS)
def test_a_sound_file_is_read(name, sound):
    READERS[name](sound / name)


def test_a_member_that_is_no_array_is_refused(tmp_path):
    """What half an hour of trying found: NumPy hands out the bytes of a member whose first bytes are damaged."""
    with zipfile.ZipFile(tmp_path / "images.npz", "w") as archive:
        archive.writestr("images.npy", bytes(200))
    with pytest.raises(UserError, match="no array"):
        READERS["images.npz"](tmp_path / "images.npz")


@pytest.mark.parametrize("kept", sorted(CORPUS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_file_that_was_refused_once(kept, tmp_path):
    path = tmp_path / kept.parent.name
    path.write_bytes(kept.read_bytes())
    with understood_or_refused():
        READERS[path.name](path)


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_read_or_refused_in_one_line(name, sound, tmp_path):
    content, place = (sound / name).read_bytes(), tmp_path / name

    @FUZZ
    @given(st.data())
    def try_one(data):
        place.write_bytes(data.draw(damaged(content)))
        with contextlib.suppress(FileNotFoundError):
            (tmp_path / "unpacked").rename(tmp_path / f"unpacked-{len(list(tmp_path.iterdir()))}")
        with understood_or_refused():
            READERS[name](place)

    try_one()
