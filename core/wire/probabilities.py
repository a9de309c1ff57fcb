"""Probabilities of C classes -> the most likely class of each pixel, and how likely it is.

`np.argmax` along the first axis of (C, N) is slow: it jumps from plane to plane for every pixel. Strategy: take
blocks of pixels that stay in the processor's cache, find the greatest value of each pixel, then the first plane that
equals it. Both run along the planes, many values an instruction, and give exactly `np.argmax`'s answer.

Numbers from 0 to 1 are ordered as their bits are when read as integers, and everything else (negative, above 1, NaN)
has bits beyond those of 1.0. So the greatest of the bits finds the maximum and, free of charge, that all is in order.
Only a block where it is not pays for a closer look.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.text import plural

_BLOCK_VALUES = 1 << 19
"""Values in a block: 2 MB. Measured with 21 planes: less is slower, twice as much gains nothing sure."""

_SHORTEST_BLOCK = 4096
_BITS_OF_ONE = int(np.float32(1).view(np.uint32))


@dataclass(slots=True)
class Oddities:
    """What was no probability, counted: NaN, and values outside [0, 1] with the lowest and the highest of them."""

    total: int
    nans: int = 0
    outside: int = 0
    lowest: float = np.inf
    highest: float = -np.inf

    def add(self, values: NDArray[np.float32]) -> None:
        """Count a block."""
        self.nans += int(np.count_nonzero(np.isnan(values)))
        outside = values[(values < 0) | (values > 1)]
        if len(outside):
            self.outside += len(outside)
            self.lowest = min(self.lowest, float(outside.min()))
            self.highest = max(self.highest, float(outside.max()))

    def sentences(self) -> tuple[str, ...]:
        """What to tell a person; empty if all is well."""
        sentences = []
        if self.nans:
            sentences.append(
                f"{plural(self.nans, 'value')} of {self.total:,} are NaN, not a number; "
                "such a pixel shows the first class that is NaN."
            )
        if self.outside:
            sentences.append(
                f"{plural(self.outside, 'value')} of {self.total:,} lie outside [0, 1], "
                f"from {self.lowest:.6g} to {self.highest:.6g}: these are no probabilities."
            )
        return tuple(sentences)


@dataclass(frozen=True, slots=True, eq=False)
class MostLikely:
    """labels (N,) uint8; confidence (N,) float32, the value of that class; problems in sentences."""

    labels: NDArray[np.uint8]
    confidence: NDArray[np.float32]
    problems: tuple[str, ...]


def most_likely(planes: NDArray[np.float32]) -> MostLikely:
    """The class of each pixel of `planes`, (C, N) float32 at any address, C <= 254: `np.argmax(planes, axis=0)`.

    The first of equal classes wins; the first NaN wins over any number.
    """
    count, pixels = planes.shape
    labels, confidence = np.empty(pixels, np.uint8), np.empty(pixels, np.float32)
    odd = Oddities(planes.size)
    width = min(max(_BLOCK_VALUES // count, _SHORTEST_BLOCK), max(pixels, 1))
    # The copy into the cache costs nothing: the values must come there once. It also mends odd addresses, which an
    # answer's floats mostly have, and at which numpy is slow.
    block, equal = np.empty((count, width), np.float32), np.empty((count, width), np.bool_)
    for first in range(0, pixels, width):
        part = slice(first, min(first + width, pixels))
        values = block[:, : part.stop - first]
        values[...] = planes[:, part]
        _label(values, labels[part], confidence[part], equal[:, : part.stop - first], odd)
    return MostLikely(labels, confidence, odd.sentences())


def _label(
    values: NDArray[np.float32],
    labels: NDArray[np.uint8],
    top: NDArray[np.float32],
    equal: NDArray[np.bool_],
    odd: Oddities,
) -> None:
    """Fill `labels` and `top` for one block."""
    bits, top_bits = values.view(np.uint32), top.view(np.uint32)
    np.maximum.reduce(bits, axis=0, out=top_bits)
    if top_bits.max() <= _BITS_OF_ONE:
        np.equal(bits, top_bits, out=equal)
        _first_plane(equal, labels)
        return
    with np.errstate(invalid="ignore"):
        odd.add(values)
        np.maximum.reduce(values, axis=0, out=top)
        np.equal(values, top, out=equal)
        _first_plane(equal, labels)
        # A NaN equals nothing, not even itself; np.maximum has handed it on.
        nans = np.flatnonzero(np.isnan(top))
        labels[nans] = np.argmax(values[:, nans], axis=0)


def _first_plane(equal: NDArray[np.bool_], labels: NDArray[np.uint8]) -> None:
    """The first plane that is true, of each pixel. Spoils `equal`."""
    count = len(equal)
    rank = equal.view(np.uint8)
    np.multiply(rank, np.arange(count, 0, -1, np.uint8)[:, np.newaxis], out=rank)
    np.maximum.reduce(rank, axis=0, out=labels)
    np.subtract(count, labels, out=labels)
