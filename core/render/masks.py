"""Write class ids as an indexed PNG: the samples are the ids, the palette only gives them colors."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.render.palette import Table

LEVEL = 3
"""zlib compression level. Measured at 800 x 600: 1.6 ms and 28 kB; level 9 takes 63 ms for 18 kB."""


def mask_png(labels: NDArray[np.uint8], table: Table) -> bytes:
    """Return an 8-bit indexed PNG of the ids, (H, W) uint8 including 255; decoding it gives the same ids."""
    buffer = io.BytesIO()
    indexed(labels, table).save(buffer, "PNG", bits=8, compress_level=LEVEL)
    return buffer.getvalue()


def indexed(labels: NDArray[np.uint8], table: Table) -> Image.Image:
    """Return a Pillow image of mode P with these ids and colors."""
    image = Image.fromarray(labels)
    image.putpalette(table.tobytes())
    return image
