"""Compare the contours of two masks: boundary IoU and boundary F1, from counts that can be added or averaged.

Boundary IoU    B. Cheng, R. Girshick, P. Dollár, A. C. Berg, A. Kirillov, "Boundary IoU: Improving Object-Centric
                Image Segmentation Evaluation", CVPR 2021. Of each mask, the pixels within a distance d of its own
                contour, inside of it; the IoU of these two bands, by class. d is 2 % of the image diagonal, rounded,
                at least 1 pixel. As in the authors' code, a mask is eroded d times with a 3 x 3 square, and the
                outside of the image is not part of it: where the image border cuts a mask off, that is a contour.
Boundary F1     G. Csurka, D. Larlus, F. Perronnin, "What is a good evaluation measure for semantic segmentation?",
                BMVC 2013, also called BF score. Precision: the share of the predicted contour pixels of a class
                with a contour pixel of the class in the ground truth within the tolerance; recall: the reverse. The
                tolerance is 0.75 % of the image diagonal, as Euclidean distance between pixel centers. A contour
                pixel has a neighbor of another class above, below, left or right; the image border is not a contour.

Pixels whose ground truth is 255 are removed from both masks. They are not counted, and make no contour;
the boundary band crosses a strip of them that is narrower than d.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.imaging.classes import IGNORE
from core.imaging.counting import pixel_counts
from core.imaging.scores import border_band, dilated

BAND = 0.02
"""Width of the band of the boundary IoU, as a share of the image diagonal."""

TOLERANCE = 0.0075
"""Distance tolerance of the boundary F1, as a share of the image diagonal."""

MANY = 20
"""Where more than one of so many pixels is a contour pixel, as in noise, those far from any contour are set aside."""

NO_CLASS = IGNORE - 1
"""Stands for predictions of 255, so that they differ from ignored pixels; no class has this id."""


class ContourCounts(NamedTuple):
    """The counts of one class in one image, in pixels.

    actual_band, predicted_band, both_bands: pixels in the band of the ground truth, of the prediction, and in both.
    actual, predicted:           contour pixels.
    actual_near, predicted_near: how many of them are within the tolerance of the other contour.
    """

    class_id: int
    actual_band: int
    predicted_band: int
    both_bands: int
    actual: int
    actual_near: int
    predicted: int
    predicted_near: int


def band_width(height: int, width: int) -> int:
    """Return the width of the band of the boundary IoU, in pixels."""
    return max(1, round(BAND * math.hypot(height, width)))


def tolerance(height: int, width: int, share: float = TOLERANCE) -> float:
    """Return the distance tolerance of the boundary F1, in pixels. share: of the image diagonal."""
    return share * math.hypot(height, width)


def contour_counts(
    ground_truth: NDArray[np.uint8], predicted: NDArray[np.uint8], *, share: float = TOLERANCE
) -> tuple[ContourCounts, ...]:
    """Return the counts of each class that has any. Both masks: (H, W) uint8 class ids. share: see `tolerance`."""
    if ground_truth.shape != predicted.shape:
        raise ValueError(f"the ground truth is {ground_truth.shape}, the prediction is {predicted.shape}")
    judged = np.where(predicted == IGNORE, np.uint8(NO_CLASS), predicted)
    judged[ground_truth == IGNORE] = IGNORE
    bands = _band_counts(ground_truth, judged)
    height, width = ground_truth.shape
    lines = _line_counts(ground_truth, judged, tolerance(height, width, share))
    table = np.concatenate([bands, lines])[:, :NO_CLASS]
    return tuple(ContourCounts(int(k), *table[:, k].tolist()) for k in np.flatnonzero(table.any(axis=0)))


def boundary_iou(rows: Sequence[ContourCounts], classes: int) -> NDArray[np.float64]:
    """Return the boundary IoU of each class, (K,) float64, of counts that are added up; NaN without any band."""
    table = _table(rows, classes)
    both = table[2]
    return _divided(both, table[0] + table[1] - both)


def boundary_f1(rows: Sequence[ContourCounts], classes: int) -> NDArray[np.float64]:
    """Return the boundary F1 of each class in one image, (K,) float64; NaN without a contour in either mask.

    0 for a class with a contour in only one of the masks.
    """
    _, _, _, actual, actual_near, predicted, predicted_near = _table(rows, classes)
    precision = np.divide(predicted_near, predicted, out=np.zeros(classes), where=predicted > 0)
    recall = np.divide(actual_near, actual, out=np.zeros(classes), where=actual > 0)
    above = precision + recall
    values = np.divide(2 * precision * recall, above, out=np.zeros(classes), where=above > 0)
    values[(actual == 0) & (predicted == 0)] = np.nan
    return values


def contour_table(rows: Sequence[ContourCounts], classes: int) -> NDArray[np.float64]:
    """Return (3, K) float64: the pixels in the band of the ground truth, of the prediction, and in both."""
    return _table(rows, classes)[:3]


def _table(rows: Sequence[ContourCounts], classes: int) -> NDArray[np.float64]:
    """Return the counts added up, (7, K) float64; those of ids beyond the classes are left out."""
    table = np.zeros((7, classes))
    for class_id, *counts in rows:
        if class_id < classes:
            table[:, class_id] += counts
    return table


def _band_counts(ground_truth: NDArray[np.uint8], judged: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return (3, 256) int64: the pixels in the band of the ground truth, of the prediction, and in both."""
    width = band_width(*ground_truth.shape)
    actual, predicted = (
        np.where(border_band(mask, width, frame=True), mask, np.uint8(IGNORE))
        for mask in (ground_truth, judged)
    )
    both = np.where(actual == predicted, actual, np.uint8(IGNORE))
    return np.stack([pixel_counts(mask) for mask in (actual, predicted, both)])


