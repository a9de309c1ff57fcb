"""The area of each class in each polygon of a file, such as parcels or districts.

Pixels are counted in blocks, whose size on the ground is that on the ellipsoid. A pixel belongs to a zone if its
center is inside. Zones may overlap: each is counted separately.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.escaping import csv_bytes
from core.imaging.classes import IGNORE, Classes
from core.inference.export import write_new
from core.tiles.area import PIXELS, Area, crs_name, geojson, polygons_in, projected
from core.tiles.areas import HECTARE, PixelSizes
from core.tiles.change import LabelMap
from core.tiles.scene import Scene, gdal, opened

COLUMNS = ("zone", "name", "id", "class", "pixels", "share", "m2", "hectares")
NAMES = ("name", "Name", "NAME", "title", "id", "ID", "fid")
"""Properties of a feature that name it; the first that it has is used."""

NO_CLASS = "no data"
EDGE = 0.01
"""Pixels that a zone may reach beyond the map before that is reported: coordinates are rounded."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A polygon. number: from 1, in the order of the file. geometry: GeoJSON, in the coordinates of the map."""

    number: int
    name: str
    geometry: Mapping[str, Any]


@dataclass(eq=False)
class ZoneAreas:
    """The classes in a zone.

    pixels:  (256,) int64, of each class id; 255 = no data.
    m2:      (256,) float64, the same on the ground; NaN where unknown.
    outside: whether a part of the zone is not on the map.
    """

    zone: Zone
    outside: bool = False
    pixels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(IGNORE + 1, np.int64))
    m2: NDArray[np.float64] = field(default_factory=lambda: np.zeros(IGNORE + 1))

    @property
    def total(self) -> int:
        """Return the pixels that have a class."""
        return int(self.pixels[:IGNORE].sum())

    def rows(self, classes: Classes) -> list[dict[str, Any]]:
        """Return a row for each class, the largest first, and last one for pixels without a class, if there are any.

        share: of the pixels that have a class; None for those without one.
        """
        ids = sorted(
            np.flatnonzero(self.pixels).tolist(), key=lambda each: (each == IGNORE, -self.pixels[each])
        )
        known = bool(np.isfinite(self.m2).all())
        return [
            {
                "zone": self.zone.number,
                "name": self.zone.name,
                "id": number,
                "class": NO_CLASS if number == IGNORE else classes.name(number),
                "pixels": int(self.pixels[number]),
                "share": None if number == IGNORE else int(self.pixels[number]) / self.total,
                "m2": float(self.m2[number]) if known else None,
                "hectares": float(self.m2[number]) / HECTARE if known else None,
            }
            for number in ids
        ]


def read_zones(path: Path, scene: Scene) -> tuple[Zone, ...]:
    """Read the polygons of a GeoJSON file. Raises InputError.

    A zone is a feature; its name is the first of its properties in NAMES, else its id, else its number.
    """
    if not scene.crs or scene.transform is None:
        raise InputError(
            f"{path.name} cannot be placed on {scene.name}, which has no coordinate reference system.",
            todo="Use the GeoTIFF that `segdeck segment --tiles` wrote for a georeferenced image.",
        )
    document = geojson(str(path))
    features = document.get("features") if document.get("type") == "FeatureCollection" else [document]
    crs, zones = crs_name(document), []
    for number, feature in enumerate(features if isinstance(features, list) else [], 1):
        polygons = () if _is_empty(feature) else tuple(polygons_in(feature, path.name))
        polygons = projected(polygons, crs, scene, path.name)
        geometry = (
            polygons[0] if len(polygons) == 1 else {"type": "GeometryCollection", "geometries": polygons}
        )
        zones.append(Zone(number, _name(feature, number), geometry))
    if not any(True for zone in zones for _ in _points(zone.geometry)):
        raise InputError(
            f"{path.name} has no polygons.", todo="Give a GeoJSON file with at least one polygon."
        )
    return tuple(zones)


