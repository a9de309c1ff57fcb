"""Score masks: count pixels once, as a confusion matrix, and derive every score from it.

Pixels whose ground truth is 255 are not counted. Cumulative scores count all pixels of a dataset together, so a large
image weighs more than a small one; per-image scores are computed for each image and averaged, so all weigh the same.

Sources:
    IoU                 Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge", IJCV 2010.
                        The same as P. Jaccard's index, 1912.
    Mean IoU, pixel accuracy, mean accuracy, frequency-weighted IoU
                        Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015.
    Dice                L. R. Dice, 1945; T. Sørensen, 1948. The same as F1.
    Mean IoU per image  Csurka, Larlus, Perronnin, "What is a good evaluation measure for semantic segmentation?",
                        BMVC 2013.
    Trimap IoU          Kohli, Ladický, Torr, "Robust Higher Order Potentials for Enforcing Label Consistency",
                        IJCV 2009; see `trimap_band`. It is not the boundary IoU of Cheng et al., CVPR 2021.
    Boundary IoU, boundary F1
                        See `core.imaging.contours`.
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

TRIMAP_WIDTH = 5
"""Width of the trimap band in pixels, on each side of a class border in the ground truth, at the image's own size."""

MEASURES = {
    "mean_iou": ("Mean IoU", "Mean of the per-class IoU; the pixels of all images are counted together."),
    "image_mean_iou": ("Mean IoU per image", "Mean IoU of each image, averaged over the images."),
    "trimap_mean_iou": (
        "Trimap IoU",
        f"Mean IoU of the pixels within {TRIMAP_WIDTH} pixels of a class border in the ground truth.",
    ),
    "mean_dice": (
        "Mean Dice",
        "Mean of the per-class Dice (F1); the pixels of all images are counted together.",
    ),
    "pixel_accuracy": ("Pixel accuracy", "Share of all counted pixels that are predicted correctly."),
    "mean_accuracy": (
        "Mean accuracy",
        "Mean of the per-class accuracy: the share of a class's pixels that is predicted correctly.",
    ),
    "frequency_weighted_iou": (
        "Frequency-weighted IoU",
        "Mean of the per-class IoU, each class weighted by its share of the ground truth pixels.",
    ),
    "boundary_mean_iou": (
        "Boundary IoU",
        (
            "Mean IoU of the pixels within 2 % of the image diagonal of the contour of their own mask, inside of it; "
            "the pixels of all images are counted together (Cheng et al. 2021). Pixels of 255 are not counted and "
            "make no contour."
        ),
    ),
    "boundary_f1": (
        "Boundary F1",
        (
            "F1 of the contour pixels that are within 0.75 % of the image diagonal of the other mask's contour: mean "
            "of the classes of an image, averaged over the images (Csurka et al. 2013). Pixels of 255 are not "
            "counted and make no contour."
        ),
    ),
}
"""Every score of a whole dataset: JSON key -> label and meaning. The module docstring has the sources."""

ABSENT_CLASSES = (
    "A class that is in neither ground truth nor prediction is not part of a mean: of all images together, or of the "
    "one image for a mean per image. Mean accuracy leaves out each class that is not in the ground truth."
)
"""The rule for classes without pixels, which is shown next to the means."""