def _line_counts(
    ground_truth: NDArray[np.uint8], judged: NDArray[np.uint8], reach: float
) -> NDArray[np.int64]:
    """Return (4, 256) int64: contour pixels of the ground truth, those near, and the same of the prediction."""
    margin = int(reach)
    actual, predicted = (
        np.pad(_contour(mask), margin, constant_values=IGNORE) for mask in (ground_truth, judged)
    )
    rows = []
    for own, other in ((actual, predicted), (predicted, actual)):
        total = pixel_counts(own)
        total[IGNORE] = 0
        rows += [total, total - _far(own, other, reach)]
    return np.stack(rows)


def _contour(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the mask where it has a neighbor of another class, else 255; (H, W) uint8."""
    line = np.zeros(mask.shape, np.bool_)
    for first, second in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differs = (mask[first] != mask[second]) & (mask[first] != IGNORE) & (mask[second] != IGNORE)
        line[first] |= differs
        line[second] |= differs
    return np.where(line, mask, np.uint8(IGNORE))


def _far(own: NDArray[np.uint8], other: NDArray[np.uint8], reach: float) -> NDArray[np.int64]:
    """Return the contour pixels of each id without one of the same id in `other` within `reach`, (256,) int64.

    Both are padded by `reach`. A distance transform would work on all pixels, once for each class. Contours have few:
    they are searched row by row, near rows first, in the sorted positions of the other mask, and each pixel only
    until its first match.
    """
    width, margin = own.shape[1], int(reach)
    keys = np.sort(_keys(other, np.flatnonzero(other.reshape(-1) != IGNORE)))
    positions = np.flatnonzero(own.reshape(-1) != IGNORE)
    if not len(keys):
        return np.bincount(own.reshape(-1)[positions], minlength=256)
    far = np.zeros(256, np.int64)
    if len(positions) > own.size // MANY:
        near = dilated(other != IGNORE, margin).reshape(-1)[positions]
        far += np.bincount(own.reshape(-1)[positions[~near]], minlength=256)
        positions = positions[near]
    wanted = _keys(own, positions)
    for row in sorted(range(-margin, margin + 1), key=abs):
        half = math.isqrt(int(reach**2 - row**2))
        moved = wanted + row * width
        after = np.searchsorted(keys, moved)
        right = keys[np.minimum(after, len(keys) - 1)] - moved
        left = moved - keys[np.maximum(after - 1, 0)]
        wanted = wanted[np.minimum(np.abs(right), np.abs(left)) > half]
    return far + np.bincount(wanted // own.size, minlength=256)


def _keys(mask: NDArray[np.uint8], positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a number for each position that is near that of another one only in the same row and of the same id."""
    return mask.reshape(-1)[positions].astype(np.int64) * mask.size + positions


def _divided(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)
