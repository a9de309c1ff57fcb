"""The most likely class of each pixel: exactly that of np.argmax."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from core.wire.probabilities import most_likely


def check(planes):
    """Assert that labels and confidence are those of np.argmax, bit for bit except for the sign of zero."""
    best = most_likely(planes)
    labels = np.argmax(planes, axis=0)
    assert best.labels.dtype == np.uint8
    assert np.array_equal(best.labels, labels)
    assert np.array_equal(best.confidence, planes[labels, np.arange(planes.shape[1])], equal_nan=True)
    return best


@pytest.mark.parametrize(
    ("count", "pixels"), [(2, 1), (2, 600_000), (3, 7), (21, 24_965), (21, 24_966), (254, 9_000)]
)
def test_sizes(count, pixels):
    """Any number of planes and pixels: a block, a block and one more, several blocks."""
    planes = np.random.default_rng(count).random((count, pixels), np.float32)
    assert check(planes).problems == ()


def test_ties():
    """The first of equal classes wins, in every block."""
    planes = np.random.default_rng(1).integers(0, 3, (21, 100_000)).astype(np.float32) / 2
    assert check(planes).problems == ()
    assert not most_likely(np.full((5, 9), 0.2, np.float32)).labels.any()


@given(
    arrays.arrays(np.float32, st.tuples(st.integers(2, 6), st.integers(1, 9)), elements=st.floats(width=32))
)
def test_any_floats(planes):
    """NaN, infinities, both zeros, denormals and negative values are ranked as by np.argmax."""
    best = check(planes)
    odd = np.isnan(planes).any() or (planes < 0).any() or (planes > 1).any()
    assert bool(best.problems) == bool(odd)


@given(arrays.arrays(np.uint32, st.tuples(st.integers(2, 4), st.integers(1, 5))))
def test_any_bits(bits):
    """Any 32 bits are a float, including signaling NaNs."""
    check(bits.view(np.float32))


def test_problems_are_counted():
    """NaN and values outside [0, 1] are counted over all blocks, with the extremes; 0 and 1 are valid."""
    planes = np.zeros((21, 60_000), np.float32)
    planes[3] = 1
    planes[4, [5, 59_999]] = np.nan
    planes[0, 40_000], planes[20, 100] = -0.25, 1.5
    nan, outside = check(planes).problems
    assert nan.startswith("2 values of 1,260,000 are NaN")
    assert outside.startswith("2 values of 1,260,000 are outside [0, 1], from -0.25 to 1.5")


@pytest.mark.parametrize("offset", [0, 1, 2, 3])
def test_unaligned_addresses(offset):
    """Floats at an address that is not a multiple of 4 are read as well, and the argument is not changed."""
    planes = np.random.default_rng(2).random((4, 70_001), np.float32)
    body = bytes(offset) + planes.tobytes()
    view = np.frombuffer(body, np.float32, offset=offset).reshape(planes.shape)
    check(view)
    assert np.array_equal(view, planes)
