"""Class breakdown of an image: the share of each class, and the model's mean confidence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.imaging.classes import Color
from core.imaging.counting import finite_sums, pixel_counts
from core.imaging.segmentation import Segmentation
from core.render.palette import Table


@dataclass(frozen=True, slots=True)
class ClassArea:
    """One class that occurs in the image.

    id, name, color: of the class; 255 is `ignore`.
    pixels:          number of pixels.
    share:           of all pixels, above 0 and at most 1; the shares of an image add up to 1.
    mean_confidence: mean of the model's confidence over these pixels, 0 to 1; None where the response has none.
    """

    id: int
    name: str
    color: Color
    pixels: int
    share: float
    mean_confidence: float | None


def areas(
    segmentation: Segmentation, table: Table | None = None, *, labels: NDArray[np.uint8] | None = None
) -> tuple[ClassArea, ...]:
    """Return the classes that occur, largest first, equal ones by id.

    table:  colors; None: those of the model.
    labels: the same ids at another size, (H, W) uint8, such as the mask that is saved: its pixels are counted, the
            confidence is still that of the model's output. None: the model's output.
    """
    counts = pixel_counts(segmentation.labels if labels is None else labels)
    means = _mean_confidences(segmentation)
    colors = segmentation.classes.table() if table is None else table
    total = int(counts.sum())
    rows = [
        ClassArea(
            int(i), segmentation.classes.name(int(i)), _color(colors, int(i)), int(counts[i]),
            int(counts[i]) / total, None if means is None or np.isnan(means[i]) else float(means[i]),
        )
        for i in np.flatnonzero(counts)
    ]  # fmt: skip
    return tuple(sorted(rows, key=lambda row: (-row.pixels, row.id)))


def mean_confidence(segmentation: Segmentation) -> float | None:
    """Return the mean confidence over all pixels with a finite value, 0 to 1; None where the response has none."""
    if segmentation.confidence is None:
        return None
    counts, sums = finite_sums(segmentation.labels, segmentation.confidence)
    count = int(counts.sum())
    return float(sums.sum()) / count if count else None


def _mean_confidences(segmentation: Segmentation) -> NDArray[np.float64] | None:
    """Return the mean confidence of each id over its pixels with a finite value, (256,); NaN where there are none."""
    if segmentation.confidence is None:
        return None
    counts, sums = finite_sums(segmentation.labels, segmentation.confidence)
    return np.divide(sums, counts, out=np.full(256, np.nan), where=counts > 0)


def _color(table: Table, class_id: int) -> Color:
    red, green, blue = (int(value) for value in table[class_id])
    return red, green, blue
