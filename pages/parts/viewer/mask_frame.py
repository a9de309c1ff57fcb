"""An image with one of its masks for the viewer: the prediction, the ground truth, or the errors."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.imaging.classes import Classes
from core.imaging.image import DecodedImage, fitted_size, preview, resize_labels
from core.imaging.segmentation import Segmentation
from core.render.difference import DIFFERENCE
from pages.parts.viewer.frame import build

Kind = Literal["prediction", "ground_truth", "errors"]
KINDS: dict[Kind, str] = {"prediction": "Prediction", "ground_truth": "Ground truth", "errors": "Errors"}

LONGEST = 1600
"""Longest side of a mask in the viewer, in pixels: larger ones are shown at every second or third pixel."""


def mask_frame(photo: DecodedImage, labels: NDArray[np.uint8], classes: Classes, kind: Kind) -> bytes:
    """Return the viewer's frame of an image and one of its masks. labels: (H, W) uint8, of the image's size."""
    width, height = fitted_size(photo.width, photo.height, (LONGEST, LONGEST))
    errors = kind == "errors"
    shown = Segmentation(resize_labels(labels, height, width), None, None, DIFFERENCE if errors else classes)
    size = photo.width, photo.height
    return build(preview(photo).body, size, shown, title=KINDS[kind], own_colors=errors)
