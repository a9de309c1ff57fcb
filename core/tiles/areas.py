"""The area of each class on the ground: pixels are counted in blocks, and a block's size is that on the ellipsoid.

The plane of a map projection is distorted: square meters of UTM differ from those on the ground by up to 0.1 %. So
the outline of each block is converted to longitude and latitude, and its area is that of the geodesic polygon (Karney
2013, in PROJ).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.imaging.classes import IGNORE, Classes
from core.imaging.pixels import row_blocks
from core.render.palette import Table
from core.tiles.blend import Strip
from core.tiles.scene import Scene, Transform

if TYPE_CHECKING:
    from pyproj import Geod, Transformer

BLOCK = 256
"""Pixels of a block's side; fewer where pixels on the ground differ by more than VARIATION within it."""

VARIATION = 2e-4
SAMPLES = 4
"""Blocks per side of a scene by which that change is estimated."""

POINTS = 8
"""Points per side of a block's outline: a straight line of a projection is not one on the ground."""

HECTARE = 10_000.0
COLUMNS = ("id", "name", "color", "pixels", "share", "mean_confidence", "m2", "hectares")


@dataclass(frozen=True, slots=True, eq=False)
class _Ground:
    """Converts the coordinates of a scene to longitude and latitude, and measures there.

    unit: of the angles that `to_angles` returns, in degrees: some reference systems have grads.
    """

    transform: Transform
    to_angles: Transformer
    unit: float
    geod: Geod

    def areas(
        self, top: int, lefts: NDArray[np.intp], height: int, widths: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Return the area of each block, in m2; NaN where it has no place on the ellipsoid."""
        steps = np.arange(POINTS) / POINTS
        ones = np.ones(POINTS)
        # Once around: top, right, bottom, left, from corner to corner.
        across = np.concatenate([steps, ones, 1 - steps, 0 * ones])
        down = np.concatenate([0 * ones, steps, ones, 1 - steps])
        columns = lefts[:, None] + across * widths[:, None]
        rows = np.broadcast_to(top + down * height, columns.shape)
        a, b, c, d, e, f = self.transform
        x, y = a * columns + b * rows + c, d * columns + e * rows + f
        longitudes, latitudes = (self.unit * angles for angles in self.to_angles.transform(x, y))
        return np.array(
            [
                abs(self.geod.polygon_area_perimeter(*outline)[0]) if np.isfinite(outline).all() else np.nan
                for outline in zip(longitudes, latitudes, strict=True)
            ]
        )


def _block_side(ground: _Ground, scene: Scene, *, rows: bool) -> int:
    """Return the pixels of a block's height or width, by how two halves of some blocks differ."""
    height, width = min(BLOCK, scene.height), min(BLOCK, scene.width)
    half = (height if rows else width) // 2
    if not half:
        return 1
    size = (half, width) if rows else (height, half)
    change = 0.0
    lefts = np.linspace(0, scene.width - width, SAMPLES).astype(np.intp)
    widths = np.full(SAMPLES, size[1], np.intp)
    for top in np.linspace(0, scene.height - height, SAMPLES).astype(int):
        first = ground.areas(top, lefts, size[0], widths)
        second = (
            ground.areas(top + half, lefts, size[0], widths)
            if rows
            else ground.areas(top, lefts + half, size[0], widths)
        )
        differs = np.abs(second - first) / np.maximum(first, second)
        change = max(change, float(np.nan_to_num(differs).max()) / half)
    return max(1, min(BLOCK, int(VARIATION / change))) if change else BLOCK


def _ground(scene: Scene) -> _Ground | None:
    """Return how a scene is measured; None without a place on the ellipsoid."""
    if not scene.crs or scene.transform is None:
        return None
    from pyproj import CRS, Transformer  # noqa: PLC0415 - only georeferenced scenes need it
    from pyproj.exceptions import ProjError  # noqa: PLC0415

    try:
        crs = CRS.from_wkt(scene.crs)
        geod, angles = crs.get_geod(), crs.geodetic_crs
        if geod is None or angles is None:
            return None
        unit = float(np.degrees(angles.axis_info[0].unit_conversion_factor))
        return _Ground(scene.transform, Transformer.from_crs(crs, angles, always_xy=True), unit, geod)
    except ProjError:
        return None


@dataclass(eq=False)
class PixelSizes:
    """The size of a scene's pixels on the ground: the same within a block, which differs little inside.

    known:         whether the scene has a place on the ellipsoid.
    height, width: of a block, in pixels.
    """

    scene: Scene
    known: bool = field(init=False)
    height: int = field(default=BLOCK, init=False)
    width: int = field(default=BLOCK, init=False)
    _ground: _Ground | None = field(init=False)

    def __post_init__(self) -> None:
        self._ground = _ground(self.scene)
        self.known = self._ground is not None
        if self._ground is not None:
            self.height = _block_side(self._ground, self.scene, rows=True)
            self.width = _block_side(self._ground, self.scene, rows=False)

    def pixel(self, top: int, left: int, height: int, width: int) -> float:
        """Return the m2 of a pixel in a block; NaN without a place on the ellipsoid."""
        if self._ground is None:
            return float("nan")
        (area,) = self._ground.areas(top, np.array([left]), height, np.array([width]))
        return float(area) / (height * width)

    def weigh(
        self, top: int, counts: NDArray[np.int64], height: int, total_width: int
    ) -> NDArray[np.float64]:
        """Return the m2 of each value in a row of blocks, (values,) float64; NaN without a place on the ellipsoid.

        counts: (blocks, values), pixels of each value in each block; a block with none is not measured, because it
                may be beyond the projection.
        """
        if self._ground is None:
            return np.full(counts.shape[1], np.nan)
        lefts = np.arange(0, total_width, self.width)
        widths = np.minimum(self.width, total_width - lefts)
        used = counts.any(axis=1)
        size = self._ground.areas(top, lefts[used], height, widths[used]) / (height * widths[used])
        m2: NDArray[np.float64] = size @ counts[used]
        return m2


@dataclass(eq=False)
class AreaCounter:
    """Counts the classes of a scene, strip by strip.

    pixels:     (256,) int64, of each id; 255 = no data, or ignore.
    m2:         (256,) float64, the same on the ground; NaN where a block has no place on the ellipsoid.
    confidence: (256,) float64, the sum of the percents.
    """

    scene: Scene
    pixels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))
    m2: NDArray[np.float64] = field(default_factory=lambda: np.zeros(256))
    confidence: NDArray[np.float64] = field(default_factory=lambda: np.zeros(256))
    has_confidence: bool = False
    _sizes: PixelSizes = field(init=False)

    def __post_init__(self) -> None:
        self._sizes = PixelSizes(self.scene)

    @property
    def on_the_ground(self) -> bool:
        """Return whether areas are known in m2."""
        return self._sizes.known and bool(np.isfinite(self.m2).all())

    @property
    def note(self) -> str:
        """Return why a scene with a reference system has no areas in m2; empty otherwise."""
        if not self.scene.crs or self.scene.transform is None or self.on_the_ground:
            return ""
        return "Areas are in pixels: the reference system of the image has no place on the earth."

    def add(self, strip: Strip) -> None:
        """Count a strip."""
        self.has_confidence = strip.confidence is not None
        for rows in row_blocks(*strip.labels.shape):
            if strip.confidence is not None:  # in blocks, because counting takes 16 bytes per pixel
                labels, percents = strip.labels[rows].ravel(), strip.confidence[rows].ravel()
                self.confidence += np.bincount(labels, percents, 256)
        height = self._sizes.height
        for first in range(0, len(strip.labels), height):
            self._add_rows(strip.top + first, strip.labels[first : first + height])

    def _add_rows(self, top: int, labels: NDArray[np.uint8]) -> None:
        height, width = labels.shape
        side = self._sizes.width
        counts = np.stack(
            [
                np.bincount(labels[:, left : left + side].ravel(), minlength=256)
                for left in range(0, width, side)
            ]
        )
        self.pixels += counts.sum(axis=0)
        if self._sizes.known:
            counts[counts[:, :IGNORE].sum(axis=1) == 0] = 0
            self.m2 += self._sizes.weigh(top, counts, height, width)

    def rows(self, classes: Classes, table: Table) -> list[dict[str, Any]]:
        """Return a row for each class that occurs, largest first, with its share of all pixels that have a class."""
        total = int(self.pixels[:IGNORE].sum())
        ids = sorted(
            np.flatnonzero(self.pixels[:IGNORE]).tolist(), key=lambda each: (-self.pixels[each], each)
        )
        return [
            {
                "id": number,
                "name": classes.name(number),
                "color": "#{:02x}{:02x}{:02x}".format(*table[number].tolist()),
                "pixels": int(self.pixels[number]),
                "share": int(self.pixels[number]) / total,
                "mean_confidence": float(self.confidence[number] / self.pixels[number] / 100)
                if self.has_confidence
                else None,
                "m2": float(self.m2[number]) if self.on_the_ground else None,
                "hectares": float(self.m2[number]) / HECTARE if self.on_the_ground else None,
            }
            for number in ids
        ]

    @property
    def mean_confidence(self) -> float | None:
        """Return the mean over all pixels that have a class, 0 to 1; None where the responses have none."""
        total = int(self.pixels[:IGNORE].sum())
        return float(self.confidence[:IGNORE].sum()) / total / 100 if self.has_confidence and total else None
