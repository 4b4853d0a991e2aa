"""What a picture file means: depth, transparency, orientation and unusual colours, as a person sees them or refused by name."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from full_scale.data.coded import decode_image
from full_scale.data.files.decoding import decode

RAMP = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(16, 16)


def seen(image: Image.Image, path: Path, kind: str, **how: Any) -> np.ndarray:
    """What is decoded of an image that was saved in that format."""
    image.save(path / "file", kind, **how)
    return decode(path / "file", 16, None).astype(int)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_a_ramp_of_16_bits_stays_one(kind: str, tmp_path: Path) -> None:
    pixels = seen(Image.fromarray(RAMP), tmp_path, kind)
    assert np.abs(pixels - (RAMP / 257)[..., None]).max() <= 0.5


def test_grey_of_12_bits_reaches_white(tmp_path: Path) -> None:
    """A TIFF of two rows by hand: Pillow writes none of 12 bits."""
    row = bytes([0xFF, 0xFF, 0xFF] * 4 + [0x80, 0x00, 0x00] * 4)
    tags = [(256, 16), (257, 16), (258, 12), (259, 1), (262, 1), (273, 8 + 2 + 9 * 12 + 4), (277, 1), (278, 16), (279, 16 * 24)]
    entries = b"".join(struct.pack("<HHII", tag, 4 if tag == 279 else 3, 1, value) for tag, value in tags)
    content = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + row * 16
    (tmp_path / "file").write_bytes(content)
    pixels = decode(tmp_path / "file", 16, None)[..., 0]
    assert pixels[:, :8].min() == 255
    assert pixels[0, 8:].tolist() == [128, 0] * 4


def test_a_tiff_whose_zero_is_white_is_not_a_negative(tmp_path: Path) -> None:
    pixels = seen(Image.fromarray(RAMP), tmp_path, "TIFF", tiffinfo={262: 0})
    assert np.abs(pixels - (255 - RAMP / 257)[..., None]).max() <= 0.5


HIDDEN, SHOWN = (200, 0, 0), (10, 20, 30)


@pytest.mark.parametrize(
    ("mode", "kind", "how"),
    [
        ("RGBA", "PNG", {}),
        ("RGBA", "WEBP", {"lossless": True}),
        ("RGBA", "TIFF", {}),
        ("RGB", "PNG", {"transparency": HIDDEN}),
        ("P", "PNG", {"transparency": 0}),
        ("LA", "PNG", {}),
    ],
)
def test_transparent_pixels_show_white_and_not_what_they_hide(mode: str, kind: str, how: dict[str, Any], tmp_path: Path) -> None:
    image = Image.new("RGBA", (16, 16), (*SHOWN, 255))
    image.paste((*HIDDEN, 0), (0, 0, 8, 16))
    if mode == "P":
        image = Image.new("P", (16, 16), 1)
        image.putpalette([*HIDDEN, *SHOWN])
        image.paste(0, (0, 0, 8, 16))
    pixels = seen(image if image.mode == mode else image.convert(mode), tmp_path, kind, **how)
    assert (pixels[:, :8] == 255).all()
    grey = Image.new("RGB", (1, 1), SHOWN).convert("L").getpixel((0, 0))
    assert (pixels[:, 8:] == (grey if mode == "LA" else SHOWN)).all()


def test_half_transparent_pixels_are_mixed_with_white(tmp_path: Path) -> None:
    assert seen(Image.new("RGBA", (16, 16), (0, 0, 0, 128)), tmp_path, "PNG")[0, 0].tolist() == [127] * 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_a_picture_is_shown_upright(orientation: int, kind: str, tmp_path: Path) -> None:
    """The left upper corner of an upright picture is where the tag says that its row 0 and column 0 are."""
    upright = np.zeros((24, 32), np.uint8)
    upright[:12, :16], upright[:12, 16:] = 255, 128
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: upright.T[::-1],
        7: upright.T[::-1, ::-1],
        8: upright.T[:, ::-1],
    }[orientation]
    tags = Image.Exif()
    tags[274] = orientation
    how: dict[str, Any] = {"quality": 95} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "file", kind, exif=tags, **how)
    pixels = decode(tmp_path / "file", 16, None)[..., 0]
    for row, column, value in ((2, 2, 255), (2, 13, 128), (13, 2, 0), (13, 13, 0)):
        assert abs(int(pixels[row, column]) - value) < 8


def test_damaged_tags_say_nothing(tmp_path: Path) -> None:
    pixels = seen(Image.new("L", (16, 16), 9), tmp_path, "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert (pixels == 9).all()


@pytest.mark.parametrize(
    ("image", "kind", "how", "reason"),
    [
        (Image.fromarray(RAMP.astype(np.float32)), "TIFF", {}, "floating-point"),
        (Image.fromarray(RAMP.astype(np.int32)), "TIFF", {}, "32-bit whole numbers"),
        (Image.fromarray(RAMP), "PNG", {"transparency": 0}, "16 bits is marked as transparent"),
    ],
    ids=["float", "32 bits", "transparent value"],
)
def test_numbers_without_a_known_white_are_refused_by_name(
    image: Image.Image, kind: str, how: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=reason):
        seen(image, tmp_path, kind, **how)


def test_a_transparent_colour_of_16_bits_is_refused(tmp_path: Path) -> None:
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)),
        (b"tRNS", struct.pack(">3H", 0x8080, 0, 0)),
        (b"IDAT", zlib.compress(b"\0" + struct.pack(">3H", 0x8080, 0, 0))),
        (b"IEND", b""),
    ]
    coded = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks]
    (tmp_path / "file").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(coded))
    with pytest.raises(ValueError, match="16 bits is marked as transparent"):
        decode(tmp_path / "file", 16, None)


def test_cmyk_is_converted_and_the_first_of_several_pages_counts(tmp_path: Path) -> None:
    assert seen(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), tmp_path, "TIFF")[0, 0].tolist() == [0, 255, 255]
    pages = [Image.new("L", (16, 16), value) for value in (7, 99)]
    assert (seen(pages[0], tmp_path, "TIFF", save_all=True, append_images=pages[1:]) == 7).all()


def test_images_in_other_files_mean_the_same() -> None:
    content = io.BytesIO()
    Image.fromarray(RAMP).save(content, "PNG")
    assert np.array_equal(decode_image(content.getvalue(), (16, 16))[..., 0], np.rint(RAMP / 257))
