"""The plan of a scene in tiles: which tiles are sent, how large the requests are, and which are left out and why."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.errors import InputError
from core.imaging.image import QUALITY, EncodedImage
from core.inference.invoke import Want
from core.text import byte_size, plural
from core.tiles.area import Area
from core.tiles.grid import STRIDE, Axis, Span, axis
from core.tiles.scene import SceneReader

DEFAULT_TILE, DEFAULT_OVERLAP = 512, 64
"""Pixels. Smaller tiles show the network too little: measured, 256 disagree with the whole image more often."""

MAX_REQUESTS = 100_000
SAMPLES = 5
"""Tiles that are encoded to estimate the size of the requests."""

BYTES_PER_PROBABILITY = 4


class Tile(NamedTuple):
    """One tile: its row and column, and the pixels that it decides along both sides."""

    row: int
    column: int
    y: Span
    x: Span


@dataclass(frozen=True, slots=True)
class TilePlan:
    """A scene in tiles.

    rows, columns: the tiles along the height and the width.
    overlap:       as requested; neighbors may overlap more, because tiles are spread evenly.
    want:          what the endpoint returns: probabilities, which are blended, or labels alone.
    empty:         (row, column) of the tiles without data.
    outside:       those outside the area.
    request_bytes: of all requests, estimated from samples.
    classes:       of the model; 0: unknown.
    """

    rows: Axis
    columns: Axis
    overlap: int
    want: Want
    empty: frozenset[tuple[int, int]] = frozenset()
    outside: frozenset[tuple[int, int]] = frozenset()
    request_bytes: int = 0
    classes: int = 0

    @property
    def total(self) -> int:
        """Return the number of tiles, with those that are not sent."""
        return len(self.rows.starts) * len(self.columns.starts)

    @property
    def requests(self) -> int:
        """Return the number of tiles that are sent."""
        return self.total - len(self.empty) - len(self.outside)

    @property
    def response_bytes(self) -> int | None:
        """Return the bytes of all responses; None if unknown: of labels only, or without the number of classes."""
        if self.want == "mask" or not self.classes:
            return None
        return self.requests * self.rows.tile * self.columns.tile * self.classes * BYTES_PER_PROBABILITY

    def tiles(self) -> Iterator[Tile]:
        """Yield all tiles, row by row."""
        spans = [self.columns.span(column) for column in range(len(self.columns.starts))]
        for row in range(len(self.rows.starts)):
            y = self.rows.span(row)
            yield from (Tile(row, column, y, x) for column, x in enumerate(spans))

    def is_sent(self, tile: Tile) -> bool:
        """Return whether a tile is sent to the endpoint."""
        place = tile.row, tile.column
        return place not in self.empty and place not in self.outside

    def sentences(self) -> tuple[str, ...]:
        """Return the plan in words."""
        down, across = len(self.rows.starts), len(self.columns.starts)
        size = f"{self.columns.tile} x {self.rows.tile}"
        grid = f"{plural(down, 'row')}, {plural(across, 'column')}"
        image = f"{self.columns.length:,} x {self.rows.length:,} pixels"
        lines = [
            f"{image} in {plural(self.total, 'tile')} of {size} ({grid}), overlap {self.overlap} or more."
        ]
        skipped = ((self.empty, "without data"), (self.outside, "outside the area"))
        lines += [f"{plural(len(tiles), 'tile')} {why}: not sent." for tiles, why in skipped if tiles]
        answers = "" if self.response_bytes is None else f", responses of {byte_size(self.response_bytes)}"
        lines.append(
            f"{plural(self.requests, 'request')} of {byte_size(self.request_bytes)} in all{answers}."
        )
        return tuple(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "tile": [self.columns.tile, self.rows.tile],
            "overlap": self.overlap,
            "rows": len(self.rows.starts),
            "columns": len(self.columns.starts),
            "tops": list(self.rows.starts),
            "lefts": list(self.columns.starts),
            "tiles": self.total,
            "without_data": len(self.empty),
            "outside_area": len(self.outside),
            "requests": self.requests,
            "request_bytes": self.request_bytes,
            "response_bytes": self.response_bytes,
            "output": self.want,
        }


def make_plan(
    reader: SceneReader,
    *,
    tile: tuple[int, int] = (DEFAULT_TILE, DEFAULT_TILE),
    overlap: int = DEFAULT_OVERLAP,
    want: Want = "probabilities",
    area: Area | None = None,
    classes: int = 0,
) -> TilePlan:
    """Divide a scene into tiles, and find those that are not sent.

    tile:    width and height in pixels.
    classes: of the model; 0: unknown.

    Raises InputError for sizes that cannot be used, and where no tile is left; ImageError.
    """
    scene = reader.scene
    blend = want == "probabilities"
    plan = TilePlan(
        axis(scene.height, tile[1], overlap, blend=blend),
        axis(scene.width, tile[0], overlap, blend=blend),
        overlap,
        want,
        classes=classes,
    )
    if plan.total > MAX_REQUESTS:
        raise InputError(
            f"{scene.name} would take {plan.total:,} tiles.",
            why=f"At most {MAX_REQUESTS:,} are supported.",
            todo="Use larger tiles or a smaller overlap, or cut the image into parts.",
        )
    outside = frozenset(
        (each.row, each.column) for each in plan.tiles() if area is not None and not _meets(area, each)
    )
    empty = frozenset(
        (each.row, each.column)
        for each in plan.tiles()
        if (each.row, each.column) not in outside
        and not reader.has_data(
            each.y.begin, each.x.begin, each.y.stop - each.y.begin, each.x.stop - each.x.begin
        )
    )
    plan = replace(plan, empty=empty, outside=outside)
    if not plan.requests:
        raise InputError(
            f"No tile of {scene.name} is left to segment.",
            why=" ".join(plan.sentences()[1:-1]),
            todo="Check its nodata value, and the area.",
        )
    return replace(plan, request_bytes=_request_bytes(reader, plan))


def encode_tile(colors: NDArray[np.uint8], quality: int = QUALITY) -> EncodedImage:
    """Return a tile, (H, W, 3) uint8, as the JPEG that is sent."""
    height, width = colors.shape[:2]
    buffer = io.BytesIO()
    Image.fromarray(colors).save(buffer, "JPEG", quality=quality)
    return EncodedImage(buffer.getvalue(), "image/jpeg", height, width, height, width, quality)


def _meets(area: Area, tile: Tile) -> bool:
    """Return whether a pixel that the tile decides is inside the area."""
    y, x = tile.y, tile.x
    return bool(area.mask(y.begin, x.begin, y.stop - y.begin, x.stop - x.begin).any())


def _request_bytes(reader: SceneReader, plan: TilePlan) -> int:
    """Return the bytes of all requests, by those of a few tiles that are spread over the scene."""
    sent = [tile for tile in plan.tiles() if plan.is_sent(tile)]
    places = sorted({int(place) for place in np.linspace(0, len(sent) - 1, SAMPLES)})
    sizes = [
        len(
            encode_tile(
                reader.read(
                    sent[place].y.start, sent[place].x.start, plan.rows.tile, plan.columns.tile
                ).colors
            ).body
        )
        for place in places
    ]
    return round(sum(sizes) / len(sizes) * len(sent))


def default_tile(crop_size: int | None) -> int:
    """Return the tile's side for a model: the crop size that it was trained with, at least DEFAULT_TILE."""
    if crop_size is None:
        return DEFAULT_TILE
    return max(DEFAULT_TILE, -(-crop_size // STRIDE) * STRIDE)
