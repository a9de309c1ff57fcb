"""Regions where a confident model contradicts the label, compared with SciPy's connected components."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from core.imaging import suspects as module
from core.imaging.suspects import CONFIDENT, Suspect, suspects


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("sigma", [0, 1.5])
def test_regions_are_those_of_scipy(seed, sigma):
    """Regions, boxes, pixels and confidence are those of SciPy's labels by pair of classes, in order of rank."""
    random = np.random.default_rng(seed)
    noise = random.normal(size=(2, 3, 37, 53))
    smooth = ndimage.gaussian_filter(noise, (0, 0, sigma, sigma)) if sigma else noise
    actual, predicted = smooth.argmax(axis=1).astype(np.uint8)
    actual[5:9] = 255
    confidence = random.random((37, 53), dtype=np.float32)
    expected = []
    for labeled in range(3):
        for other in {0, 1, 2} - {labeled}:
            marked = (actual == labeled) & (predicted == other) & (confidence >= CONFIDENT)
            regions, _ = ndimage.label(marked)
            for number, (rows, columns) in enumerate(ndimage.find_objects(regions), 1):
                inside = regions == number
                expected.append(
                    Suspect(
                        columns.start,
                        rows.start,
                        columns.stop - columns.start,
                        rows.stop - rows.start,
                        int(inside.sum()),
                        labeled,
                        other,
                        round(float(confidence[inside].astype(np.float64).mean()), 4),
                    )
                )
    found = suspects(actual, predicted, confidence, margin=0)
    assert len(found) == min(module.MOST_REGIONS, len(expected))
    assert set(found) <= set(expected)
    ranks = sorted((each.rank for each in expected), reverse=True)[: len(found)]
    assert [each.rank for each in found] == pytest.approx(ranks, rel=1e-3)


def test_planted_error_is_first():
    """A mislabeled block is found with its box and classes; shifts at borders and unsure pixels are not."""
    actual = np.zeros((60, 80), np.uint8)
    actual[:, 40:] = 1
    predicted = np.zeros((60, 80), np.uint8)
    predicted[:, 43:] = 1
    confidence = np.full((60, 80), 0.9, np.float32)
    confidence[40:50, 60:70] = 0.4
    predicted[40:50, 60:70] = 2
    actual[10:30, 10:30] = 3
    found = suspects(actual, predicted, confidence)
    assert found == (Suspect(15, 15, 10, 10, 100, 3, 0, 0.9),)


def test_nothing_is_suspect():
    """A prediction that equals the label, and a label of 255, have no suspects."""
    actual = np.array([[0, 1, 255]], np.uint8)
    assert suspects(actual, np.array([[0, 1, 1]], np.uint8), np.ones((1, 3), np.float32), margin=0) == ()
