"""Find the most likely class of each pixel, and its probability, in the probabilities of C classes.

`np.argmax` along the first axis of (C, N) is slow: it jumps from plane to plane for every pixel. Strategy: take
blocks of pixels that stay in the processor's cache, find the maximum of each pixel, then the first plane that equals
it. Both run along the planes, many values per instruction, with exactly the result of `np.argmax`.

Floats from 0 to 1 (IEEE 754 binary32) sort like their bits read as integers, and everything else (negative, above 1,
NaN) has bits above those of 1.0. So the maximum of the bits finds the maximum and, at no cost, shows that all values
are valid. Only blocks with invalid values are examined further.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.text import plural

_BLOCK_VALUES = 1 << 19
"""Values in a block, 2 MB. Measured with 21 planes: smaller blocks are slower, larger ones no faster."""

_SHORTEST_BLOCK = 4096
_BITS_OF_ONE = int(np.float32(1).view(np.uint32))


@dataclass(slots=True)
class InvalidValues:
    """Counts of invalid probabilities: NaN, and values outside [0, 1] with the lowest and highest of them."""

    total: int
    nans: int = 0
    outside: int = 0
    lowest: float = np.inf
    highest: float = -np.inf

    def add(self, values: NDArray[np.float32]) -> None:
        """Count the invalid values of a block."""
        self.nans += int(np.count_nonzero(np.isnan(values)))
        outside = values[(values < 0) | (values > 1)]
        if len(outside):
            self.outside += len(outside)
            self.lowest = min(self.lowest, float(outside.min()))
            self.highest = max(self.highest, float(outside.max()))

    def sentences(self) -> tuple[str, ...]:
        """Return the problems as sentences; empty if there are none."""
        sentences = []
        if self.nans:
            sentences.append(
                f"{plural(self.nans, 'value')} of {self.total:,} are NaN; "
                "such a pixel gets the first class that is NaN."
            )
        if self.outside:
            sentences.append(
                f"{plural(self.outside, 'value')} of {self.total:,} are outside [0, 1], "
                f"from {self.lowest:.6g} to {self.highest:.6g}: these are not probabilities."
            )
        return tuple(sentences)


@dataclass(frozen=True, slots=True, eq=False)
class MostLikely:
    """The most likely class of each pixel.

    labels:     (N,) uint8 class ids.
    confidence: (N,) float32, the probability of that class.
    problems:   sentences about invalid values.
    """

    labels: NDArray[np.uint8]
    confidence: NDArray[np.float32]
    problems: tuple[str, ...]


def most_likely(planes: NDArray[np.float32]) -> MostLikely:
    """Return the most likely class of each pixel, as `np.argmax(planes, axis=0)` gives it.

    planes: (C, N) float32, at any memory address, C <= 254. The first of equal classes wins; the first NaN wins over
    any number.
    """
    count, pixels = planes.shape
    labels, confidence = np.empty(pixels, np.uint8), np.empty(pixels, np.float32)
    invalid = InvalidValues(planes.size)
    width = min(max(_BLOCK_VALUES // count, _SHORTEST_BLOCK), max(pixels, 1))
    # The copy into the cache costs nothing, as the values must be loaded once anyway. It also aligns them: the floats
    # of a response are mostly unaligned, for which numpy is slow.
    block, equal = np.empty((count, width), np.float32), np.empty((count, width), np.bool_)
    for first in range(0, pixels, width):
        part = slice(first, min(first + width, pixels))
        values = block[:, : part.stop - first]
        values[...] = planes[:, part]
        _label(values, labels[part], confidence[part], equal[:, : part.stop - first], invalid)
    return MostLikely(labels, confidence, invalid.sentences())


def _label(
    values: NDArray[np.float32],
    labels: NDArray[np.uint8],
    top: NDArray[np.float32],
    equal: NDArray[np.bool_],
    invalid: InvalidValues,
) -> None:
    """Fill `labels` and `top` for one block."""
    bits, top_bits = values.view(np.uint32), top.view(np.uint32)
    np.maximum.reduce(bits, axis=0, out=top_bits)
    if top_bits.max() <= _BITS_OF_ONE:
        np.equal(bits, top_bits, out=equal)
        _first_plane(equal, labels)
        return
    with np.errstate(invalid="ignore"):
        invalid.add(values)
        np.maximum.reduce(values, axis=0, out=top)
        np.equal(values, top, out=equal)
        _first_plane(equal, labels)
        # A NaN equals nothing, not even itself; np.maximum propagates it.
        nans = np.flatnonzero(np.isnan(top))
        labels[nans] = np.argmax(values[:, nans], axis=0)


def _first_plane(equal: NDArray[np.bool_], labels: NDArray[np.uint8]) -> None:
    """Set `labels` to the first plane that is true for each pixel. Overwrites `equal`."""
    count = len(equal)
    rank = equal.view(np.uint8)
    np.multiply(rank, np.arange(count, 0, -1, np.uint8)[:, np.newaxis], out=rank)
    np.maximum.reduce(rank, axis=0, out=labels)
    np.subtract(count, labels, out=labels)
