"""Any kind of pixel that Pillow reads -> RGB, 8 bit.

What a picture's numbers mean differs by kind, so each choice is written at the function that makes it. Embedded
colour profiles are not applied: the algorithm was trained on plain JPEG values and sees a photograph the same way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

SENSOR_BITS = (8, 10, 12, 14, 16)
"""Depths in which cameras and scanners store whole numbers, often in a 16-bit container."""


def to_rgb(image: Image.Image, *, full_range: bool) -> Image.Image:
    """The picture as RGB; the same object when it is RGB already.

    full_range: 16-bit greys use all 16 bits (as PNG demands); else see `_from_whole`.

    Transparent pixels show white, as on paper. Raises whatever Pillow raises for pixels it cannot convert.
    """
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_grey(np.asarray(image), full_range=full_range)).convert("RGB")
    if image.mode == "LAB":
        return _from_lab(image)
    if image.has_transparency_data:
        upper = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), upper).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _grey(values: NDArray[np.generic], *, full_range: bool) -> NDArray[np.uint8]:
    """(H, W) numbers of any kind -> (H, W) uint8, dark to bright."""
    whole = np.issubdtype(values.dtype, np.integer)
    if whole and values.min() >= 0 and values.max() <= 65535:
        return _from_whole(values, full_range=full_range)
    return _from_real(values.astype(np.float64))


def _from_whole(values: NDArray[np.generic], *, full_range: bool) -> NDArray[np.uint8]:
    """Whole numbers 0 to 65535. TIFF often holds a 12-bit sensor's numbers in 16 bits: taken as they are, the picture
    would be all but black. So the range is that of the smallest common depth which holds the largest value."""
    largest = int(values.max())
    bits = 16 if full_range else next(bits for bits in SENSOR_BITS if largest < 1 << bits)
    top = (1 << bits) - 1
    return ((values.astype(np.uint32) * 255 + top // 2) // top).astype(np.uint8)


def _from_real(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Real numbers: 0 to 1 if all lie there, else stretched from the least to the greatest finite one.

    What is not a number becomes black. `values` is our own copy and is worked on in place.
    """
    finite = np.isfinite(values)
    low, high = (float(values[finite].min()), float(values[finite].max())) if finite.any() else (0.0, 1.0)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    values[~finite] = low
    values -= low
    values *= 255 / (high - low) if high > low else 0.0
    values += 0.5
    return values.clip(0, 255).astype(np.uint8)


def _from_lab(image: Image.Image) -> Image.Image:
    """CIE L*a*b*, which Pillow converts only through a colour profile."""
    profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, *profiles, outputMode="RGB")
    if converted is None:
        raise ValueError("no conversion from LAB to RGB")
    return converted
