"""File name suffixes of images and masks: one list for pages, commands and datasets.

A file given by name may have any suffix: `core.imaging.image` goes by the content.
"""

from __future__ import annotations

JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")
"""Names of the same format."""

HEIF_SUFFIXES = (".heic", ".heif")
"""Images of iPhones, and of other phones that save space."""

IMAGE_SUFFIXES = (
    *JPEG_SUFFIXES, ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".jp2", *HEIF_SUFFIXES,
)  # fmt: skip
"""Images that are read."""

MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif", ".jpg", ".jpeg", ".webp")
"""Masks in a dataset; the lossy formats are refused with the reason."""

LOSSLESS_MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif")
"""Masks next to their images, where a JPEG is an image."""


def uploader_types(suffixes: tuple[str, ...]) -> list[str]:
    """Return suffixes without the dot, as a file dialog takes them."""
    return [suffix.removeprefix(".") for suffix in suffixes]
