"""What an endpoint said about a picture, as arrays. Row first, column second, everywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.imaging.classes import Classes
from core.imaging.counting import pixel_counts


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """Class ids of every pixel, and how sure the model is.

    labels:        (H, W) uint8, the class id of each pixel; 255 = ignore (only a PNG answer can hold it).
    confidence:    (H, W) float32, the probability of the class in `labels`; None for a PNG answer.
    probabilities: (C, H, W) float32, read-only, a view of the answer's own bytes; None for a PNG answer.
    classes:       names and colours; at least C of them.
    problems:      sentences about numbers that are no probabilities (NaN, outside [0, 1]); empty if all is well.
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
        """Rows, in pixels."""
        return int(self.labels.shape[0])

    @property
    def width(self) -> int:
        """Columns, in pixels."""
        return int(self.labels.shape[1])

    def counts(self) -> NDArray[np.int64]:
        """Return the pixels of each id, (256,) int64."""
        return pixel_counts(self.labels)
