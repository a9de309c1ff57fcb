"""Two masks of an image compared, without ground truth."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from core.imaging.classes import Classes
from core.inference.comparison import compare_masks, difference_png, image_rows, pair_rows, ranked

CLASSES = Classes(("sea", "land", "road"), ((0, 0, 255), (0, 170, 0), (9, 9, 9)))
FIRST = np.array([[0, 0, 1, 1], [2, 255, 1, 1]], np.uint8)
SECOND = np.array([[0, 1, 1, 0], [2, 0, 255, 0]], np.uint8)


def test_by_hand():
    """Pixels without a class in one of the masks are left out; class pairs are listed, most pixels first."""
    compared = compare_masks("bay.jpg", FIRST, SECOND)
    assert (compared.compared, compared.left_out, compared.differing) == (6, 2, 3)
    assert compared.pairs == ((1, 0, 2), (0, 1, 1))
    assert compared.share == 0.5
    (row,) = image_rows([compared], (CLASSES, CLASSES))
    assert row["largest_pairs"] == "land / sea 33.3%; sea / land 16.7%"
    assert [row["pixels"] for row in pair_rows([compared], (CLASSES, CLASSES))] == [2, 1]


def test_largest_difference_is_first():
    """Images are sorted by the share of pixels that differ, then by name; one without common pixels is last."""
    names = {"none": np.full((2, 4), 255, np.uint8), "same": FIRST, "other": SECOND}
    compared = [compare_masks(name, FIRST, mask) for name, mask in names.items()]
    assert [each.image for each in ranked(compared)] == ["other", "none", "same"]


def test_difference():
    """The picture of the difference has 0 where both agree, 1 where they differ, 255 where one has no class."""
    with Image.open(io.BytesIO(difference_png(FIRST, SECOND))) as image:
        assert np.asarray(image).tolist() == [[0, 1, 0, 1], [0, 255, 255, 1]]


def test_masks_of_different_sizes():
    """Masks of different sizes are refused."""
    with pytest.raises(ValueError, match="the first mask is"):
        compare_masks("bay.jpg", FIRST, SECOND[:1])
