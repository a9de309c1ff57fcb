"""Entropy, margin, top classes and threshold, compared with SciPy and with sorting."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from core.errors import InputError
from core.imaging.classes import Classes
from core.imaging.segmentation import Segmentation
from core.imaging.uncertainty import margin, thresholded, top_classes, uncertainty, unsure_share


@pytest.fixture(params=[(2, 5, 7), (21, 60, 80), (254, 9, 40)])
def probabilities(request: pytest.FixtureRequest) -> np.ndarray:
    """Return the softmax of noise, read-only and unaligned as in a response."""
    noise = np.random.default_rng(4).normal(size=request.param) * 4
    softmax = (np.exp(noise) / np.exp(noise).sum(axis=0)).astype(np.float32)
    body = np.frombuffer(b"x" + softmax.tobytes(), np.uint8)[1:]
    return body.view(np.float32).reshape(request.param)


def test_entropy_is_that_of_scipy(probabilities):
    """Entropy is SciPy's, divided by that of equal probabilities."""
    expected = stats.entropy(probabilities.astype(np.float64), axis=0) / np.log(len(probabilities))
    assert uncertainty(probabilities).entropy == pytest.approx(expected, abs=1e-5)


def test_margin_is_that_of_sorting(probabilities):
    """Margin is the largest probability minus the second largest."""
    ordered = np.sort(probabilities, axis=0)
    assert np.array_equal(margin(probabilities), ordered[-1] - ordered[-2])
    assert np.array_equal(uncertainty(probabilities).margin, ordered[-1] - ordered[-2])


def test_top_classes_are_those_of_sorting(probabilities):
    """The top classes have the largest probabilities, to 17 binary digits, in this order, each once."""
    top = top_classes(probabilities)
    expected = -np.sort(-probabilities, axis=0)[: len(top.ids)]
    assert top.probabilities == pytest.approx(expected, rel=2**-16)
    own = np.take_along_axis(probabilities, top.ids.astype(np.intp), axis=0)
    assert top.probabilities == pytest.approx(own, rel=2**-16)
    assert all(len(set(ids)) == len(ids) for ids in top.ids.reshape(len(top.ids), -1).T)


def test_by_hand():
    """A sure pixel has entropy 0 and margin 1, one with equal probabilities 1 and 0; equal classes are by id."""
    planes = np.array([[[1, 0.25]], [[0, 0.25]], [[0, 0.25]], [[0, 0.25]]], np.float32)
    found = uncertainty(planes)
    assert found.entropy == pytest.approx(np.array([[0, 1]]), abs=1e-6)
    assert found.margin.tolist() == [[1, 0]]
    top = top_classes(planes)
    assert top.ids[:, 0].T.tolist() == [[0, 1, 2], [0, 1, 2]]
    assert top.probabilities[:, 0].T.tolist() == [[1, 0, 0], [0.25, 0.25, 0.25]]


def test_invalid_values():
    """A pixel with NaN has neither entropy nor margin, and other pixels are not affected."""
    planes = np.array([[[np.nan, 0.5]], [[0.5, 0.5]]], np.float32)
    found = uncertainty(planes)
    assert np.isnan([found.entropy[0, 0], found.margin[0, 0]]).all()
    assert (found.entropy[0, 1], found.margin[0, 1]) == (pytest.approx(1), 0)


def test_threshold():
    """Pixels below the threshold, and those with NaN, become 255; one with exactly the threshold keeps its class."""
    classes = Classes.numbered(2)
    confidence = np.array([[0.59, 0.6, 0.9, np.nan]], np.float32)
    labels = np.array([[0, 1, 0, 1]], np.uint8)
    found = thresholded(Segmentation(labels, confidence, None, classes), 0.6)
    assert found.labels.tolist() == [[255, 1, 0, 255]]
    assert unsure_share(found.labels) == 0.5
    assert labels.tolist() == [[0, 1, 0, 1]]
    with pytest.raises(InputError, match="labels only"):
        thresholded(Segmentation(labels, None, None, classes), 0.6)
