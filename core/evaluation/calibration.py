"""How far an endpoint's confidence can be trusted: reliability diagram, calibration error, accuracy against coverage.

Each image is reduced to a histogram of fixed size: by bin of confidence and by class, the pixels of the ground truth,
the predicted ones and the correct ones, and the sum of the confidence. Histograms are added up, and everything is
derived from the sum. Pixels whose ground truth is 255 are not counted.

Sources:
    Reliability diagram, expected calibration error
            C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, with
            15 bins of equal width, as there; M. P. Naeini, G. F. Cooper, M. Hauskrecht, AAAI 2015. A bin has its
            lower bound, not its upper one. By class: of the pixels that are predicted as it.
    Accuracy against coverage
            R. El-Yaniv, Y. Wiener, "On the Foundations of Noise-free Selective Classification", JMLR 11, 2010.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.imaging.classes import IGNORE
from core.imaging.counting import BLOCK, IDS

BINS = 60
"""Bins of the histograms: multiples of both 1/15 and 0.05 are bounds."""

RELIABILITY_BINS = 15

THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Thresholds of the table; each is the bound of a bin."""

HOW = (
    f"Expected calibration error with {RELIABILITY_BINS} bins of equal width (Guo et al. 2017), over all counted "
    "pixels. By class: of the pixels that are predicted as it. Coverage: the share of the counted pixels whose "
    "confidence is at least the threshold; accuracy and mean IoU are those of these pixels."
)
"""How the numbers are defined, for readers of the scores."""


class ConfidenceCounts(NamedTuple):
    """The pixels of one class in one bin of confidence.

    actual, predicted, correct: pixels that are the class in the ground truth, that are predicted as it, and both.
    confidence: sum over the predicted ones.
    """

    class_id: int
    bin: int
    actual: int
    predicted: int
    correct: int
    confidence: float


class ReliabilityBin(NamedTuple):
    """A bin of the reliability diagram; accuracy and mean confidence are NaN without pixels."""

    low: float
    high: float
    pixels: int
    accuracy: float
    confidence: float


class ThresholdScores(NamedTuple):
    """The scores of the pixels whose confidence is at least the threshold; NaN without any."""

    threshold: float
    coverage: float
    accuracy: float
    mean_iou: float


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """The histograms of a dataset, by class and bin of confidence.

    actual, predicted, correct: (K + 1, BINS) float64, pixels; the last row: predicted as none of the classes.
    confidence: (K + 1, BINS) float64, sum over the predicted pixels.
    """

    actual: NDArray[np.float64]
    predicted: NDArray[np.float64]
    correct: NDArray[np.float64]
    confidence: NDArray[np.float64]

    @property
    def reliability(self) -> tuple[ReliabilityBin, ...]:
        """Return the bins of the reliability diagram."""
        pixels, correct, confidence = (
            _coarse(values.sum(axis=0)) for values in (self.predicted, self.correct, self.confidence)
        )
        accuracy, mean = _divided(correct, pixels), _divided(confidence, pixels)
        return tuple(
            ReliabilityBin(
                number / RELIABILITY_BINS,
                (number + 1) / RELIABILITY_BINS,
                int(pixels[number]),
                float(accuracy[number]),
                float(mean[number]),
            )
            for number in range(RELIABILITY_BINS)
        )

    @property
    def error(self) -> float:
        """Return the expected calibration error; NaN without pixels."""
        return _error(self.predicted.sum(axis=0), self.correct.sum(axis=0), self.confidence.sum(axis=0))

    @property
    def class_errors(self) -> NDArray[np.float64]:
        """Return the expected calibration error of each predicted class, (K,) float64; NaN if never predicted."""
        rows = zip(self.predicted[:-1], self.correct[:-1], self.confidence[:-1], strict=True)
        return np.array([_error(*row) for row in rows], np.float64)

    def above(self, number: int) -> ThresholdScores:
        """Return the scores of the pixels in this bin of confidence and those above it."""
        actual, predicted, correct = (
            values[:, number:].sum(axis=1) for values in (self.actual, self.predicted, self.correct)
        )
        kept, whole = actual.sum(), self.actual.sum()
        iou = _divided(correct, actual + predicted - correct)[:-1]
        valid = iou[~np.isnan(iou)]
        return ThresholdScores(
            number / BINS,
            float(kept / whole) if whole else float("nan"),
            float(correct.sum() / kept) if kept else float("nan"),
            float(valid.mean()) if len(valid) else float("nan"),
        )

    @property
    def curve(self) -> tuple[ThresholdScores, ...]:
        """Return the scores for the bound of each bin as threshold: accuracy against coverage."""
        return tuple(map(self.above, range(BINS)))

    @property
    def table(self) -> tuple[ThresholdScores, ...]:
        """Return the scores for THRESHOLDS."""
        return tuple(self.above(round(threshold * BINS)) for threshold in THRESHOLDS)


def confidence_counts(
    ground_truth: NDArray[np.uint8], predicted: NDArray[np.uint8], confidence: NDArray[np.float32]
) -> tuple[ConfidenceCounts, ...]:
    """Return the histogram of one image. All arrays are (H, W). A confidence of NaN counts as 0."""
    shape = (IDS, BINS)
    actual, guessed, correct, sums = (np.zeros(shape) for _ in range(4))
    flat = ground_truth.reshape(-1), predicted.reshape(-1), confidence.reshape(-1)
    for start in range(0, flat[0].size, BLOCK):
        truth, guess, sure = (values[start : start + BLOCK] for values in flat)
        counted = truth != IGNORE
        truth, guess = truth[counted].astype(np.intp), guess[counted].astype(np.intp)
        sure = np.clip(np.nan_to_num(sure[counted].astype(np.float64)), 0, 1)
        bins = np.minimum((sure * BINS).astype(np.intp), BINS - 1)
        right = truth == guess
        for counts, keys, weights in (
            (actual, truth * BINS + bins, None),
            (guessed, guess * BINS + bins, None),
            (correct, (guess * BINS + bins)[right], None),
            (sums, guess * BINS + bins, sure),
        ):
            counts[...] += np.bincount(keys, weights, minlength=IDS * BINS).reshape(shape)
    return tuple(
        ConfidenceCounts(
            int(class_id),
            int(number),
            int(actual[class_id, number]),
            int(guessed[class_id, number]),
            int(correct[class_id, number]),
            round(float(sums[class_id, number]), 4),
        )
        for class_id, number in zip(*np.nonzero(actual + guessed), strict=True)
    )


def calibration(rows: Sequence[ConfidenceCounts], classes: int) -> Calibration:
    """Return the histograms of all images, added up; predictions beyond the classes are in one further row."""
    table = np.zeros((4, classes + 1, BINS))
    for class_id, number, *values in rows:
        table[:, min(class_id, classes), number] += values
    return Calibration(*table)


def _coarse(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums of the reliability diagram's bins, (15,) float64."""
    sums: NDArray[np.float64] = values.reshape(RELIABILITY_BINS, -1).sum(axis=1)
    return sums


def _error(
    predicted: NDArray[np.float64], correct: NDArray[np.float64], confidence: NDArray[np.float64]
) -> float:
    """Return the expected calibration error: the mean of |correct - confidence| of each bin, by its pixels."""
    total = predicted.sum()
    return float(np.abs(_coarse(correct) - _coarse(confidence)).sum() / total) if total else float("nan")


def _divided(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(above, below, out=np.full(below.shape, np.nan), where=below > 0)
