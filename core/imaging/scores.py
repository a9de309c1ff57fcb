"""How good masks are: pixels are counted once, as a confusion matrix, and every number follows from it.

Pixels whose truth is 255 are not counted. Cumulative scores count all pixels of a set together, so that a large photo
weighs more than a small one; scores per image are made for each photo and averaged, so that each weighs the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.imaging.classes import IGNORE, MAX_CLASSES
from core.imaging.counting import pair_counts
from core.imaging.pixels import row_blocks

BAND = 5
"""Width of the boundary band, in pixels on each side of a border in the truth, at the photo's own size."""

MEASURES = {
    "mean_iou": ("Mean IoU", "The mean of the classes' IoU, with the pixels of all photos counted together."),
    "image_mean_iou": ("Mean IoU per image", "Each photo's own mean IoU, averaged over the photos."),
    "boundary_mean_iou": (
        "Boundary IoU",
        f"Mean IoU of the pixels within {BAND} of a border between two classes of the truth.",
    ),
    "mean_dice": ("Mean Dice", "The mean of the classes' Dice (F1), all photos counted together."),
    "pixel_accuracy": ("Pixel accuracy", "The share of all counted pixels that are right."),
    "mean_accuracy": (
        "Mean accuracy",
        "The mean over the classes of the share of their pixels that is right.",
    ),
    "frequency_weighted_iou": (
        "Frequency-weighted IoU",
        "The mean of the classes' IoU, each weighted by its share of the true pixels.",
    ),
}
"""Every number that sums up a set: its name in data -> what a person reads, and what it means."""

Triple = tuple[int, int, int]
"""A true class, what was predicted (255: none of the classes), and how many pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """Pixels by class; adds up.

    counts:  (K, K) int64, rows the truth, columns the prediction.
    outside: (K,) int64, pixels of each true class whose prediction is none of the K: they count as missed.
    ignored: pixels whose truth is 255; they are in nothing else.
    """

    counts: NDArray[np.int64]
    outside: NDArray[np.int64]
    ignored: int = 0

    def __post_init__(self) -> None:
        size = len(self.outside)
        if self.counts.shape != (size, size) or self.outside.shape != (size,):
            raise ValueError(f"counts are {self.counts.shape}, outside is {self.outside.shape}")

    def __len__(self) -> int:
        """The number of classes, K."""
        return len(self.outside)

    def __add__(self, other: Confusion) -> Confusion:
        if len(self) != len(other):
            raise ValueError(f"{len(self)} classes and {len(other)} do not add up")
        return Confusion(
            self.counts + other.counts, self.outside + other.outside, self.ignored + other.ignored
        )

    @property
    def pixels(self) -> int:
        """How many pixels are counted."""
        return int(self.counts.sum() + self.outside.sum())

    @property
    def truth(self) -> NDArray[np.int64]:
        """(K,) pixels that each class has in the truth."""
        truth: NDArray[np.int64] = self.counts.sum(axis=1) + self.outside
        return truth

    def triples(self) -> tuple[Triple, ...]:
        """What is not zero: few numbers, where most classes are never taken for each other."""
        rows, columns = np.nonzero(self.counts)
        inside = zip(rows.tolist(), columns.tolist(), self.counts[rows, columns].tolist(), strict=True)
        beyond = [(int(row), IGNORE, int(self.outside[row])) for row in np.flatnonzero(self.outside)]
        return (*inside, *beyond)

    @classmethod
    def nothing(cls, classes: int) -> Confusion:
        """No pixel at all."""
        return cls(np.zeros((classes, classes), np.int64), np.zeros(classes, np.int64))

    @classmethod
    def from_triples(cls, triples: Iterable[Sequence[int]], classes: int, ignored: int = 0) -> Confusion:
        """The other way round, also for fewer classes than there were. Raises InputError for a truth beyond them."""
        actual, predicted, pixels = np.array(list(triples), np.int64).reshape(-1, 3).T
        _check(sorted(set(actual[actual >= classes].tolist())), classes)
        confusion = cls.nothing(classes)
        inside = predicted < classes
        np.add.at(confusion.counts, (actual[inside], predicted[inside]), pixels[inside])
        np.add.at(confusion.outside, actual[~inside], pixels[~inside])
        return cls(confusion.counts, confusion.outside, ignored)


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a confusion comes to; each from 0 to 1, NaN where there is nothing to count.

    iou, dice: (K,) float64; NaN for a class in neither truth nor prediction.
    accuracy:  (K,) float64, the share of a class's true pixels that is right; NaN for a class not in the truth.
    The means are over the classes that are not NaN.
    """

    iou: NDArray[np.float64]
    dice: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    mean_iou: float
    mean_dice: float
    mean_accuracy: float
    pixel_accuracy: float
    frequency_weighted_iou: float


@dataclass(frozen=True, slots=True, eq=False)
class ImageMeans:
    """Scores of single photos, averaged.

    iou:      (K,) float64, over the photos in which the class is in truth or prediction; NaN where it is in none.
    mean_iou: over the photos of each one's own mean IoU; NaN without any.
    """

    iou: NDArray[np.float64]
    mean_iou: float