def count_zones(
    labels: LabelMap, zones: Sequence[Zone], advance: Callable[[], None] = lambda: None
) -> list[ZoneAreas]:
    """Return the areas of the zones, in their order. Raises ImageError.

    advance: called after each zone. Memory is bounded by one block of the map.
    """
    sizes = PixelSizes(labels.scene)
    result = []
    with gdal(labels.scene.name), opened(labels.scene.path, labels.scene.driver) as dataset:
        for zone in zones:
            areas = ZoneAreas(zone)
            rows, columns, areas.outside = _extent(zone, labels.scene)
            area = Area(zone.name, (zone.geometry,), labels.scene.transform or PIXELS)
            for top, bottom in _steps(*rows, sizes.height):
                for left, right in _steps(*columns, sizes.width):
                    inside = area.mask(top, left, bottom - top, right - left)
                    if not inside.any():
                        continue
                    values = dataset.read(1, window=((top, bottom), (left, right)))[inside]
                    values[values == labels.nodata] = IGNORE
                    counts = np.bincount(values, minlength=IGNORE + 1)
                    areas.pixels += counts
                    areas.m2 += counts * sizes.pixel(top, left, bottom - top, right - left)
            result.append(areas)
            advance()
    return result


def write_zones(path: Path, areas: Sequence[ZoneAreas], classes: Classes, *, overwrite: bool) -> None:
    """Write the table: one row per zone and class. Raises InputError."""
    rows = [row for each in areas for row in each.rows(classes)]
    write_new(path, csv_bytes(rows, COLUMNS), overwrite=overwrite)


def _is_empty(feature: Any) -> bool:
    """Return whether a feature has no geometry, or an empty one, as RFC 7946 allows."""
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        return False
    geometry = feature.get("geometry")
    return geometry is None or (isinstance(geometry, dict) and geometry.get("coordinates") == [])


def _name(feature: Any, number: int) -> str:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    values = [properties.get(key) for key in NAMES] if isinstance(properties, dict) else []
    values.append(feature.get("id") if isinstance(feature, dict) else None)
    return next((str(value) for value in values if isinstance(value, str | int) and str(value)), str(number))


def _extent(zone: Zone, scene: Scene) -> tuple[tuple[int, int], tuple[int, int], bool]:
    """Return the rows and columns of the map that a zone touches, and whether it reaches beyond the map."""
    a, b, c, d, e, f = scene.transform or PIXELS
    points = np.array(list(_points(zone.geometry)), np.float64)
    if not points.size:
        return (0, 0), (0, 0), False
    if not np.isfinite(points).all():
        raise InputError(
            f"Zone {zone.number} ({zone.name}) cannot be placed on {scene.name}.",
            why="Some of its coordinates are beyond the projection of the map.",
            todo="Remove it, or give it in the reference system of the map.",
        )
    columns, rows = np.linalg.inv([[a, b], [d, e]]) @ (points - [c, f]).T
    box = rows.min(), scene.height - rows.max(), columns.min(), scene.width - columns.max()
    return (
        (max(0, int(rows.min())), min(scene.height, int(np.ceil(rows.max())))),
        (max(0, int(columns.min())), min(scene.width, int(np.ceil(columns.max())))),
        bool(min(box) < -EDGE),
    )


def _points(geometry: Mapping[str, Any]) -> Iterator[tuple[float, float]]:
    for part in geometry.get("geometries", ()):
        yield from _points(part)
    polygons = geometry.get("coordinates", ())
    for polygon in [polygons] if geometry["type"] == "Polygon" else polygons:
        for ring in polygon:
            for point in ring:
                yield float(point[0]), float(point[1])


def _steps(first: int, end: int, side: int) -> Iterator[tuple[int, int]]:
    """Yield ranges that end on multiples of a block's side."""
    while first < end:
        last = min(end, first - first % side + side)
        yield first, last
        first = last
