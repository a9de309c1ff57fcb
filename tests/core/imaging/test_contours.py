"""Boundary IoU and boundary F1, compared with SciPy's morphology and distance transform."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from core.imaging.contours import band_width, boundary_f1, boundary_iou, contour_counts, tolerance

CLASSES = 4


def blobs(seed: int, shape: tuple[int, int], *, ignored: bool) -> np.ndarray:
    """Return a mask of smooth regions, which also touch the image border; 255 in a strip if `ignored`."""
    noise = np.random.default_rng(seed).normal(size=(CLASSES, *shape))
    smooth = ndimage.gaussian_filter(noise, (0, 3, 3))
    ids = smooth.argmax(axis=0).astype(np.uint8)
    if ignored:
        ids[shape[0] // 3 : shape[0] // 3 + 2] = 255
        ids[:, -1] = 255
    return ids


def pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    """Return ground truths with predictions: similar, unrelated, without ignored pixels, and noisy."""
    similar = blobs(1, (60, 80), ignored=True)
    moved = np.roll(blobs(1, (60, 80), ignored=False), 2, axis=1)
    noise = np.random.default_rng(5).integers(0, CLASSES, (40, 200), dtype=np.uint8)
    return [
        (similar, moved),
        (blobs(2, (90, 40), ignored=False), blobs(3, (90, 40), ignored=False)),
        (blobs(4, (40, 200), ignored=True), noise),
        (blobs(6, (5, 7), ignored=False), np.full((5, 7), 255, np.uint8)),
    ]


@pytest.mark.parametrize("index", range(4))
def test_boundary_iou_is_that_of_the_authors_erosion(index):
    """Per class, the band is the mask minus the mask eroded d times by 3 x 3 squares, padded with nothing."""
    actual, predicted = pairs()[index]
    width = band_width(*actual.shape)
    square = np.ones((3, 3), bool)
    ignored = actual == 255
    expected = []
    for k in range(CLASSES):
        bands = []
        for mask in (actual, predicted):
            ours = (mask == k) & ~ignored
            eroded = ndimage.binary_erosion(ours | ignored, square, iterations=width, border_value=0)
            bands.append(ours & ~eroded)
        union = (bands[0] | bands[1]).sum()
        expected.append((bands[0] & bands[1]).sum() / union if union else np.nan)
    ours = boundary_iou(contour_counts(actual, predicted), CLASSES)
    assert ours == pytest.approx(np.array(expected), abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize("share", [0.0075, 0.03])
def test_boundary_f1_is_that_of_a_distance_transform(index, share):
    """Precision and recall count the contour pixels whose Euclidean distance to the other contour is small enough."""
    actual, predicted = pairs()[index]
    judged = np.where(predicted == 255, 254, predicted)
    judged[actual == 255] = 255
    expected = [plain_f1(actual, judged, k, tolerance(*actual.shape, share)) for k in range(CLASSES)]
    ours = boundary_f1(contour_counts(actual, predicted, share=share), CLASSES)
    assert ours == pytest.approx(np.array(expected), abs=1e-12, nan_ok=True)


def plain_f1(actual: np.ndarray, predicted: np.ndarray, k: int, reach: float) -> float:
    """Return the F1 of one class, from distance transforms; NaN where neither mask has a contour."""
    lines = [contour(mask, k) for mask in (actual, predicted)]
    if not lines[0].any() and not lines[1].any():
        return float("nan")
    if not lines[0].any() or not lines[1].any():
        return 0.0
    recall, precision = (
        (ndimage.distance_transform_edt(~other)[own] <= reach).mean()
        for own, other in (lines, reversed(lines))
    )
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def contour(mask: np.ndarray, k: int) -> np.ndarray:
    """Return the pixels of the class with another class, not 255, above, below, left or right of them."""
    others = (mask != k) & (mask != 255)
    return (mask == k) & ndimage.binary_dilation(others, ndimage.generate_binary_structure(2, 1))


def test_by_hand():
    """A border moved by one column: bands and contours are counted at both masks' own contours."""
    actual = np.repeat([[0, 0, 0, 0, 1, 1, 1, 1]], 8, axis=0).astype(np.uint8)
    predicted = np.repeat([[0, 0, 0, 1, 1, 1, 1, 1]], 8, axis=0).astype(np.uint8)
    rows = contour_counts(actual, predicted)
    # d = 1: each band is the outline of a 4 x 8, 3 x 8 or 5 x 8 block
    assert rows[0][:4] == (0, 2 * 8 + 2 * 2, 2 * 8 + 2 * 1, 8 + 2 * 2)
    assert rows[1][:4] == (1, 2 * 8 + 2 * 2, 2 * 8 + 2 * 3, 8 + 2 * 3)
    # tolerance 0.085 pixels: no contour pixel is at the same place
    assert [row[4:] for row in rows] == [(8, 0, 8, 0), (8, 0, 8, 0)]
    assert boundary_f1(rows, 2).tolist() == [0, 0]
    assert boundary_f1(contour_counts(actual, actual), 3)[:2].tolist() == [1, 1]


def test_ignored_pixels_change_nothing():
    """What is predicted where the ground truth is 255 changes neither score, and arguments are not changed."""
    actual, predicted = pairs()[0]
    other = np.where(actual == 255, (predicted + 1) % CLASSES, predicted).astype(np.uint8)
    before = actual.copy(), predicted.copy()
    assert contour_counts(actual, predicted) == contour_counts(actual, other)
    assert np.array_equal(actual, before[0])
    assert np.array_equal(predicted, before[1])


def test_parameters_of_an_image():
    """At 800 x 600 pixels the band is 20 pixels wide and the tolerance is 7.5 pixels; the band is never empty."""
    assert (band_width(600, 800), tolerance(600, 800)) == (20, 7.5)
    assert band_width(3, 4) == 1


def test_without_a_class():
    """An ignored ground truth has no contours, and its scores are NaN."""
    empty = contour_counts(np.full((4, 4), 255, np.uint8), np.zeros((4, 4), np.uint8))
    assert empty == ()
    assert np.isnan(boundary_iou(empty, 2)).all()
    assert np.isnan(boundary_f1(empty, 2)).all()