Triple = tuple[int, int, int]
"""Class in the ground truth, predicted class (255: none of the classes), number of pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class ConfusionMatrix:
    """A confusion matrix of K classes, in pixels. Matrices of the same classes can be added.

    counts:  (K, K) int64; row: class in the ground truth, column: predicted class.
    outside: (K,) int64, pixels of each ground truth class whose prediction is none of the K; they count as missed.
    ignored: pixels whose ground truth is 255; they are in neither of the other two.
    """

    counts: NDArray[np.int64]
    outside: NDArray[np.int64]
    ignored: int = 0

    def __post_init__(self) -> None:
        size = len(self.outside)
        if self.counts.shape != (size, size) or self.outside.shape != (size,):
            raise ValueError(f"counts are {self.counts.shape}, outside is {self.outside.shape}")

    def __len__(self) -> int:
        """Return the number of classes, K."""
        return len(self.outside)

    def __add__(self, other: ConfusionMatrix) -> ConfusionMatrix:
        if len(self) != len(other):
            raise ValueError(f"cannot add confusion matrices of {len(self)} and {len(other)} classes")
        return ConfusionMatrix(
            self.counts + other.counts, self.outside + other.outside, self.ignored + other.ignored
        )

    @property
    def pixels(self) -> int:
        """Return the number of counted pixels."""
        return int(self.counts.sum() + self.outside.sum())

    @property
    def ground_truth(self) -> NDArray[np.int64]:
        """Return the pixels of each class in the ground truth, (K,) int64."""
        pixels: NDArray[np.int64] = self.counts.sum(axis=1) + self.outside
        return pixels

    def triples(self) -> tuple[Triple, ...]:
        """Return the nonzero counts; there are few, since most classes are never confused with each other."""
        rows, columns = np.nonzero(self.counts)
        inside = zip(rows.tolist(), columns.tolist(), self.counts[rows, columns].tolist(), strict=True)
        outside = [(int(row), IGNORE, int(self.outside[row])) for row in np.flatnonzero(self.outside)]
        return (*inside, *outside)

    @classmethod
    def zeros(cls, classes: int) -> ConfusionMatrix:
        """Return a matrix without any pixel."""
        return cls(np.zeros((classes, classes), np.int64), np.zeros(classes, np.int64))

    @classmethod
    def from_triples(
        cls, triples: Iterable[Sequence[int]], classes: int, ignored: int = 0
    ) -> ConfusionMatrix:
        """Return the matrix that `triples` came from, or that of fewer or more classes.

        Raises InputError where the ground truth holds a class beyond them.
        """
        actual, predicted, pixels = np.array(list(triples), np.int64).reshape(-1, 3).T
        _check(sorted(set(actual[actual >= classes].tolist())), classes)
        matrix = cls.zeros(classes)
        inside = predicted < classes
        np.add.at(matrix.counts, (actual[inside], predicted[inside]), pixels[inside])
        np.add.at(matrix.outside, actual[~inside], pixels[~inside])
        return cls(matrix.counts, matrix.outside, ignored)


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """The scores of a confusion matrix, each from 0 to 1; NaN where there is nothing to count.

    With TP, FP and FN the true positive, false positive and false negative pixels of a class:

    iou:      (K,) float64, TP / (TP + FP + FN); NaN for a class in neither ground truth nor prediction.
    dice:     (K,) float64, 2 TP / (2 TP + FP + FN); NaN for the same classes.
    accuracy: (K,) float64, TP / (TP + FN), also called recall; NaN for a class that is not in the ground truth.

    The means are over the classes that are not NaN. The module docstring has the sources.
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
    """Scores of single images, averaged (Csurka et al., BMVC 2013).

    iou:      (K,) float64, mean over the images that have the class in ground truth or prediction; NaN without any.
    mean_iou: mean over the images of their mean IoU; NaN without any.
    """

    iou: NDArray[np.float64]
    mean_iou: float


def confusion_matrix(
    ground_truth: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int
) -> ConfusionMatrix:
    """Return the confusion matrix of one mask, both arrays (H, W) uint8.

    Raises InputError where the ground truth holds ids that are neither below `classes` nor 255.
    """
    if ground_truth.shape != predicted.shape:
        raise ValueError(f"the ground truth is {ground_truth.shape}, the prediction is {predicted.shape}")
    return _matrix_of(pair_counts(ground_truth, predicted), classes)


def scores(of: ConfusionMatrix) -> Scores:
    """Return the scores of a confusion matrix."""
    correct = np.diag(of.counts).astype(np.float64)
    ground_truth, predicted = of.ground_truth.astype(np.float64), of.counts.sum(axis=0).astype(np.float64)
    iou = _divided(correct, ground_truth + predicted - correct)
    dice, accuracy = _divided(2 * correct, ground_truth + predicted), _divided(correct, ground_truth)
    present = ground_truth > 0
    return Scores(
        iou,
        dice,
        accuracy,
        mean_of(iou),
        mean_of(dice),
        mean_of(accuracy),
        float(correct.sum() / of.pixels) if of.pixels else float("nan"),
        float((ground_truth[present] * iou[present]).sum() / of.pixels) if of.pixels else float("nan"),
    )


def image_means(ious: Sequence[NDArray[np.float64]], classes: int) -> ImageMeans:
    """Return the per-image scores of a dataset. ious: the IoU of each image by class, (K,) float64 each."""
    table = np.array(ious, np.float64).reshape(len(ious), classes)
    valid = ~np.isnan(table)
    sums, images = np.where(valid, table, 0.0).sum(axis=0), valid.sum(axis=0).astype(np.float64)
    return ImageMeans(_divided(sums, images), mean_of(np.array([mean_of(row) for row in table])))


