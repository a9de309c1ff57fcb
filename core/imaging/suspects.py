"""Find regions in which a confident model contradicts the label: the likely label errors.

A pixel contradicts its label if the model is confident of another class, as in confident learning (C. G. Northcutt,
L. Jiang, I. L. Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 70, 2021), but with one
threshold for all classes. Neighboring pixels with the same label and the same prediction are one region. Regions
are ranked by their pixels times their mean confidence. Pixels near a border of the ground truth are left out: masks
and models differ there by a few pixels everywhere.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.imaging.classes import IGNORE
from core.imaging.scores import TRIMAP_WIDTH, border_band

CONFIDENT = 0.8
"""The confidence from which a prediction contradicts a label."""

MOST_REGIONS = 20
"""Regions of an image that are kept, those with the highest rank."""


class Suspect(NamedTuple):
    """A region whose label is contradicted.

    left, top, width, height: the bounding box, in pixels of the image.
    pixels:     of the region.
    labeled:    class id in the ground truth; predicted: that of the model, 255 for none.
    confidence: mean over its pixels.
    """

    left: int
    top: int
    width: int
    height: int
    pixels: int
    labeled: int
    predicted: int
    confidence: float

    @property
    def rank(self) -> float:
        """Return the pixels times the mean confidence: the more, the more suspect."""
        return self.pixels * self.confidence


def suspects(
    ground_truth: NDArray[np.uint8],
    predicted: NDArray[np.uint8],
    confidence: NDArray[np.float32],
    *,
    margin: int = TRIMAP_WIDTH,
) -> tuple[Suspect, ...]:
    """Return the suspect regions of an image, highest rank first, at most MOST_REGIONS. All arrays are (H, W).

    margin: distance to a border of the ground truth, in rows and columns, up to which pixels are left out.
    """
    contradicted = (ground_truth != predicted) & (ground_truth != IGNORE) & (confidence >= CONFIDENT)
    if margin:
        contradicted &= ~border_band(ground_truth, margin)
    codes = np.where(contradicted, ground_truth.astype(np.int32) * 256 + predicted, -1)
    starts, ends, values = _runs(codes)
    if not len(starts):
        return ()
    width = ground_truth.shape[1]
    region = _regions(starts, ends, values, width)
    sums = np.add.reduceat(
        np.append(confidence.reshape(-1), np.float32(0)),
        np.stack([starts, ends], axis=1).reshape(-1),
        dtype=np.float64,
    )[::2]
    numbers, place = np.unique(region, return_inverse=True)
    pixels = np.bincount(place, ends - starts).astype(np.int64)
    total = np.bincount(place, sums)
    top, left = np.full(len(numbers), codes.size), np.full(len(numbers), width)
    bottom, right = np.zeros(len(numbers), np.int64), np.zeros(len(numbers), np.int64)
    np.minimum.at(top, place, starts // width)
    np.minimum.at(left, place, starts % width)
    np.maximum.at(bottom, place, starts // width)
    np.maximum.at(right, place, (ends - 1) % width)
    code = values[numbers]
    order = np.lexsort((left, top, -total))[:MOST_REGIONS]
    return tuple(
        Suspect(
            int(left[k]), int(top[k]), int(right[k] - left[k] + 1), int(bottom[k] - top[k] + 1), int(pixels[k]),
            int(code[k]) // 256, int(code[k]) % 256, round(float(total[k] / pixels[k]), 4),
        )
        for k in order
    )  # fmt: skip


def _runs(codes: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """Return start, end and code of each horizontal run of equal codes, as flat positions; -1 is not a run."""
    flat, width = codes.reshape(-1), codes.shape[1]
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    bounds = np.unique(np.concatenate([changes, np.arange(0, flat.size, width)]))
    starts, ends = bounds, np.append(bounds[1:], flat.size)
    kept = flat[starts] >= 0
    return starts[kept], ends[kept], flat[starts[kept]]


def _regions(
    starts: NDArray[np.int64], ends: NDArray[np.int64], values: NDArray[np.int32], width: int
) -> NDArray[np.int64]:
    """Return for each run the first run of its region: runs with the same code that touch in adjacent rows."""
    first = np.searchsorted(ends, starts + width, side="right")
    counts = np.maximum(np.searchsorted(starts, ends + width, side="left") - first, 0)
    upper = np.repeat(np.arange(len(starts)), counts)
    lower = np.arange(len(upper)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
    same = values[upper] == values[lower]
    upper, lower = upper[same], lower[same]
    region = np.arange(len(starts))
    while True:
        joined = region.copy()
        lowest = np.minimum(region[upper], region[lower])
        np.minimum.at(joined, region[upper], lowest)
        np.minimum.at(joined, region[lower], lowest)
        joined = joined[joined]
        if np.array_equal(joined, region):
            return region
        region = joined
