"""Find small patches in a map of any size, strip by strip.

A patch is a set of pixels with the same value, connected by their sides. Each strip is labeled alone: its runs
(pixels of one value next to each other in a row) are joined to those above them. Patches that continue in the next
strip are joined at the end. Of the others, one byte each is kept for the whole map: whether it is small.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.imaging.pixels import row_blocks

Numbers = NDArray[np.signedinteger[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class StripPatches:
    """The patches of one strip.

    labels: (H, W) int32, the number of the patch of each pixel within the strip; -1 where there is none.
    sizes:  pixels of each patch within the strip.
    """

    labels: NDArray[np.int32]
    sizes: NDArray[np.int64]


def find_patches(values: NDArray[np.uint8] | NDArray[np.uint16], inside: NDArray[np.bool_]) -> StripPatches:
    """Return the patches of a strip, of pixels that are `inside`."""
    starts = inside.copy()
    starts[:, 1:] &= ~inside[:, :-1] | (values[:, 1:] != values[:, :-1])
    labels = np.cumsum(starts, dtype=np.int32).reshape(values.shape)
    labels -= 1
    count = int(labels[-1, -1]) + 1
    # One pair for each two runs that touch: at the first pixel that they share.
    joined = inside[1:] & inside[:-1] & (values[1:] == values[:-1]) & (starts[1:] | starts[:-1])
    roots = _join(count, labels[:-1][joined], labels[1:][joined])
    kept, numbers = np.unique(roots, return_inverse=True)
    sizes = np.zeros(len(kept), np.int64)
    numbers = np.append(numbers, 0).astype(np.int32)
    for rows in row_blocks(*values.shape):
        labels[rows] = np.where(inside[rows], numbers[labels[rows]], -1)
        used, counts = np.unique(labels[rows][inside[rows]], return_counts=True)
        sizes[used] += counts
    return StripPatches(labels, sizes)


def _join(count: int, first: Numbers, second: Numbers) -> NDArray[np.int64]:
    """Return for each of `count` numbers the lowest one that it is connected to by pairs of `first` and `second`."""
    roots = np.arange(count)
    while True:
        a, b = roots[first], roots[second]
        different = a != b
        if not different.any():
            return roots
        first, second, a, b = first[different], second[different], a[different], b[different]
        np.minimum.at(roots, np.maximum(a, b), np.minimum(a, b))
        while not np.array_equal(above := roots[roots], roots):
            roots = above


@dataclass(eq=False)
class SmallPatches:
    """Finds the patches with fewer than `min_size` pixels. Add all strips, from top to bottom; then ask for them.

    A patch at the first or last row of a strip may be part of a larger one: only of those the size is kept.
    """

    min_size: int
    _small: list[NDArray[np.bool_]] = field(default_factory=list)
    _edges: list[NDArray[np.int32]] = field(default_factory=list)
    _edge_sizes: list[NDArray[np.int64]] = field(default_factory=list)
    _pairs: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = field(default_factory=list)
    _last: tuple[NDArray[np.int64], NDArray[np.uint16]] | None = None
    _count: int = 0

    def add(self, values: NDArray[np.uint16], patches: StripPatches) -> None:
        """Add the next strip."""
        rows = patches.labels[[0, -1]]
        edges = np.unique(rows[rows >= 0])
        numbers = np.where(rows >= 0, self._count + np.searchsorted(edges, rows), -1)
        if self._last is not None:
            above, value = self._last
            joined = (above >= 0) & (numbers[0] >= 0) & (value == values[0])
            self._pairs.append((above[joined], numbers[0][joined]))
        self._last = numbers[1], values[-1].copy()
        self._small.append(patches.sizes < self.min_size)
        self._edges.append(edges)
        self._edge_sizes.append(patches.sizes[edges])
        self._count += len(edges)

    def strips(self) -> list[NDArray[np.bool_]]:
        """Return for each strip which of its patches are small in the whole map."""
        if self._pairs:
            first, second = (np.concatenate(side) for side in zip(*self._pairs, strict=True))
            roots = _join(self._count, first, second)
            totals = np.zeros(self._count, np.int64)
            np.add.at(totals, roots, np.concatenate(self._edge_sizes))
            small = totals[roots] < self.min_size
            ends = np.cumsum([len(edges) for edges in self._edges])
            for marks, edges, part in zip(self._small, self._edges, np.split(small, ends[:-1]), strict=True):
                marks[edges] = part
        return self._small