def trimap_band(ground_truth: NDArray[np.uint8], width: int = TRIMAP_WIDTH) -> NDArray[np.bool_]:
    """Return which pixels are in the trimap: near a class border of the ground truth, (H, W) bool.

    A pixel is in the band where another class is within `width` rows and columns of it (Chebyshev distance). IoU over
    this band is the trimap IoU:

        P. Kohli, L. Ladický, P. H. S. Torr, "Robust Higher Order Potentials for Enforcing Label Consistency",
            IJCV 82, 2009
        P. Krähenbühl, V. Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials",
            NIPS 2011
        L.-C. Chen et al., "DeepLab", TPAMI 40, 2018

    The band follows the ground truth alone. (The boundary IoU of Cheng et al., CVPR 2021, uses bands around the
    contours of both masks.) Pixels of 255 make no border of their own, but bridge one: a class on each side of a
    narrow strip of 255 makes a border across it.
    """
    return border_band(ground_truth, width)


def border_band(mask: NDArray[np.uint8], width: int, *, frame: bool = False) -> NDArray[np.bool_]:
    """Return which pixels have another class within `width` rows and columns of them, (H, W) bool.

    Pixels of 255 have no class.

    frame: the outside of the image counts as another class.
    """
    height = len(mask)
    band = np.empty(mask.shape, np.bool_)
    for rows in row_blocks(*mask.shape):
        top, bottom = (
            max(0, rows.start - width),
            min(height, rows.stop + width),
        )  # the rows that the windows of this block reach
        around = mask[top:bottom]
        highest = _windowed(np.where(around == IGNORE, np.uint8(0), around), width, np.maximum, 0)
        lowest = _windowed(around, width, np.minimum, IGNORE)
        inside = slice(rows.start - top, rows.stop - top)
        np.greater(highest[inside], lowest[inside], out=band[rows])
    if frame:
        band[:width], band[-width:], band[:, :width], band[:, -width:] = True, True, True, True
    band &= mask != IGNORE
    return band


def dilated(marked: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Return which pixels have a marked one within `width` rows and columns of them, (H, W) bool."""
    return _windowed(marked.view(np.uint8), width, np.maximum, 0).view(np.bool_)


def trimap_ground_truth(ground_truth: NDArray[np.uint8], width: int = TRIMAP_WIDTH) -> NDArray[np.uint8]:
    """Return the ground truth with 255 outside the trimap band, (H, W) uint8, a new array."""
    return np.where(trimap_band(ground_truth, width), ground_truth, np.uint8(IGNORE))


def _matrix_of(table: NDArray[np.int64], classes: int) -> ConfusionMatrix:
    """Return the confusion matrix of the classes. table: (256, 256), pixels by ground truth id and predicted id."""
    _check([int(number) for number in np.flatnonzero(table[classes:IGNORE].sum(axis=1)) + classes], classes)
    inside = table[:classes]
    return ConfusionMatrix(inside[:, :classes], inside[:, classes:].sum(axis=1), int(table[IGNORE].sum()))


def _check(beyond: Sequence[int], classes: int) -> None:
    """Raise InputError for a bad number of classes, or for ids of the ground truth beyond them."""
    if not 1 <= classes <= MAX_CLASSES:
        raise InputError(f"There are {classes} classes.", todo=f"Give 1 to {MAX_CLASSES}.")
    if beyond:
        raise InputError(
            f"The ground truth contains class {_listed(beyond)}; there are {classes} classes, 0 to {classes - 1}.",
            todo="Give the class names that the masks were made with, or set pixels that should not count to 255.",
        )


def _listed(ids: Sequence[int], most: int = 5) -> str:
    return ", ".join(map(str, ids[:most])) + (", …" if len(ids) > most else "")


def _divided(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `above / below`, (K,) float64; NaN where `below` is 0."""
    return np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)


def mean_of(values: NDArray[np.float64]) -> float:
    """Return the mean of the values that are not NaN; NaN without any."""
    valid = values[~np.isnan(values)]
    return float(valid.mean()) if valid.size else float("nan")


def _windowed(
    values: NDArray[np.uint8], width: int, pick: Callable[..., Any], neutral: int
) -> NDArray[np.uint8]:
    """Return the maximum or minimum of the square window around each pixel, (H, W) uint8.

    pick: np.maximum or np.minimum. neutral: the value outside the image.

    Works along the rows, then along the columns. Windows are doubled until they are wide enough: four steps for a
    window of 11, where comparing each neighbor would take ten.
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
