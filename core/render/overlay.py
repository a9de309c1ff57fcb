"""Blend a mask with its image."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.imaging.classes import IGNORE
from core.imaging.pixels import row_blocks
from core.render.masks import indexed
from core.render.palette import Table


def overlay(
    image: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    table: Table,
    opacity: float = 0.5,
    *,
    bare: Collection[int] = (),
) -> NDArray[np.uint8]:
    """Return the image blended with the class color of each pixel, (H, W, 3) uint8, a new array.

    image:   (H, W, 3) uint8; labels: (H, W) uint8.
    opacity: 0 (image alone) to 1 (mask alone), in steps of 1/255.
    bare:    ids that are not drawn over the image; 255 never is.
    """
    if image.shape != (*labels.shape, 3):
        raise ValueError(f"the image is {image.shape}, the labels are {labels.shape}")
    return np.asarray(overlay_image(Image.fromarray(image), labels, table, opacity, bare=bare))


def overlay_image(
    image: Image.Image,
    labels: NDArray[np.uint8],
    table: Table,
    opacity: float = 0.5,
    *,
    bare: Collection[int] = (),
) -> Image.Image:
    """Return `overlay` of a Pillow image, RGB or L, as a new RGB image. Blends in blocks of rows, to save memory."""
    alphas = np.full(256, round(min(max(opacity, 0.0), 1.0) * 255), np.uint8)
    alphas[[IGNORE, *bare]] = 0
    blended = image.copy() if image.mode == "RGB" else image.convert("RGB")
    for rows in row_blocks(*labels.shape):
        alpha = Image.fromarray(labels[rows]).point(alphas.tolist())
        blended.paste(indexed(labels[rows], table).convert("RGB"), (0, rows.start), alpha)
    return blended
