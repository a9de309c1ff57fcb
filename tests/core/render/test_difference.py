"""Error masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from core.render.difference import CORRECT, DIFFERENCE, WRONG, difference


@given(st.data())
def test_every_pixel(data):
    """A pixel is ignored where the ground truth is 255, correct where both agree, else wrong; no mask is changed."""
    masks = arrays.arrays(np.uint8, (4, 5), elements=st.sampled_from([0, 1, 254, 255]))
    truth, predicted = data.draw(masks), data.draw(masks)
    before = truth.copy(), predicted.copy()
    found = difference(truth, predicted)
    for place in np.ndindex(4, 5):
        expected = 255 if truth[place] == 255 else CORRECT if truth[place] == predicted[place] else WRONG
        assert found[place] == expected
    assert np.array_equal(truth, before[0])
    assert np.array_equal(predicted, before[1])


def test_different_sizes():
    """Masks of different sizes cannot be compared."""
    with pytest.raises(ValueError, match="the ground truth is"):
        difference(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8))


def test_colors_differ_in_brightness():
    """Correct and wrong also differ in brightness, for people who cannot distinguish their hues."""
    luminance = [0.2126 * red + 0.7152 * green + 0.0722 * blue for red, green, blue in DIFFERENCE.colors]
    assert abs(luminance[CORRECT] - luminance[WRONG]) > 15
