"""Image files → batches, decoded by Pillow in worker processes; what is random is drawn before the work is handed out."""

from __future__ import annotations

import math
import multiprocessing
import os
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import numpy as np

from full_scale.data.base import AbstractExamples, Crop
from full_scale.data.files.colours import colours
from mechanisms.system.files import open_regular
from mechanisms.validation import UserError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

MOST_DECODERS = 8
DRAWS = 4
"""Uniform numbers an image for a random crop: area, aspect ratio, position across and down."""
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "PPM", "TIFF")
SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
"""Source: torchvision.datasets.folder.IMG_EXTENSIONS."""
LARGEST_PIXELS = 89_478_485
"""The number of pixels from which on Pillow suspects a decompression bomb."""
MARGIN = 224 / 256
"""Share of the shorter side that the evaluation view shows. Source: torchvision's evaluation of ImageNet networks."""
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of each channel over ImageNet's training images, values in [0, 1]. Source: documentation of torchvision's trained networks."""


@dataclass(frozen=True, eq=False)
class ImageFiles(AbstractExamples):
    """Images in files below a folder, decoded to side × side pixels when they are asked for; labels int64 of shape (N,)."""

    root: Path
    names: np.ndarray
    """Path of each file below the root, as bytes."""
    labels: Tensor
    side: int
    device: Any = "cpu"
    decoders: int | None = None
    """Processes that decode, 0 for none; by default one a core and at most `MOST_DECODERS`."""

    def to(self, device: Any) -> Self:
        """See `AbstractExamples`."""
        return replace(self, labels=self.labels.to(device), device=device)

    def take(self, rows: np.ndarray) -> Self:
        """See `AbstractExamples`."""
        import torch

        rows = np.asarray(rows, np.int64)
        return replace(self, names=self.names[rows], labels=self.labels[torch.from_numpy(rows).to(self.labels.device)])

    def batches(self, rows: Iterable[np.ndarray], crop: Crop | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """See `AbstractExamples`."""
        import torch

        mean, deviation = (torch.tensor(values, device=self.device).view(1, 3, 1, 1) for values in (MEAN, DEVIATION))
        for numbers, pixels, problems in self._decoded(rows, crop):
            for place, reason in problems:
                path = self.root / os.fsdecode(self.names[numbers[place]])
                raise UserError(f"{path} is no readable image ({reason}): remove it, or set data.unreadable=skip")
            images = pixels.to(self.device).permute(0, 3, 1, 2).contiguous().float() / 255
            yield (images - mean) / deviation, self.labels[torch.from_numpy(numbers).to(self.labels.device)]

    def bounds(self) -> tuple[Tensor, Tensor]:
        """See `AbstractExamples`: those of any picture, because other crops show other pixels."""
        import torch

        mean, deviation = (torch.tensor(values, device=self.device) for values in (MEAN, DEVIATION))
        return -mean / deviation, (1 - mean) / deviation

    def unreadable(self) -> dict[int, str]:
        """Number → reason of every image that cannot be read; decodes them all once."""
        rows = np.array_split(np.arange(len(self)), -(-len(self) // 64))
        found = self._decoded(rows, None)
        return {int(numbers[place]): reason for numbers, _, problems in found for place, reason in problems}

    def _decoded(
        self, rows: Iterable[np.ndarray], crop: Crop | None
    ) -> Iterator[tuple[np.ndarray, Tensor, list[tuple[int, str]]]]:
        """(rows, pixels uint8 of shape (n, side, side, 3), [(place, why it could not be read)]) of each batch."""
        import torch
        from torch.utils.data import DataLoader

        under_way: deque[np.ndarray] = deque()

        def jobs() -> Iterator[tuple[list[bytes], np.ndarray | None]]:
            for number, numbers in enumerate(rows):
                under_way.append(np.asarray(numbers, np.int64))
                yield list(self.names[under_way[-1]]), crop(number).random((len(numbers), DRAWS)) if crop else None

        count = min(MOST_DECODERS, os.cpu_count() or 1) if self.decoders is None else self.decoders
        loader: Any = DataLoader(
            _Decoder(str(self.root), self.side),  # type: ignore[arg-type]
            batch_size=None,
            sampler=jobs(),
            num_workers=count,
            multiprocessing_context=_context() if count else None,
            collate_fn=_same,
            generator=torch.Generator(),  # else the loader would draw from the global one
        )
        try:
            for pixels, problems in loader:
                yield under_way.popleft(), pixels, problems
        except RuntimeError as error:
            raise UserError(f"a process that decodes images ended ({' '.join(str(error).split())[:200]})") from None


def _context() -> Any:
    """Processes that do not begin as copies of this one, whose threads and accelerator a copy could not use."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch.utils.data", "PIL.Image", __name__])
    return context


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class _Decoder:
    """What a worker has: names and draws in, pixels out. Problems are values, because an exception would lose its one line."""

    root: str
    side: int

    def __getitem__(self, job: tuple[list[bytes], np.ndarray | None]) -> tuple[Tensor, list[tuple[int, str]]]:
        import torch

        names, draws = job
        pixels, problems = np.zeros((len(names), self.side, self.side, 3), np.uint8), []
        for place, name in enumerate(names):
            path = os.path.join(self.root, os.fsdecode(name))
            try:
                pixels[place] = decode(path, self.side, None if draws is None else draws[place])
            except Exception as error:  # decoders of damaged files raise nearly everything
                problems.append((place, " ".join(str(error).split())[:120] or type(error).__name__))
        return torch.from_numpy(pixels), problems


