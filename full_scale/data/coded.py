"""Arrays out of coded files, whose sizes are checked before anything is decoded: npz, JPEG, sheets of tiles."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from full_scale.data.files.colours import colours
from full_scale.data.files.location import reading


def read_npz(path: Path, limits: dict[str, int]) -> dict[str, np.ndarray]:
    """The arrays of these names in an .npz file, each of at most that many bytes; never unpickles.

    Raises:
        UserError: the file is damaged, an array is missing, holds objects or is larger.
    """
    with reading(path), zipfile.ZipFile(path) as archive:
        return {name: _read_npy(archive, f"{name}.npy", limit) for name, limit in limits.items()}


def _read_npy(archive: zipfile.ZipFile, member: str, limit: int) -> np.ndarray:
    if archive.getinfo(member).file_size > limit + 1024:
        raise ValueError(f"{member} is larger than {limit} bytes")
    # the header is at most 1024 bytes here; the content, not its announced size, decides what is allocated
    content = io.BytesIO(archive.read(member))
    version = np.lib.format.read_magic(content)
    if version != (1, 0):
        raise ValueError(f"{member} has format version {version}")
    shape, in_columns, dtype = np.lib.format.read_array_header_1_0(content, max_header_size=1024)
    if dtype.hasobject:
        raise ValueError(f"{member} holds Python objects")
    return np.frombuffer(content.read(), dtype).reshape(shape, order="F" if in_columns else "C")


def decode_image(content: bytes, size: tuple[int, int]) -> np.ndarray:
    """The pixels, uint8 of shape (height, width, 3), of an image file; raises `ValueError` unless (width, height) is `size`."""
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        if image.size != size:
            raise ValueError(f"an image of {image.size[0]} × {image.size[1]} pixels, not {size[0]} × {size[1]}")
        return np.asarray(colours(image))


def read_sheets(paths: list[Path], count: int, side: int, columns: int = 32) -> np.ndarray:
    """The first `count` tiles of side × side pixels, uint8 of shape (count, side, side, 3), of sheets of columns × columns tiles.

    Tiles follow one another from left to right and from top to bottom; what is left of the last sheet is padding.

    Raises:
        UserError: a sheet is damaged, or has another size.
    """
    tiles = np.empty((count, side, side, 3), np.uint8)
    for number, path in enumerate(paths):
        first = number * columns**2
        here = min(columns**2, count - first)
        rows = -(-here // columns)
        with reading(path):
            sheet = decode_image(path.read_bytes(), (columns * side, rows * side))
            grid = sheet.reshape(-1, side, columns, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
            tiles[first : first + here] = grid[:here]
    return tiles
