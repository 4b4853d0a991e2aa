"""What a picture file means: its pixels as 8-bit colours, upright, nothing hidden; what cannot be told is refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

BACKGROUND = (255, 255, 255, 255)
"""White: what transparent pixels show."""
ORIENTATION, BITS, PHOTOMETRIC = 274, 258, 262
"""Tags of EXIF and TIFF. Source: CIPA DC-008 (Exif 2.32), table 4; TIFF 6.0, section 8."""
TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""Orientation → what makes a picture upright (Pillow turns counter-clockwise)."""


def colours(image: Image.Image) -> Image.Image:
    """The same picture in mode RGB, as a person sees it.

    16-bit grey is scaled to 8 bits, transparent pixels show a white background, and the picture is turned as its EXIF orientation
    says. Of several frames or pages the first counts; colour profiles are ignored, and CMYK is converted without one.

    Raises:
        ValueError: its numbers have no known black and white (floats, signed or 32-bit integers).
    """
    from PIL import Image

    deep = any("16" in str(tile[3]) for tile in getattr(image, "tile", []))
    image.load()
    turn = TURNS.get(_orientation(image))
    if "transparency" in image.info and (deep or image.mode.startswith("I")):
        raise ValueError("a value of 16 bits is marked as transparent: save it with an alpha channel")
    if image.mode.startswith("I"):
        image = Image.fromarray(_in_8_bits(image))
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known black and white: save it with 8 or 16 bits")
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, BACKGROUND), image.convert("RGBA"))
    image = image.convert("RGB")
    return image.transpose(Image.Transpose[turn]) if turn else image


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # of damaged tags, which say nothing then
        return 1


def _in_8_bits(image: Image.Image) -> np.ndarray:
    """Grey values of up to 16 bits, scaled so that black stays 0 and white becomes 255."""
    tags: Any = getattr(image, "tag_v2", {})
    if image.mode == "I" and image.format not in ("PNG", "PPM"):  # which Pillow widens to it from 16 bits
        raise ValueError("signed or 32-bit whole numbers have no known black and white: save it with 8 or 16 bits")
    white = 2 ** tags.get(BITS, (16,))[0] - 1
    scaled = (np.clip(np.asarray(image), 0, white).astype(np.uint32) * 255 + white // 2) // white
    meant = 255 - scaled if tags.get(PHOTOMETRIC) == 0 else scaled
    return np.asarray(meant, np.uint8)