def decode(path: str | Path, side: int, draws: np.ndarray | None) -> np.ndarray:
    """The pixels of an image file, uint8 of shape (side, side, 3): a random crop by `DRAWS` uniform numbers, or its middle.

    What they mean is decided by `colours`. An image that is side × side already is shown whole in the evaluation view.

    Raises:
        ValueError: it is larger than `LARGEST_PIXELS`, its colours are not known, or Pillow raises an error of its own.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd metadata; the one warning about size is made an error below
        with open_regular(path) as file, _identified(file) as image:
            width, height = image.size
            if width * height > LARGEST_PIXELS:
                raise ValueError(f"{width} × {height} pixels are more than {LARGEST_PIXELS}")
            whole = colours(image)
    width, height = whole.size
    box = _middle(width, height, side) if draws is None else _random_box(width, height, draws)
    if box != (0, 0, side, side):
        whole = whole.resize((side, side), Image.Resampling.BILINEAR, box=box)
    return np.asarray(whole)


def _identified(file: BinaryIO) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        raise ValueError(f"it is no image of these kinds: {', '.join(FORMATS)}") from None


def _middle(width: int, height: int, side: int) -> tuple[float, float, float, float]:
    if width == height == side:
        return (0, 0, side, side)
    size = MARGIN * min(width, height)
    left, top = (width - size) / 2, (height - size) / 2
    return left, top, left + size, top + size


def _random_box(width: int, height: int, draws: np.ndarray) -> tuple[float, float, float, float]:
    """A box of 8 to 100 % of the area and an aspect ratio of 3/4 to 4/3, cut to the image where it is too long.

    Source: Szegedy et al., Going Deeper with Convolutions, 2015, section 6; without the rejections of torchvision's
    RandomResizedCrop, so that an image takes the same number of draws always.
    """
    area = width * height * (0.08 + 0.92 * draws[0])
    ratio = math.exp(math.log(3 / 4) + draws[1] * 2 * math.log(4 / 3))
    across, down = min(width, math.sqrt(area * ratio)), min(height, math.sqrt(area / ratio))
    left, top = draws[2] * (width - across), draws[3] * (height - down)
    return left, top, left + across, top + down
