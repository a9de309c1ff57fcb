"""Place overlapping tiles over an image, and divide it among them.

Strategy: between two neighbors there is a cut, in the middle of what both cover. Around the cut is a blend zone, in
which the probabilities of both are mixed with weights that add up to 1. Everywhere else a single tile decides, with
its own labels. What is nearer to a tile's edge than the zone is not used: there the network sees too little context.

All tiles start at multiples of STRIDE. The encoder of a segmentation network halves the image up to four times, and a
JPEG has blocks of 8 or 16 pixels: a tile that starts elsewhere gets different labels all over, not only at its edge.
The last tile of a line may therefore extend beyond the image, by less than STRIDE pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError

STRIDE = 16
MIN_TILE, MAX_TILE = 64, 4096
"""Pixels of a tile's side."""


@dataclass(frozen=True)
class Axis:
    """The tiles along one side of an image.

    length:  pixels of the image.
    tile:    pixels of a tile; that of the image where it is smaller.
    starts:  the first pixel of each tile, in order: multiples of STRIDE.
    blend:   pixels of each zone between two neighbors; 0: each decides up to the middle.
    """

    length: int
    tile: int
    starts: tuple[int, ...]
    blend: int

    @cached_property
    def zones(self) -> tuple[tuple[int, int], ...]:
        """Return the first pixel of each zone and the first one after it."""
        cuts = ((first + self.tile + second) // 2 for first, second in pairwise(self.starts))
        return tuple((cut - self.blend // 2, cut - self.blend // 2 + self.blend) for cut in cuts)

    def span(self, number: int) -> Span:
        """Return the part of the image that tile `number` decides, alone or with a neighbor."""
        last = number == len(self.starts) - 1
        before = self.zones[number - 1] if number else (0, 0)
        after = (self.length, self.length) if last else self.zones[number]
        return Span(self.starts[number], before[0], before[1], after[0], after[1])


@dataclass(frozen=True, slots=True)
class Span:
    """The pixels of one tile along an axis: zone, own part, zone.

    start:      the first pixel of the tile.
    begin, own: the first pixel of the zone with the tile before, and the first one after that zone.
    end, stop:  the same for the tile after.
    """

    start: int
    begin: int
    own: int
    end: int
    stop: int

    def weights(self) -> NDArray[np.float32]:
        """Return the weight of each pixel from `begin` to `stop`, (n,) float32: half a cosine in the zones, else 1.

        In a zone, the weights of the two tiles add up to 1.
        """
        return np.concatenate(
            [
                _rising(self.own - self.begin),
                np.ones(self.end - self.own, np.float32),
                _rising(self.stop - self.end)[::-1],
            ]
        )


def axis(length: int, tile: int, overlap: int, *, blend: bool) -> Axis:
    """Return as few tiles as cover a side with at least `overlap` pixels between neighbors, spread evenly.

    blend: whether there are zones, as wide as the overlap; else the cut has no width.

    Raises InputError for sizes outside the limits.
    """
    check_sizes(tile, overlap)
    if length <= tile:
        return Axis(length, length, (0,), 0)
    steps = -(-(length - tile) // STRIDE)
    most = (tile - overlap) // STRIDE
    gaps = -(-steps // most)
    starts = tuple(STRIDE * (number * steps // gaps) for number in range(gaps + 1))
    narrowest = min(second - first for first, second in pairwise(starts))
    return Axis(length, tile, starts, min(overlap, narrowest) if blend else 0)


def check_sizes(tile: int, overlap: int) -> None:
    """Raise InputError for a tile size or an overlap that cannot be used."""
    if not MIN_TILE <= tile <= MAX_TILE or tile % STRIDE:
        raise InputError(
            f"The tile size {tile} cannot be used.",
            why=f"It must be a multiple of {STRIDE} from {MIN_TILE} to {MAX_TILE} pixels.",
            todo=f"Use {min(MAX_TILE, max(MIN_TILE, round(tile / STRIDE) * STRIDE))}.",
        )
    if not 0 <= overlap <= tile // 3:
        raise InputError(
            f"The overlap {overlap} cannot be used with tiles of {tile} pixels.",
            why="It must be from 0 to a third of the tile: further inside, three tiles would meet.",
            todo=f"Use at most {tile // 3}.",
        )


def _rising(pixels: int) -> NDArray[np.float32]:
    """Return weights from 0 to 1 at the centers of so many pixels, (pixels,) float32."""
    places = (np.arange(pixels, dtype=np.float32) + 0.5) / max(pixels, 1)
    weights: NDArray[np.float32] = (0.5 - 0.5 * np.cos(np.pi * places)).astype(np.float32)
    return weights