def confusion(ground_truth: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int) -> Confusion:
    """Count the pixels of one mask, both (H, W) uint8.

    Raises InputError where the truth holds ids that are neither below `classes` nor 255.
    """
    if ground_truth.shape != predicted.shape:
        raise ValueError(f"the truth is {ground_truth.shape}, the prediction is {predicted.shape}")
    return _cut(pair_counts(ground_truth, predicted), classes)


def scores(of: Confusion) -> Scores:
    """Everything that follows from the counts."""
    right = np.diag(of.counts).astype(np.float64)
    ground_truth, predicted = of.truth.astype(np.float64), of.counts.sum(axis=0).astype(np.float64)
    iou = _divided(right, ground_truth + predicted - right)
    dice, accuracy = _divided(2 * right, ground_truth + predicted), _divided(right, ground_truth)
    there = ground_truth > 0
    return Scores(
        iou,
        dice,
        accuracy,
        _mean(iou),
        _mean(dice),
        _mean(accuracy),
        float(right.sum() / of.pixels) if of.pixels else float("nan"),
        float((ground_truth[there] * iou[there]).sum() / of.pixels) if of.pixels else float("nan"),
    )


def image_means(ious: Sequence[NDArray[np.float64]], classes: int) -> ImageMeans:
    """The scores per image of a set: `ious` holds each photo's own (K,) IoU."""
    table = np.array(ious, np.float64).reshape(len(ious), classes)
    there = ~np.isnan(table)
    sums, photos = np.where(there, table, 0.0).sum(axis=0), there.sum(axis=0).astype(np.float64)
    return ImageMeans(_divided(sums, photos), _mean(np.array([_mean(row) for row in table])))


def boundary_band(ground_truth: NDArray[np.uint8], width: int = BAND) -> NDArray[np.bool_]:
    """Which pixels lie near a border, (H, W): where another class is within `width` rows and columns of them.

    Pixels to ignore make no border and bridge it: a class on each side of a narrow strip of 255 is one border.
    """
    height = len(ground_truth)
    band = np.empty(ground_truth.shape, np.bool_)
    for rows in row_blocks(*ground_truth.shape):
        top, bottom = (
            max(0, rows.start - width),
            min(height, rows.stop + width),
        )  # with what its windows reach
        around = ground_truth[top:bottom]
        highest = _windowed(np.where(around == IGNORE, np.uint8(0), around), width, np.maximum, 0)
        lowest = _windowed(around, width, np.minimum, IGNORE)
        inside = slice(rows.start - top, rows.stop - top)
        np.greater(highest[inside], lowest[inside], out=band[rows])
        band[rows] &= ground_truth[rows] != IGNORE
    return band


def in_band(ground_truth: NDArray[np.uint8], width: int = BAND) -> NDArray[np.uint8]:
    """The truth with 255 at all pixels that are not near a border, (H, W) uint8, a new array."""
    return np.where(boundary_band(ground_truth, width), ground_truth, np.uint8(IGNORE))


def _cut(table: NDArray[np.int64], classes: int) -> Confusion:
    """A confusion of all 256 ids -> one of the classes."""
    _check([int(number) for number in np.flatnonzero(table[classes:IGNORE].sum(axis=1)) + classes], classes)
    inside = table[:classes]
    return Confusion(inside[:, :classes], inside[:, classes:].sum(axis=1), int(table[IGNORE].sum()))


def _check(beyond: Sequence[int], classes: int) -> None:
    """beyond: ids of the truth that are no class."""
    if not 1 <= classes <= MAX_CLASSES:
        raise InputError(f"There are {classes} classes.", todo=f"Give 1 to {MAX_CLASSES}.")
    if beyond:
        raise InputError(
            f"The truth holds the class {_listed(beyond)}, and there are {classes} classes, 0 to {classes - 1}.",
            todo="Give the class names that the masks were made with, or write 255 where nothing is to be counted.",
        )


def _listed(ids: Sequence[int], most: int = 5) -> str:
    return ", ".join(map(str, ids[:most])) + (", …" if len(ids) > most else "")


def _divided(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """NaN where there is nothing to divide by."""
    return np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)


def _mean(values: NDArray[np.float64]) -> float:
    """Of those that are numbers; NaN without any."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else float("nan")


def _windowed(
    values: NDArray[np.uint8], width: int, pick: Callable[..., Any], neutral: int
) -> NDArray[np.uint8]:
    """The highest or lowest of the square window around each pixel, (H, W) uint8.

    First along the rows, then along the columns. Windows are doubled until they are wide enough: four steps for a
    window of 11, where looking at each neighbour would take ten.
    """
    for axis in (0, 1):
        size, wanted = 1, 2 * width + 1
        edges = [(0, 0), (0, 0)]
        edges[axis] = (width, width)
        padded = np.moveaxis(np.pad(values, edges, constant_values=neutral), axis, 0)
        while size < wanted:
            step = min(size, wanted - size)
            padded = pick(padded[:-step], padded[step:])
            size += step
        values = np.moveaxis(padded, 0, axis)
    return values
