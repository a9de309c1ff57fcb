"""A scene in a few pixels with the map that grows over it: what a page shows while tiles are segmented."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.imaging.classes import IGNORE
from core.render.palette import Table
from core.tiles.blend import Strip
from core.tiles.plan import Tile, TilePlan
from core.tiles.run import TileOutcome
from core.tiles.scene import SceneReader

SIDE = 1000
"""Pixels of a preview's longer side, at most."""

GRAY = 128
"""The value of a preview that would take too long to read."""

OPACITY, DIMMED, LINE_OPACITY = 0.6, 0.4, 0.6
"""Of the mask over the image; the brightness of tiles that are not done; the opacity of their borders."""

LEFT, DONE, FAILED, SKIPPED = range(4)
FAILED_COLOR = (220, 38, 38)


@dataclass(eq=False)
class GrowingMap:
    """A scene's preview and the map as far as it is finished. Written by one thread, drawn by others.

    image:      (h, w, 3) uint8.
    table:      colors of the class ids, (256, 3) uint8.
    labels:     (h, w) uint8, 255 = not finished, or no data.
    confidence: (h, w) uint8, percent; 255 = the same, or unknown.
    tiles:      (rows, columns) uint8: LEFT, DONE, FAILED or SKIPPED.
    """

    image: NDArray[np.uint8]
    plan: TilePlan
    table: Table
    labels: NDArray[np.uint8] = field(init=False)
    confidence: NDArray[np.uint8] = field(init=False)
    tiles: NDArray[np.uint8] = field(init=False)
    _sent: Iterator[Tile] = field(init=False)

    def __post_init__(self) -> None:
        self.labels = np.full(self.image.shape[:2], IGNORE, np.uint8)
        self.confidence = self.labels.copy()
        plan = self.plan
        self.tiles = np.full((len(plan.rows.starts), len(plan.columns.starts)), LEFT, np.uint8)
        for tile in plan.tiles():
            if not plan.is_sent(tile):
                self.tiles[tile.row, tile.column] = SKIPPED
        self._sent = filter(plan.is_sent, plan.tiles())

    def add_tile(self, outcome: TileOutcome) -> None:
        """Note the next tile, which are in the order of the plan. outcome: with that tile."""
        tile = next(self._sent)
        failed = bool(outcome.failed) and outcome.failed[-1][0] == tile
        self.tiles[tile.row, tile.column] = FAILED if failed else DONE

    def add_strip(self, strip: Strip) -> None:
        """Add a finished strip."""
        rows, columns = self._places()
        inside = np.flatnonzero((rows >= strip.top) & (rows < strip.top + len(strip.labels)))
        if not len(inside):
            return
        places = np.ix_(rows[inside] - strip.top, columns)
        self.labels[inside] = strip.labels[places]
        if strip.confidence is not None:
            self.confidence[inside] = strip.confidence[places]

    def drawn(self) -> NDArray[np.uint8]:
        """Return the preview with the map, (h, w, 3) uint8: tiles that are not done are dark, failed ones are red."""
        labels = self.labels
        canvas = self.image.astype(np.float32)
        known = labels != IGNORE
        canvas[known] += OPACITY * (self.table[labels[known]] - canvas[known])
        states = self.tiles[np.ix_(*self._owners())]
        canvas[(states == LEFT) | (states == SKIPPED)] *= DIMMED
        failed = states == FAILED
        canvas[failed] += OPACITY * (np.array(FAILED_COLOR, np.float32) - canvas[failed])
        return canvas.round().clip(0, 255).astype(np.uint8)

    def planned(self) -> NDArray[np.uint8]:
        """Return the preview with the borders of the tiles, (h, w, 3) uint8; tiles that are not sent are dark."""
        canvas = self.image.astype(np.float32)
        down, across = self._owners()
        canvas[self.tiles[np.ix_(down, across)] == SKIPPED] *= DIMMED
        for lines in (np.s_[np.flatnonzero(np.diff(down)), :], np.s_[:, np.flatnonzero(np.diff(across))]):
            canvas[lines] += LINE_OPACITY * (255 - canvas[lines])
        return canvas.round().clip(0, 255).astype(np.uint8)

    def _owners(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the row of tiles that each row of the preview is in, and the same for columns."""
        down, across = (
            np.searchsorted([axis.span(number).begin for number in range(len(axis.starts))], places, "right")
            - 1
            for axis, places in zip((self.plan.rows, self.plan.columns), self._places(), strict=True)
        )
        return down, across

    def _places(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the row and the column of the scene that each one of the preview shows."""
        height, width = self.labels.shape
        rows = (np.arange(height) + 0.5) * self.plan.rows.length / height
        columns = (np.arange(width) + 0.5) * self.plan.columns.length / width
        return rows.astype(np.intp), columns.astype(np.intp)


def preview_image(reader: SceneReader, most: int = SIDE) -> NDArray[np.uint8]:
    """Return a scene in at most so many pixels per side, (h, w, 3) uint8. Raises ImageError."""
    pixels = reader.preview(most)
    if pixels is not None:
        return pixels.colors
    scene = reader.scene
    factor = max(scene.width, scene.height) / most
    shape = max(1, round(scene.height / factor)), max(1, round(scene.width / factor)), 3
    return np.full(shape, GRAY, np.uint8)
