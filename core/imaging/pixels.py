"""Convert all pixel types that Pillow reads to 8 bits, RGB or gray.

The range of the values depends on the pixel type; each rule is documented at its function. Embedded color profiles
are not applied: the algorithm is trained on plain JPEG values and gets images in the same way.

Conversions run in blocks of rows, so that there is never a further copy of all pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

SENSOR_BITS = (8, 10, 12, 14, 16)
"""Bit depths in which cameras and scanners store integers, often in a 16-bit container."""

BLOCK = 1 << 20
"""Pixels that are converted at once."""

GRAY = ("1", "L")
OPAQUE = 255

TRANSPARENT = "Transparent pixels were composited on white."
"""The note on an image with transparent pixels."""


def row_blocks(height: int, width: int) -> Iterator[slice]:
    """Yield the rows of an image in blocks of about BLOCK pixels."""
    step = max(1, BLOCK // max(width, 1))
    return (slice(top, min(top + step, height)) for top in range(0, height, step))


def bytes_per_pixel(mode: str) -> int:
    """Return the bytes that Pillow takes for a pixel of this mode."""
    if mode in ("1", "L", "P"):
        return 1
    return 2 if mode.startswith("I;16") else 4


def is_gray(mode: str) -> bool:
    """Return whether `to_8_bit` converts opaque pixels of this mode to gray."""
    return mode in GRAY or mode.startswith("I") or mode == "F"


def to_8_bit(image: Image.Image, *, full_range: bool) -> tuple[Image.Image, tuple[str, ...]]:
    """Return the image as RGB, or as L if it is gray, which takes a quarter of the memory; and notes on changes.

    An image that already is RGB or L is returned unchanged.

    full_range: 16-bit gray values use all 16 bits (as the PNG specification requires); else see `_integers_to_8_bit`.

    Transparent pixels become white. Raises whatever Pillow raises for pixels that it cannot convert.
    """
    if image.mode.startswith("I") or image.mode == "F":
        return _gray(image, full_range=full_range)
    if image.mode == "LAB":
        return _by_rows(image, "RGB", _from_lab), ()
    if image.has_transparency_data:
        return _composited(image)
    if image.mode in GRAY:
        return (image if image.mode == "L" else image.convert("L")), ()
    return (image if image.mode == "RGB" else image.convert("RGB")), ()


def _composited(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """Return the image on white, and a note if any pixel is transparent."""
    converted = Image.new("RGB", image.size)
    transparent = False
    for rows, block in _blocks(image):
        upper = block.convert("RGBA")
        transparent = transparent or bool((np.asarray(upper.getchannel("A")) < OPAQUE).any())
        background = Image.new("RGBA", upper.size, "white")
        converted.paste(Image.alpha_composite(background, upper).convert("RGB"), (0, rows.start))
    return converted, (TRANSPARENT,) if transparent else ()


def _by_rows(image: Image.Image, mode: str, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Convert an image block by block."""
    converted = Image.new(mode, image.size)
    for rows, block in _blocks(image):
        converted.paste(convert(block), (0, rows.start))
    return converted


def _blocks(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """Yield the rows of an image, copied block by block."""
    return (
        (rows, image.crop((0, rows.start, image.width, rows.stop)))
        for rows in row_blocks(image.height, image.width)
    )


def _gray(image: Image.Image, *, full_range: bool) -> tuple[Image.Image, tuple[str, ...]]:
    """Return gray values of any type as L, and a note on their range, unless the file format defines it."""
    low, high, integers = _range(image)
    if integers and low >= 0 and high <= 65535:
        bits = 16 if full_range else next(bits for bits in SENSOR_BITS if high < 1 << bits)
        top = (1 << bits) - 1
        note = () if full_range else (f"Gray values were scaled from 0..{top}.",)
        return _by_rows(image, "L", lambda block: _integers_to_8_bit(block, top)), note
    rule = "stretched"
    if low >= 0 and high <= 1:
        low, high, rule = 0.0, 1.0, "scaled"
    note = (f"Gray values were {rule} from {low:g}..{high:g}.",)
    return _by_rows(image, "L", lambda block: _floats_to_8_bit(block, low, high)), note


def _range(image: Image.Image) -> tuple[float, float, bool]:
    """Return the smallest and largest finite value (0 and 1 if there is none), and whether all are integers."""
    low, high, integers = np.inf, -np.inf, True
    for _, block in _blocks(image):
        values = np.asarray(block)
        integers = bool(np.issubdtype(values.dtype, np.integer))
        finite = values if integers else values[np.isfinite(values)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return (low, high, integers) if low <= high else (0.0, 1.0, integers)


def _integers_to_8_bit(image: Image.Image, top: int) -> Image.Image:
    """Scale integers from 0..top to 0..255.

    TIFF files often hold 12-bit sensor data in 16 bits; scaled by 65535 such an image would be almost black. So `top`
    is that of the smallest common bit depth that holds the largest value.
    """
    values: NDArray[np.generic] = np.asarray(image)
    return Image.fromarray(((values.astype(np.uint32) * 255 + top // 2) // top).astype(np.uint8))


def _floats_to_8_bit(image: Image.Image, low: float, high: float) -> Image.Image:
    """Scale floats from low..high to 0..255; NaN and infinity become black.

    The range is 0 to 1 where all values are within it, else the smallest to the largest finite value.
    """
    values = np.asarray(image).astype(np.float64)
    values[~np.isfinite(values)] = low
    values -= low
    values *= 255 / (high - low) if high > low else 0.0
    values += 0.5
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def _from_lab(image: Image.Image) -> Image.Image:
    """Convert CIE L*a*b* to RGB, which Pillow does only through a color profile."""
    profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, *profiles, outputMode="RGB")
    if converted is None:
        raise ValueError("no conversion from LAB to RGB")
    return converted
