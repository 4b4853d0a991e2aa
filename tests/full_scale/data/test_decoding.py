"""Images decoded from files: the same whatever the number of workers, cropped by what is drawn before, refused when damaged."""

from __future__ import annotations

import dataclasses
import math
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from full_scale.data.files.decoding import DEVIATION, DRAWS, MEAN, ImageFiles, decode
from mechanisms.records.rng import stream
from mechanisms.system.context import RunContext
from mechanisms.validation import InvalidValue, UserError

SIDE = 16


@pytest.fixture
def files(tmp_path: Path) -> ImageFiles:
    """Ten images of 20 × 30 pixels, decoded in this process."""
    random = np.random.default_rng(0)
    for number in range(10):
        smooth = Image.fromarray(random.integers(0, 256, (5, 7, 3), np.uint8)).resize((30, 20))
        smooth.save(tmp_path / f"{number}.png")
    names = np.array([os.fsencode(f"{number}.png") for number in range(10)])
    return ImageFiles(tmp_path, names, torch.arange(10), SIDE, decoders=0)


def crop(number: int) -> np.random.Generator:
    return stream(number, "crop")


ROWS = [np.array([3, 1, 2]), np.array([0]), np.array([9, 9, 8, 7])]


@pytest.mark.parametrize("decoders", [1, 2])
def test_batches_do_not_depend_on_the_number_of_decoders(decoders: int, files: ImageFiles) -> None:
    before = torch.random.get_rng_state()
    alone = list(files.batches(ROWS, crop)) + list(files.batches(ROWS))
    files = dataclasses.replace(files, decoders=decoders)
    together = list(files.batches(ROWS, crop)) + list(files.batches(ROWS))
    assert [labels.tolist() for _, labels in together] == [rows.tolist() for rows in ROWS] * 2
    assert all(torch.equal(a[0], b[0]) for a, b in zip(alone, together, strict=True))
    assert torch.equal(before, torch.random.get_rng_state())


def test_endless_rows_are_read_only_a_little_ahead(files: ImageFiles) -> None:
    files = dataclasses.replace(files, decoders=1)
    asked = []

    def rows() -> Iterator[np.ndarray]:
        while True:
            asked.append(len(asked))
            yield np.array([len(asked) % 10])

    batches = files.batches(rows())
    labels = [int(next(batches)[1]) for _ in range(5)]
    assert labels == [1, 2, 3, 4, 5]
    assert len(asked) < 10
    batches.close()  # type: ignore[attr-defined]


def test_the_evaluation_view_is_the_normalized_middle(files: ImageFiles) -> None:
    images, _ = next(files.batches([np.array([4])]))
    with Image.open(files.root / "4.png") as image:
        # seven eighths of the shorter side of 20 × 30 pixels
        middle = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=(6.25, 1.25, 23.75, 18.75))
    expected = (np.asarray(middle) / 255 - MEAN) / DEVIATION
    np.testing.assert_allclose(images[0].permute(1, 2, 0).numpy(), expected, rtol=0, atol=1e-6)
    assert images.dtype == torch.float32


def test_an_image_of_the_right_size_is_shown_whole(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "whole.png")
    assert np.array_equal(decode(tmp_path / "whole.png", SIDE, None), pixels)


def test_crops_differ_between_batches_and_images_and_are_decided_by_their_stream(files: ImageFiles) -> None:
    rows = [np.array([5, 5]), np.array([5, 5])]
    first, again = (torch.cat([images for images, _ in files.batches(rows, crop)]) for _ in range(2))
    assert torch.equal(first, again)
    assert len({image.numpy().tobytes() for image in first}) == 4


@pytest.mark.parametrize("draws", [np.zeros(DRAWS), np.full(DRAWS, 1 - 1e-9), *np.random.default_rng(0).random((20, DRAWS))])
def test_a_crop_shows_a_part_of_the_image_of_the_right_area(draws: np.ndarray, tmp_path: Path) -> None:
    """Each pixel of a ramp says where it is, so that the crop can be read off the picture."""
    across, down = np.meshgrid(np.arange(200), np.arange(200))
    ramp = np.stack([across, down, np.zeros_like(down)], axis=-1).astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    seen = decode(tmp_path / "ramp.png", 50, draws).astype(float)
    width, height = ((np.ptp(seen[..., channel]) + 1) * 50 / 49 for channel in (0, 1))
    area, ratio = 0.08 + 0.92 * draws[0], math.exp(math.log(3 / 4) + draws[1] * math.log(16 / 9))
    expected = min(200, 200 * math.sqrt(area * ratio)), min(200, 200 * math.sqrt(area / ratio))
    assert (width, height) == pytest.approx(expected, abs=4)  # grey levels are whole, and interpolated at the edges
    assert seen[..., 0].min() == pytest.approx(draws[2] * (200 - expected[0]), abs=4)
    assert seen[..., 1].min() == pytest.approx(draws[3] * (200 - expected[1]), abs=4)


@pytest.mark.parametrize("mode", ["L", "CMYK", "P"])
def test_images_of_other_modes_become_colours(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("image.jpg" if mode == "CMYK" else "image.png")
    Image.new(mode, (SIDE, SIDE)).save(path)
    assert decode(path, SIDE, None).shape == (SIDE, SIDE, 3)


def test_subsets_and_devices(files: ImageFiles) -> None:
    part = files.take(np.array([7, 2]))
    assert (len(part), part.labels.tolist()) == (2, [7, 2])
    whole, own = next(files.batches([np.array([2])]))[0], next(part.batches([np.array([1])]))[0]
    assert torch.equal(whole, own)
    assert next(part.to("meta").batches([np.array([0])]))[0].device.type == "meta"


def bomb(path: Path) -> None:
    """A PNG of 20,000 × 20,000 pixels in a few bytes."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    coded = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(coded))


def just_large(path: Path) -> None:
    """As a bomb, but small enough for Pillow to warn only."""
    bomb(path)
    content = path.read_bytes().replace(struct.pack(">II", 20_000, 20_000), struct.pack(">II", 10_000, 10_000))
    header = content[12:29]
    path.write_bytes(content[:29] + struct.pack(">I", zlib.crc32(header)) + content[33:])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-200]), "truncated"),
        (lambda path: path.write_bytes(b""), "it is no image of these kinds"),
        (lambda path: path.write_bytes(b"GIF89a" + bytes(40)), "it is no image of these kinds"),
        (lambda path: path.unlink() or os.mkfifo(path), "it is no regular file"),
        (lambda path: path.unlink(), "No such file"),
        (bomb, "decompression bomb"),
        (just_large, "10000 × 10000 pixels are more than"),
    ],
    ids=["truncated", "empty", "format", "pipe", "missing", "bomb", "large"],
)
@pytest.mark.parametrize("decoders", [0, 1])
def test_an_unreadable_image_is_named_in_one_line(damage: object, reason: str, decoders: int, files: ImageFiles) -> None:
    files = dataclasses.replace(files, decoders=decoders)
    damage(files.root / "6.png")  # type: ignore[operator]
    with pytest.raises(
        UserError, match=rf"6\.png is no readable image \(.*{reason}.*\): remove it, or set data.unreadable"
    ) as caught:
        list(files.batches([np.array([1]), np.array([2, 6])]))
    assert "\n" not in str(caught.value)
    assert list(files.unreadable()) == [6]


@pytest.mark.parametrize("wrong", [-1, 99999, 1.5])
def test_the_number_of_decoders_is_checked(wrong: Any) -> None:
    with pytest.raises(InvalidValue, match="--decoders"):
        RunContext(decoders=wrong)
