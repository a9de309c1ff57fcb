"""The tiles along the sides of an image."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from core.tiles.grid import STRIDE, axis

sizes = st.tuples(st.integers(1, 6000), st.integers(4, 64), st.integers(0, 340)).filter(
    lambda size: size[2] <= size[1] * STRIDE // 3
)


@given(sizes)
def test_tiles_cover_the_side_with_the_overlap(size: tuple[int, int, int]) -> None:
    """Tiles start at multiples of 16, cover the side, overlap as requested, and exceed it by less than 16."""
    length, tile, overlap = size[0], size[1] * STRIDE, size[2]
    tiles = axis(length, tile, overlap, blend=True)
    assert tiles.starts[0] == 0
    assert all(start % STRIDE == 0 for start in tiles.starts)
    assert all(first + tiles.tile - second >= overlap for first, second in pairwise(tiles.starts))
    assert length <= tiles.starts[-1] + tiles.tile < length + STRIDE
    least = -(-(length - tile) // (tile - overlap)) + 1 if length > tile else 1
    assert len(tiles.starts) >= least


@given(sizes, st.booleans())
def test_weights_add_up_to_one(size: tuple[int, int, int], blend: bool) -> None:
    """Every pixel is decided by one tile with weight 1, or by two neighbors whose weights add up to 1."""
    length, tile, overlap = size[0], size[1] * STRIDE, size[2]
    tiles = axis(length, tile, overlap, blend=blend)
    total, alone = np.zeros(length, np.float32), np.zeros(length, np.intp)
    for number, start in enumerate(tiles.starts):
        span = tiles.span(number)
        assert start <= span.begin <= span.own <= span.end <= span.stop <= min(length, start + tile)
        total[span.begin : span.stop] += span.weights()
        alone[span.own : span.end] += 1
    assert np.allclose(total, 1, atol=1e-6)
    assert alone.max() == 1
    assert blend or alone.min() == 1


def test_the_zone_is_as_wide_as_the_overlap() -> None:
    """Neighbors are mixed over the requested overlap, in the middle of what both cover."""
    tiles = axis(1000, 512, 64, blend=True)
    assert tiles.starts == (0, 240, 496)
    assert tiles.zones == ((344, 408), (592, 656))
    assert axis(1000, 512, 64, blend=False).zones == ((376, 376), (624, 624))


def test_a_small_image_is_one_tile_of_its_own_size() -> None:
    """An image that fits into a tile is sent as it is, and decided by one tile."""
    tiles = axis(300, 512, 64, blend=True)
    assert (tiles.tile, tiles.starts, tiles.zones) == (300, (0,), ())


@pytest.mark.parametrize(("tile", "overlap"), [(500, 64), (48, 0), (4112, 0), (512, 171), (512, -1)])
def test_sizes_outside_the_limits_are_errors(tile: int, overlap: int) -> None:
    """A tile off the stride, too small or too large, and an overlap above a third, are errors with a value to use."""
    with pytest.raises(InputError, match="Use"):
        axis(1000, tile, overlap, blend=True)
