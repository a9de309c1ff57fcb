"""The mask laid over the photograph."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.classes import IGNORE
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
    """`overlay` for a Pillow RGB picture, which it spares two copies."""
    strength = np.full(256, round(min(max(opacity, 0.0), 1.0) * 255), np.uint8)
    strength[[IGNORE, *bare]] = 0
    alpha = Image.fromarray(labels).point(strength.tolist())
    return Image.composite(indexed(labels, table).convert("RGB"), photo, alpha)
