"""Images for a command line: from a file of NumPy, or the training part of one of the data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from full_scale.data.base import AbstractDataset, in_order
from mechanisms.records.specs import make_choice
from mechanisms.validation import UserError, first_line

if TYPE_CHECKING:
    import torch
    from torch import Tensor

FILES = (".npy", ".npz")
LARGEST = 1 << 34
"""Bytes that an .npz may unpack to; larger sets belong into an .npy, which is read in place."""


def images_of(text: str, most: int | None, dtype: torch.dtype) -> Tensor:
    """The first `most` images (all, if None), shape (N, …), of a file or of the training part of a data set.

    Raises:
        UserError: there is no such file or data set, or it does not hold images as a network sees them.
    """
    import torch

    if Path(text).suffix in FILES:
        images = torch.from_numpy(np.array(_from_file(Path(text))[:most]))
    else:
        images = _from_dataset(make_choice(AbstractDataset, text, "--data"), most)
    if not len(images):
        raise UserError(f"--data {text} holds no images: give some")
    if not bool(torch.isfinite(images).all()):
        raise UserError(f"--data {text} holds values that are not finite: remove them")
    return images.to(dtype)


def _from_file(file: Path) -> np.ndarray:
    """The array of a file; of several, the one that is called "images"."""
    if file.exists() and not file.is_file():
        raise UserError(f"{file} is no regular file: give an array that numpy.save wrote")
    try:
        content: Any = np.lib.format.open_memmap(file, mode="r") if file.suffix == ".npy" else _only_array(file)
    except KeyError:
        raise UserError(f"{file} holds several arrays and none is called images: name the one that counts") from None
    except Exception as problem:
        raise UserError(f"{file} cannot be read as images ({first_line(problem)}): save a plain array by numpy.save") from None
    if content.dtype.kind != "f" or content.dtype.itemsize > 8 or content.ndim < 2:
        raise UserError(
            f"{file} holds {content.dtype} of shape {content.shape}: give normalized numbers as the network sees them, (N, …)"
        )
    return np.asarray(content) if content.dtype.isnative else content.astype(content.dtype.newbyteorder("="))


def _only_array(file: Path) -> np.ndarray:
    with file.open("rb") as opened, np.lib.npyio.NpzFile(opened, allow_pickle=False) as arrays:
        packed: Any = arrays.zip
        if sum(member.file_size for member in packed.infolist()) > LARGEST:
            raise ValueError(f"it unpacks to more than {LARGEST} bytes")
        if not arrays.files:
            raise ValueError("it holds no array")
        content: Any = arrays[arrays.files[0] if len(arrays.files) == 1 else "images"]
        if not isinstance(content, np.ndarray):  # NumPy gives the bytes of what does not start as an array does
            raise ValueError("it holds a file that is no array")
        return content


def _from_dataset(dataset: AbstractDataset, most: int | None) -> Tensor:
    import torch

    train = dataset.load().train
    return torch.cat([images for images, _ in train.batches(in_order(min(len(train), most or len(train))))])
