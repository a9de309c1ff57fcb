"""The mask laid over the photograph."""

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
    photo: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    table: Table,
    opacity: float = 0.5,
    *,
    bare: Collection[int] = (),
) -> NDArray[np.uint8]:
    """Each pixel's class colour mixed into the photograph, (H, W, 3) uint8, a new array.

    photo:   (H, W, 3) uint8; labels: (H, W) uint8.
    opacity: 0 (photograph alone) to 1 (mask alone), in steps of 1/255.
    bare:    ids whose pixels stay the photograph's own, as those of 255 always do.
    """
    if photo.shape != (*labels.shape, 3):
        raise ValueError(f"the photo is {photo.shape}, the labels are {labels.shape}")
    return np.asarray(overlay_image(Image.fromarray(photo), labels, table, opacity, bare=bare))


def overlay_image(
    photo: Image.Image,
    labels: NDArray[np.uint8],
    table: Table,
    opacity: float = 0.5,
    *,
    bare: Collection[int] = (),
) -> Image.Image:
    """`overlay` for a Pillow image, RGB or L -> a new RGB image. In blocks of rows: next to the result only these."""
    strength = np.full(256, round(min(max(opacity, 0.0), 1.0) * 255), np.uint8)
    strength[[IGNORE, *bare]] = 0
    mixed = photo.copy() if photo.mode == "RGB" else photo.convert("RGB")
    for rows in row_blocks(*labels.shape):
        alpha = Image.fromarray(labels[rows]).point(strength.tolist())
        mixed.paste(indexed(labels[rows], table).convert("RGB"), (0, rows.start), alpha)
    return mixed
