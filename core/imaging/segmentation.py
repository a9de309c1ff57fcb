"""The decoded response of an endpoint, as arrays. Axes are (row, column) everywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.imaging.classes import Classes
from core.imaging.counting import pixel_counts


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """The class id of each pixel, and the model's confidence.

    labels:        (H, W) uint8, the class id of each pixel; 255 = ignore (possible only in a PNG response).
    confidence:    (H, W) float32, the probability of the class in `labels`; None for a PNG response.
    probabilities: (C, H, W) float32, read-only, a view of the response body; None for a PNG response.
    classes:       names and colors of at least C classes.
    problems:      sentences about values that are not probabilities (NaN, outside [0, 1]); empty if there are none.
    """

    labels: NDArray[np.uint8]
    confidence: NDArray[np.float32] | None
    probabilities: NDArray[np.float32] | None
    classes: Classes
    problems: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.labels.ndim != 2 or self.labels.dtype != np.uint8:
            raise ValueError(f"labels must be (H, W) uint8, not {self.labels.shape} {self.labels.dtype}")
        if self.confidence is not None and self.confidence.shape != self.labels.shape:
            raise ValueError(f"confidence is {self.confidence.shape}, labels are {self.labels.shape}")
        if self.probabilities is not None and self.probabilities.shape[1:] != self.labels.shape:
            raise ValueError(f"probabilities are {self.probabilities.shape}, labels are {self.labels.shape}")

    @property
    def height(self) -> int:
        """Return the number of rows."""
        return int(self.labels.shape[0])

    @property
    def width(self) -> int:
        """Return the number of columns."""
        return int(self.labels.shape[1])

    def counts(self) -> NDArray[np.int64]:
        """Return the pixels of each id, (256,) int64."""
        return pixel_counts(self.labels)
