"""Patches of a map that is labeled strip by strip are those of the whole map."""

from __future__ import annotations

import numpy as np
import pytest

from core.tiles.patches import SmallPatches, find_patches


def flooded(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the size of each pixel's patch by filling them one after the other."""
    sizes = np.zeros(values.shape, int)
    for start in zip(*np.nonzero(inside), strict=True):
        if sizes[start]:
            continue
        patch, waiting = {start}, [start]
        while waiting:
            y, x = waiting.pop()
            for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if (
                    0 <= near[0] < values.shape[0]
                    and 0 <= near[1] < values.shape[1]
                    and near not in patch
                    and inside[near]
                    and values[near] == values[start]
                ):
                    patch.add(near)
                    waiting.append(near)
        for pixel in patch:
            sizes[pixel] = len(patch)
    return sizes


@pytest.mark.parametrize("height", [1, 3, 40])
@pytest.mark.parametrize("seed", range(4))
def test_small_patches_are_those_of_a_flood_fill(height: int, seed: int) -> None:
    """Whatever the height of the strips, the patches below a size are those that filling them gives."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 2 + seed, (40, 30)).astype(np.uint16)
    inside = rng.random((40, 30)) < 0.8
    collected, strips = SmallPatches(4 + 20 * (seed == 0)), []
    for top in range(0, 40, height):
        rows = slice(top, top + height)
        patches = find_patches(values[rows], inside[rows])
        collected.add(values[rows], patches)
        strips.append(patches)
    small = np.concatenate(
        [
            np.append(marks, False)[patches.labels]
            for marks, patches in zip(collected.strips(), strips, strict=True)
        ]
    )
    wanted = inside & (flooded(values, inside) < collected.min_size)
    assert wanted.any()
    assert not wanted.all()
    assert np.array_equal(small, wanted)


@pytest.mark.parametrize(("min_size", "small"), [(11 * 21 + 10, False), (11 * 21 + 11, True)])
def test_a_patch_that_winds_through_all_strips_is_one(min_size: int, small: bool) -> None:
    """A patch that goes back and forth between strips has its whole size in each of them."""
    values = np.zeros((21, 21), np.uint16)
    values[::2] = 1
    values[1::4, -1], values[3::4, 0] = 1, 1
    collected = SmallPatches(min_size)
    for row in range(21):
        strip = values[row : row + 1]
        collected.add(strip, find_patches(strip, strip == 1))
    assert {mark for marks in collected.strips() for mark in marks.tolist()} == {small}


def test_a_map_without_patches() -> None:
    """Where nothing is inside, there are no patches."""
    values = np.zeros((3, 4), np.uint16)
    nothing = find_patches(values, np.zeros(values.shape, bool))
    assert (len(nothing.sizes), set(nothing.labels.ravel().tolist())) == (0, {-1})
    collected = SmallPatches(3)
    assert collected.strips() == []
    collected.add(values, nothing)
    collected.add(values, nothing)
    assert [len(marks) for marks in collected.strips()] == [0, 0]
