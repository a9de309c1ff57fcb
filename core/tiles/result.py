"""What is kept of an endpoint's response to a tile: labels of the part that the tile decides alone, probabilities of
the zones that it shares with its neighbors.

That is a tenth of the response, so that many tiles can wait in memory, and all of them on disk. Probabilities are
kept as integers: their weighted sums are exact, so they are the same in any order.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.escaping import json_text
from core.imaging.segmentation import Segmentation
from core.local_files import READER_ERRORS
from core.strict_json import parse_json
from core.tiles.plan import Tile, TilePlan

SCALE = 65_000
"""The integer of probability 1. The rounded weighted sums of four tiles stay below 65,536."""

DAMAGE: tuple[type[Exception], ...] = (*READER_ERRORS, OSError, TypeError)
EDGES = ("top", "bottom", "left", "right")
Part = tuple[slice, slice]


@dataclass(frozen=True, slots=True, eq=False)
class TileResult:
    """The response to one tile, as far as it is used.

    labels:     (h, w) uint8, class ids of the part that the tile decides alone; 255 = ignore.
    confidence: (h, w) uint8, percent; None for a response of labels only.
    top, bottom: (C, zone, width) uint16, probabilities of the zones with the tiles above and below, 0 to SCALE.
    left, right: (C, h, zone) uint16, of the zones to the left and right of the own part.
    problems:   sentences about the response.
    """

    labels: NDArray[np.uint8]
    confidence: NDArray[np.uint8] | None
    top: NDArray[np.uint16]
    bottom: NDArray[np.uint16]
    left: NDArray[np.uint16]
    right: NDArray[np.uint16]
    problems: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """Return the number of classes; 0 for a response of labels only."""
        return len(self.top)

    @property
    def edges(self) -> dict[str, NDArray[np.uint16]]:
        """Return the zones by their names."""
        return {"top": self.top, "bottom": self.bottom, "left": self.left, "right": self.right}

    def to_bytes(self) -> bytes:
        """Return it as a file, with a checksum."""
        arrays: dict[str, NDArray[Any]] = {"labels": self.labels, **self.edges}
        if self.confidence is not None:
            arrays["confidence"] = self.confidence
        arrays["problems"] = np.frombuffer(json_text(list(self.problems)).encode(), np.uint8)
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, tile: Tile) -> TileResult:
        """Read what `to_bytes` returned, for the same tile. Raises ValueError for a damaged file."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                arrays = {name: file[name] for name in ("labels", *EDGES)}
                confidence = file["confidence"] if "confidence" in file.files else None
                problems = parse_json(file["problems"].tobytes())
        except DAMAGE as error:
            raise ValueError(f"{error}") from error
        result = cls(confidence=confidence, problems=tuple(problems), **arrays)
        count = result.classes
        shapes: dict[str, tuple[int, ...]] = {"labels": _shape(_own_part(tile))}
        shapes |= {name: (count, *_shape(part)) for name, part in _edge_parts(tile).items()}
        wrong = [name for name, shape in shapes.items() if arrays[name].shape != shape]
        if wrong or (confidence is not None and confidence.shape != result.labels.shape):
            raise ValueError(f"{', '.join(wrong) or 'confidence'} has another shape")
        return result


def stored_bytes(plan: TilePlan, classes: int) -> int:
    """Return about how many bytes the results of a plan take."""
    height, width = plan.rows.tile, plan.columns.tile
    edges = 2 * (plan.rows.blend * width + plan.columns.blend * height)
    return plan.requests * (2 * height * width + 2 * classes * edges)


def reduce(segmentation: Segmentation, tile: Tile, *, blend: bool) -> TileResult:
    """Return what is kept of a response that has the size of the tile.

    blend: whether probabilities are kept. Raises InputError if the response has none.
    """
    own = _own_part(tile)
    planes = segmentation.probabilities
    if blend and planes is None:
        raise InputError(
            "The endpoint returned labels without probabilities.",
            why="Tiles are blended by their probabilities.",
            todo="Use --format mask.",
        )
    edges = {
        name: _integers(planes[(slice(None), *part)])
        if blend and planes is not None
        else np.zeros((0, *_shape(part)), np.uint16)
        for name, part in _edge_parts(tile).items()
    }
    confidence = None
    if blend and segmentation.confidence is not None:
        percent = np.nan_to_num(segmentation.confidence[own]) * np.float32(100)
        confidence = np.rint(percent).clip(0, 100).astype(np.uint8)
    return TileResult(segmentation.labels[own].copy(), confidence, **edges, problems=segmentation.problems)


def _integers(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return probabilities as integers; what is not a number becomes 0, and is among the problems."""
    integers: NDArray[np.uint16] = (
        np.rint(np.nan_to_num(values) * np.float32(SCALE)).clip(0, SCALE).astype(np.uint16)
    )
    return integers


def _own_part(tile: Tile) -> Part:
    """Return the rows and columns of the tile that it decides alone."""
    y, x = tile.y, tile.x
    return slice(y.own - y.start, y.end - y.start), slice(x.own - x.start, x.end - x.start)


def _edge_parts(tile: Tile) -> dict[str, Part]:
    """Return the rows and columns of its zones: those at the top and bottom have its whole width."""
    y, x = tile.y, tile.x
    rows, across = _own_part(tile)[0], slice(x.begin - x.start, x.stop - x.start)
    return {
        "top": (slice(y.begin - y.start, y.own - y.start), across),
        "bottom": (slice(y.end - y.start, y.stop - y.start), across),
        "left": (rows, slice(x.begin - x.start, x.own - x.start)),
        "right": (rows, slice(x.end - x.start, x.stop - x.start)),
    }


def _shape(part: Part) -> tuple[int, int]:
    rows, columns = part
    return rows.stop - rows.start, columns.stop - columns.start
