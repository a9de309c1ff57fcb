"""Calibration and accuracy against coverage, compared with scikit-learn and with plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from core.evaluation.calibration import THRESHOLDS, Calibration, calibration, confidence_counts

CLASSES = 4


@pytest.fixture(scope="module")
def arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ground truth, prediction and confidence of two images, stacked; some pixels are 255."""
    random = np.random.default_rng(7)
    confidence = random.beta(4, 1, (2, 90, 70)).astype(np.float32)
    actual = random.integers(0, CLASSES, confidence.shape, dtype=np.uint8)
    wrong = random.random(confidence.shape) > confidence**2
    predicted = np.where(wrong, random.integers(0, CLASSES - 1, confidence.shape), actual).astype(np.uint8)
    actual[:, :9] = 255
    return actual, predicted, confidence


@pytest.fixture(scope="module")
def measured(arrays) -> Calibration:
    """Return the calibration of both images."""
    rows = [row for image in zip(*arrays, strict=True) for row in confidence_counts(*image)]
    return calibration(rows, CLASSES)


def plain_error(right: np.ndarray, sure: np.ndarray) -> float:
    """Return the expected calibration error, bin by bin."""
    total = 0.0
    for number in range(15):
        inside = (sure >= number / 15) & (sure < (number + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - sure[inside].mean())
    return total


def test_reliability_is_that_of_scikit_learn(arrays, measured):
    """Accuracy and mean confidence of each bin are those of scikit-learn's calibration curve."""
    from sklearn.calibration import calibration_curve  # slow to import

    actual, predicted, confidence = arrays
    counted = actual != 255
    right, sure = (actual == predicted)[counted], confidence[counted].astype(np.float64)
    accuracy, mean = calibration_curve(right, sure, n_bins=15, strategy="uniform")
    used = [row for row in measured.reliability if row.pixels]
    assert [row.accuracy for row in used] == pytest.approx(accuracy)
    assert [row.confidence for row in used] == pytest.approx(mean, abs=1e-5)
    assert sum(row.pixels for row in used) == counted.sum()


def test_expected_calibration_error_is_that_of_a_loop(arrays, measured):
    """The error is that of a plain loop over the bins: of all counted pixels, and of those predicted as a class."""
    actual, predicted, confidence = arrays
    counted = actual != 255
    right, sure, guess = (actual == predicted)[counted], confidence[counted], predicted[counted]
    assert measured.error == pytest.approx(plain_error(right, sure), abs=1e-5)
    by_class = [plain_error(right[guess == k], sure[guess == k]) for k in range(CLASSES)]
    assert measured.class_errors == pytest.approx(np.array(by_class), abs=1e-5)


def test_thresholds_are_those_of_the_remaining_pixels(arrays, measured):
    """For each threshold, coverage, accuracy and mean IoU are those of the pixels that are at least as sure."""
    from sklearn import metrics  # slow to import

    actual, predicted, confidence = arrays
    counted = actual != 255
    for row, threshold in zip(measured.table, THRESHOLDS, strict=True):
        kept = counted & (confidence >= threshold)
        assert row.threshold == pytest.approx(threshold)
        assert row.coverage == pytest.approx(kept.sum() / counted.sum(), abs=1e-3)
        assert row.accuracy == pytest.approx(metrics.accuracy_score(actual[kept], predicted[kept]), abs=1e-3)
        iou = metrics.jaccard_score(actual[kept], predicted[kept], average="macro")
        assert row.mean_iou == pytest.approx(iou, abs=1e-3)
    assert [row.coverage for row in measured.curve] == sorted(
        (row.coverage for row in measured.curve), reverse=True
    )


def test_by_hand():
    """Four sure pixels, one of them wrong, and an unsure right one; NaN counts as unsure, 255 does not count."""
    actual = np.array([[0, 0, 1, 1, 1, 255, 0]], np.uint8)
    predicted = np.array([[0, 1, 1, 1, 1, 0, 7]], np.uint8)
    confidence = np.array([[1, 1, 1, 1, 0.5, 1, np.nan]], np.float32)
    found = calibration(confidence_counts(actual, predicted, confidence), 2)
    assert found.error == pytest.approx((4 * abs(3 / 4 - 1) + abs(1 - 0.5)) / 6)
    assert found.class_errors == pytest.approx([0, (abs(2 - 3) + 0.5) / 4])
    above = found.above(54)
    assert (above.coverage, above.accuracy, above.mean_iou) == pytest.approx(
        (4 / 6, 3 / 4, (1 / 2 + 2 / 3) / 2)
    )
    assert found.above(0).accuracy == pytest.approx(4 / 6)
    assert found.reliability[0].pixels == 1


def test_without_pixels():
    """Without a counted pixel, every number is NaN."""
    ignored = np.full((2, 2), 255, np.uint8)
    nothing = confidence_counts(ignored, np.zeros_like(ignored), np.ones((2, 2), np.float32))
    found = calibration(nothing, 2)
    assert nothing == ()
    assert np.isnan(
        [found.error, found.above(0).coverage, found.above(0).accuracy, found.above(0).mean_iou]
    ).all()
