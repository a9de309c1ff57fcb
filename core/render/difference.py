"""Where a mask is right and where it is wrong, as a mask of its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.imaging.classes import IGNORE, Classes

RIGHT, WRONG = 0, 1

DIFFERENCE = Classes(("right", "wrong"), ((0, 114, 178), (213, 94, 0)))
"""Okabe and Ito's blue and vermilion, which all kinds of colour vision tell apart; 255 is `ignore`, off-white."""


def difference(ground_truth: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """0 right, 1 wrong, 255 where the truth is not to be counted: (H, W) uint8, as both are."""
    if ground_truth.shape != predicted.shape:
        raise ValueError(f"the truth is {ground_truth.shape}, the prediction is {predicted.shape}")
    errors: NDArray[np.uint8] = (ground_truth != predicted).view(np.uint8)
    errors[ground_truth == IGNORE] = IGNORE
    return errors
