"""Class breakdown of an image: areas and confidence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from core.imaging.classes import VOC
from core.imaging.counting import pixel_counts
from core.imaging.image import resize_labels
from core.imaging.segmentation import Segmentation
from core.render.legend import areas, mean_confidence
from core.render.palette import table

LABELS = arrays.arrays(
    np.uint8,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.sampled_from([0, 1, 2, 20, 30, 255]),
)


def segmentation(labels: np.ndarray, seed: int = 0) -> Segmentation:
    confidence = np.random.default_rng(seed).random(labels.shape, np.float32)
    return Segmentation(labels, confidence, None, VOC)


@given(LABELS)
def test_areas_are_what_a_plain_loop_counts(labels: np.ndarray) -> None:
    """Each class has its pixels, share and mean confidence; the shares add up to 1."""
    found = segmentation(labels)
    rows = areas(found)
    assert {row.id for row in rows} == set(labels.ravel().tolist())
    for row in rows:
        here = labels == row.id
        assert row.pixels == here.sum()
        assert row.share == here.mean()
        assert row.mean_confidence == pytest.approx(float(found.confidence[here].mean(dtype=float)))
        assert row.name == VOC.name(row.id)
        assert row.color == tuple(VOC.table()[row.id])
    assert sum(row.share for row in rows) == pytest.approx(1)
    assert sorted(rows, key=lambda row: (-row.pixels, row.id)) == list(rows)


def test_a_png_response_has_no_confidence() -> None:
    """Without confidence, the mean confidence is None."""
    found = Segmentation(np.zeros((2, 2), np.uint8), None, None, VOC)
    assert [row.mean_confidence for row in areas(found)] == [None]
    assert mean_confidence(found) is None


def test_nan_does_not_count() -> None:
    """NaN is not part of the means; a class with only NaN has none."""
    labels = np.array([[0, 0, 1, 1]], np.uint8)
    found = Segmentation(labels, np.array([[0.5, np.nan, np.nan, np.nan]], np.float32), None, VOC)
    assert [row.mean_confidence for row in areas(found)] == [0.5, None]
    assert mean_confidence(found) == 0.5
    nothing = Segmentation(labels, np.full((1, 4), np.nan, np.float32), None, VOC)
    assert mean_confidence(nothing) is None


def test_areas_at_another_size_count_there() -> None:
    """With labels at the image's size, those pixels are counted, and the confidence is still that of the model."""
    found = segmentation(np.array([[0, 1, 1], [1, 1, 2]], np.uint8))
    large = resize_labels(found.labels, 4, 9)
    own, scaled = {row.id: row for row in areas(found)}, {row.id: row for row in areas(found, labels=large)}
    assert {i: row.pixels for i, row in scaled.items()} == {0: 6, 1: 24, 2: 6}
    assert {i: row.mean_confidence for i, row in scaled.items()} == {
        i: row.mean_confidence for i, row in own.items()
    }


def test_areas_take_the_palettes_colors() -> None:
    """With a palette, the rows have its colors."""
    rows = areas(segmentation(np.array([[1]], np.uint8)), table("safe", VOC))
    assert rows[0].color == (230, 159, 0)


@given(arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=20)))
def test_pixels_are_counted_as_numpy_does(labels: np.ndarray) -> None:
    """The counts are those of `np.bincount`."""
    assert np.array_equal(pixel_counts(labels), np.bincount(labels.ravel(), minlength=256))
