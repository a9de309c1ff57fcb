"""Whether a file is a GeoTIFF, by its header alone."""

from __future__ import annotations

import io

from PIL import Image, TiffImagePlugin

from core.local_files import READER_ERRORS

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MODEL_PIXEL_SCALE, MODEL_TRANSFORMATION = 33550, 34264
"""The tags of GeoTIFF, one of which says where the pixels are."""

UNREADABLE: tuple[type[Exception], ...] = (*READER_ERRORS, OSError)


def is_georeferenced(data: bytes) -> bool:
    """Return whether an image has coordinates; false for any header that cannot be read."""
    if not data.startswith(TIFF):
        return False
    try:
        with Image.open(io.BytesIO(data)) as image:
            tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
            return MODEL_PIXEL_SCALE in tags or MODEL_TRANSFORMATION in tags
    except UNREADABLE:
        return False
