"""Write class ids as an indexed PNG: the samples are the ids, the palette only gives them colors."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from core.render.palette import Table

LEVEL = 3
"""zlib compression level. Measured at 800 x 600: 1.6 ms and 28 kB; level 9 takes 63 ms for 18 kB."""


def mask_png(labels: NDArray[np.uint8], table: Table, *, text: Mapping[str, str] | None = None) -> bytes:
    """Return an 8-bit indexed PNG of the ids, (H, W) uint8 including 255; decoding it gives the same ids.

    text: keyword -> text to store in the file; the keywords are ASCII.
    """
    buffer = io.BytesIO()
    info = PngInfo()
    for keyword, value in (text or {}).items():
        info.add_itxt(keyword, value, zip=True)
    indexed(labels, table).save(buffer, "PNG", bits=8, compress_level=LEVEL, pnginfo=info)
    return buffer.getvalue()


def png_text(body: bytes, keyword: str) -> str:
    """Return a text stored in a PNG before its pixels; empty if it has none, or is not a readable PNG."""
    try:
        with Image.open(io.BytesIO(body), formats=("PNG",)) as image:
            return str(image.info.get(keyword, ""))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""


def indexed(labels: NDArray[np.uint8], table: Table) -> Image.Image:
    """Return a Pillow image of mode P with these ids and colors."""
    image = Image.fromarray(labels)
    image.putpalette(table.tobytes())
    return image
