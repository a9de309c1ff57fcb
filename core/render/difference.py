"""Compare a mask with its ground truth: an error mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.imaging.classes import IGNORE, Classes

CORRECT, WRONG = 0, 1

DIFFERENCE = Classes(("correct", "wrong"), ((0, 114, 178), (213, 94, 0)))
"""Okabe and Ito's blue and vermilion (see `core.render.palette`), for all types of color vision; 255 is `ignore`."""


def difference(ground_truth: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the error mask, (H, W) uint8: 0 correct, 1 wrong, 255 where the ground truth is ignored.

    ground_truth, predicted: (H, W) uint8 class ids.
    """
    if ground_truth.shape != predicted.shape:
        raise ValueError(f"the ground truth is {ground_truth.shape}, the prediction is {predicted.shape}")
    errors: NDArray[np.uint8] = (ground_truth != predicted).view(np.uint8)
    errors[ground_truth == IGNORE] = IGNORE
    return errors
