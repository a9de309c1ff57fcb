"""Which classes are in a picture, how much of it they cover, and how sure the model is of them."""

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
    """One class that is in the picture.

    id, name, color: of the class; 255 is `ignore`.
    pixels:          how many.
    share:           of all pixels, above 0, at most 1; the shares of a picture add up to 1.
    mean_confidence: mean of the model's confidence over these pixels, 0 to 1; None where the answer has none.
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
    """The classes present, largest first, equal ones by id.

    table:  colours; None takes the model's own.
    labels: the same ids at another size, (H, W) uint8, such as the mask that is saved: pixels are counted there, the
            confidence stays that of the model's own pixels. None counts the model's own.
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
    """Mean over all pixels that have a number, 0 to 1; None where the answer holds none."""
    if segmentation.confidence is None:
        return None
    counts, sums = finite_sums(segmentation.labels, segmentation.confidence)
    count = int(counts.sum())
    return float(sums.sum()) / count if count else None


def _mean_confidences(segmentation: Segmentation) -> NDArray[np.float64] | None:
    """Mean confidence of each id over the pixels whose confidence is a number, (256,); NaN where there are none."""
    if segmentation.confidence is None:
        return None
    counts, sums = finite_sums(segmentation.labels, segmentation.confidence)
    return np.divide(sums, counts, out=np.full(256, np.nan), where=counts > 0)


def _color(table: Table, class_id: int) -> Color:
    red, green, blue = (int(value) for value in table[class_id])
    return red, green, blue
