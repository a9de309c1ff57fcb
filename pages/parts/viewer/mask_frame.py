"""A photo with one of its masks for the viewer: the prediction, the ground truth, or where they differ."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.imaging.classes import Classes
from core.imaging.image import Photo, fitted_size, preview, resize_labels
from core.imaging.segmentation import Segmentation
from core.render.difference import DIFFERENCE
from pages.parts.viewer.frame import build

Kind = Literal["prediction", "truth", "difference"]
KINDS: dict[Kind, str] = {"prediction": "Prediction", "truth": "Truth", "difference": "Difference"}

LONGEST = 1600
"""Longest side of a mask in the viewer, in pixels: larger ones are shown at every second or third pixel."""


def mask_frame(photo: Photo, labels: NDArray[np.uint8], classes: Classes, kind: Kind) -> bytes:
    """A photo beside one of its masks, (H, W) uint8 of its own size."""
    width, height = fitted_size(photo.width, photo.height, (LONGEST, LONGEST))
    ours = kind == "difference"
    shown = Segmentation(resize_labels(labels, height, width), None, None, DIFFERENCE if ours else classes)
    size = photo.width, photo.height
    return build(preview(photo).body, size, shown, title=KINDS[kind], own_colors=ours)
