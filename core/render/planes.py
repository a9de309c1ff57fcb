"""Numbers from 0 to 1 for each pixel (confidence, probability of one class) as a grey picture."""

from __future__ import annotations

import io
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def plane_png(values: NDArray[np.float32]) -> bytes:
    """(H, W) float32 -> an 8-bit grey PNG of that size, 0 black and 1 white; see `to_bytes`."""
    buffer = io.BytesIO()
    Image.fromarray(to_bytes(values)).save(buffer, "PNG", compress_level=1, compress_type=zlib.Z_RLE)
    return buffer.getvalue()


def to_bytes(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(H, W) float32 in [0, 1] -> (H, W) uint8: times 255, to the nearest, halves up. NaN is 0; beyond is cut off."""
    scaled = values * np.float32(255)
    scaled += np.float32(0.5)
    np.nan_to_num(scaled, copy=False, nan=0.0)
    return scaled.clip(0, 255, out=scaled).astype(np.uint8)
