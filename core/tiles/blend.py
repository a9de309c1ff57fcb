"""Join the results of tiles into strips of labels, one row of tiles at a time.

Only the zones between two rows of tiles are in memory as probabilities: zone x width x classes x 2 bytes, twice. Each
pixel gets its label once: in a zone from the weighted sum of the probabilities, elsewhere from its tile.

A tile that is missing leaves no data where it would decide alone; in its zones, the neighbors decide.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.imaging.classes import IGNORE
from core.tiles.plan import Tile, TilePlan
from core.tiles.result import SCALE, TileResult

NO_DATA = IGNORE


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """Finished rows of the scene, over its whole width.

    top:        the first row.
    labels:     (rows, width) uint8; 255 = no data, or ignore.
    confidence: (rows, width) uint8, percent; 255 = no data. None for labels only.
    """

    top: int
    labels: NDArray[np.uint8]
    confidence: NDArray[np.uint8] | None


@dataclass(slots=True, eq=False)
class _Sum:
    """The weighted probabilities of a zone, (C, rows, columns), and the sum of the weights, both in SCALE."""

    values: NDArray[np.uint16]
    weights: NDArray[np.uint16]

    @classmethod
    def empty(cls, classes: int, rows: int, columns: int) -> _Sum:
        return cls(np.zeros((classes, rows, columns), np.uint16), np.zeros((rows, columns), np.uint16))

    def add(self, values: NDArray[np.uint16], weights: NDArray[np.float32], left: int = 0) -> None:
        """Add values, (C, rows, n), with weights, (rows, n) or (n,), from a column on."""
        part = slice(left, left + values.shape[-1])
        for total, plane in zip(self.values, values, strict=True):
            total[:, part] += np.rint(plane * weights).astype(np.uint16)
        self.weights[:, part] += np.rint(SCALE * weights).astype(np.uint16)

    def decided(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return labels and confidence in percent, (rows, columns) uint8; no data where nothing was added."""
        best = self.values[0].copy()
        labels = np.zeros(best.shape, np.uint8)
        for number, plane in enumerate(self.values[1:], 1):
            np.copyto(labels, np.uint8(number), where=plane > best)  # the first of equal classes, as argmax
            np.maximum(best, plane, out=best)
        missing = self.weights == 0
        total = np.maximum(self.weights, 1).astype(np.float32)
        confidence = np.rint(best * np.float32(100) / total).clip(0, 100).astype(np.uint8)
        labels[missing] = confidence[missing] = NO_DATA
        return labels, confidence


@dataclass(eq=False)
class Blender:
    """Joins the tiles of a plan. Add them row by row, from left to right; finish each row."""

    plan: TilePlan
    _strip: Strip | None = None
    _valid: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0), np.bool_))
    _above: _Sum | None = None
    _below: _Sum | None = None
    _side: _Sum | None = None

    def add(self, tile: Tile, result: TileResult | None, valid: NDArray[np.bool_] | None) -> None:
        """Add the next tile.

        result: None if the tile failed, or was not sent.
        valid:  (H, W) bool of the whole tile; None if it was not read, and has no data.
        """
        y, x = tile.y, tile.x
        if tile.column == 0:
            self._begin_row(tile)
        strip = self._strip
        if strip is None:
            raise RuntimeError("tiles must be added from the first column on")
        if valid is not None:
            part = valid[y.begin - y.start : y.end - y.start, x.begin - x.start : x.stop - x.start]
            self._valid[:, x.begin : x.stop] |= part
        if result is not None:
            rows = slice(y.own - y.begin, y.end - y.begin)
            strip.labels[rows, x.own : x.end] = result.labels
            if strip.confidence is not None and result.confidence is not None:
                strip.confidence[rows, x.own : x.end] = result.confidence
        self._add_zones(tile, result)

    def finish_row(self) -> Strip:
        """Return the finished strip of the row whose tiles were all added."""
        strip = self._strip
        if strip is None:
            raise RuntimeError("no tile was added to the row")
        if self._above is not None:
            self._decide(self._above, slice(0, self._above.weights.shape[0]), 0)
        strip.labels[~self._valid] = NO_DATA
        if strip.confidence is not None:
            strip.confidence[~self._valid] = NO_DATA
        self._above, self._below, self._strip = self._below, None, None
        return strip

    def _begin_row(self, tile: Tile) -> None:
        shape = tile.y.end - tile.y.begin, self.plan.columns.length
        blend = self.plan.want == "probabilities"
        confidence = np.full(shape, NO_DATA, np.uint8) if blend else None
        self._strip = Strip(tile.y.begin, np.full(shape, NO_DATA, np.uint8), confidence)
        self._valid = np.zeros(shape, np.bool_)
        self._side = None

    def _add_zones(self, tile: Tile, result: TileResult | None) -> None:
        y, x = tile.y, tile.x
        side, self._side = self._side, None
        if result is not None and result.classes:
            across, down, width = x.weights(), y.weights(), self.plan.columns.length
            if x.own > x.begin:
                side = side or _Sum.empty(*result.left.shape)
                side.add(result.left, across[: x.own - x.begin])
            if x.stop > x.end:
                self._side = _Sum.empty(*result.right.shape)
                self._side.add(result.right, across[x.end - x.begin :])
            if y.own > y.begin:
                zone = y.own - y.begin
                self._above = self._above or _Sum.empty(result.classes, zone, width)
                self._above.add(result.top, down[:zone, None] * across, x.begin)
            if y.stop > y.end:
                zone = y.stop - y.end
                self._below = self._below or _Sum.empty(result.classes, zone, width)
                self._below.add(result.bottom, down[-zone:, None] * across, x.begin)
        if side is not None:
            self._decide(side, slice(y.own - y.begin, y.end - y.begin), x.begin)

    def _decide(self, zone: _Sum, rows: slice, left: int) -> None:
        """Write a zone, all of whose tiles were added, into the strip."""
        labels, confidence = zone.decided()
        columns = slice(left, left + labels.shape[1])
        if self._strip is None or self._strip.confidence is None:
            raise RuntimeError("zones have probabilities")
        self._strip.labels[rows, columns] = labels
        self._strip.confidence[rows, columns] = confidence
