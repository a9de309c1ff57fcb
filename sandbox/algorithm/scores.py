"""Score a segmentation: all scores follow from one confusion matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IGNORE = 255
"""Pixels with this label are not counted and not trained on."""


def confusion(
    ground_truth: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int
) -> NDArray[np.int64]:
    """Count pixels by class, (classes, classes) int64: rows are the ground truth, columns the prediction."""
    counted = ground_truth != IGNORE
    pairs = ground_truth[counted].astype(np.int64) * classes + predicted[counted]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def iou(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return intersection over union of each class, (classes,) float64; NaN for a class in neither."""
    intersection = np.diag(counts).astype(np.float64)
    union = counts.sum(axis=0) + counts.sum(axis=1) - intersection
    return np.divide(intersection, union, out=np.full(len(counts), np.nan), where=union > 0)


def mean_iou(counts: NDArray[np.int64]) -> float:
    """Return the mean over the classes that occur; 0 when none does."""
    values = iou(counts)
    return float(np.nanmean(values)) if np.isfinite(values).any() else 0.0


def pixel_accuracy(counts: NDArray[np.int64]) -> float:
    """Return the share of correct pixels; 0 without pixels."""
    return float(np.trace(counts) / max(1, counts.sum()))
