"""The part of a scene that is segmented: a bounding box, or the polygons of a GeoJSON file."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ImageError, InputError
from core.escaping import json_text
from core.local_files import read_regular, reason
from core.strict_json import parse_json
from core.tiles.scene import Scene, Transform, gdal, shifted

MAX_FILE_BYTES = 50_000_000
LONGITUDE_LATITUDE = "OGC:CRS84"
"""The coordinate reference system of GeoJSON (RFC 7946); older files name another one."""

CRS_NAME = re.compile(r"(?:urn:ogc:def:crs:)?(?:EPSG|OGC):[\d.]*:?\w+")
"""What a file may name; anything else could make GDAL open a file or an address."""

NUMBER = r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*"
BOX = re.compile(rf"{NUMBER}(?:,{NUMBER}){{3}}")
STEP_DEGREES, STEP = 0.005, 500.0
"""Longest part of an edge that is converted as a straight line: half a kilometer of a parallel bends by 5 mm."""

MAX_STEPS = 100_000
PIXELS: Transform = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Area:
    """The polygons to segment.

    text:      as the user gave it.
    geometries: GeoJSON polygons, in the scene's coordinates.
    transform: from pixels to these coordinates.
    """

    text: str
    geometries: tuple[Mapping[str, Any], ...]
    transform: Transform

    @property
    def digest(self) -> str:
        """Return a hash of the polygons: the file may change."""
        return hashlib.sha256(json_text(self.geometries, indent=None).encode()).hexdigest()

    def mask(self, top: int, left: int, height: int, width: int) -> NDArray[np.bool_]:
        """Return which pixels of a part of the scene are inside, by their centers, (height, width) bool."""
        from rasterio import Affine  # noqa: PLC0415 - GDAL takes a third of a second to import
        from rasterio.features import geometry_mask  # noqa: PLC0415

        with gdal(self.text):
            inside: NDArray[np.bool_] = geometry_mask(
                self.geometries,
                (height, width),
                Affine(*shifted(self.transform, top, left)),
                invert=True,
            )
        return inside


def read_area(text: str, scene: Scene) -> Area:
    """Read a box `LEFT,BOTTOM,RIGHT,TOP` in the scene's coordinates, or the path of a GeoJSON file.

    The coordinates of a scene that is not georeferenced are pixels. Raises InputError.
    """
    transform = scene.transform or PIXELS
    if BOX.fullmatch(text):
        left, bottom, right, top = (float(number) for number in text.split(","))
        x, y = sorted((left, right)), sorted((bottom, top))
        ring = [(x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1]), (x[0], y[0])]
        return Area(text, ({"type": "Polygon", "coordinates": [ring]},), transform)
    document = geojson(text)
    polygons = tuple(polygons_in(document, text))
    if not polygons:
        raise InputError(f"{text} has no polygons.", todo="Give a GeoJSON file with at least one polygon.")
    if not scene.crs or scene.transform is None:
        raise InputError(
            f"{text} cannot be placed on {scene.name}, which has no coordinate reference system.",
            todo="Give the area as a box in pixels: LEFT,BOTTOM,RIGHT,TOP.",
        )
    return Area(text, projected(polygons, crs_name(document), scene, text), transform)


def projected(
    polygons: tuple[Mapping[str, Any], ...], crs: str, scene: Scene, name: str
) -> tuple[Mapping[str, Any], ...]:
    """Return the polygons in the scene's coordinates. crs, name: of their file. Raises InputError."""
    from rasterio.crs import CRS  # noqa: PLC0415 - GDAL takes a third of a second to import
    from rasterio.errors import RasterioError  # noqa: PLC0415
    from rasterio.warp import transform_geom  # noqa: PLC0415

    try:
        with gdal(name):
            source, target = CRS.from_user_input(crs), CRS.from_wkt(scene.crs)
            if (
                source != target
            ):  # edges are straight in the file's coordinates, and only points are converted
                step = STEP_DEGREES if source.is_geographic else STEP
                polygons = tuple(_densified(polygon, step) for polygon in polygons)
            return tuple(transform_geom(source, target, polygon) for polygon in polygons)
    except (ImageError, RasterioError, ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise InputError(
            f"{name} cannot be converted to the coordinates of {scene.name}.",
            why=error.why if isinstance(error, ImageError) else f"{error}",
            todo="Check its coordinates: GeoJSON has longitude and latitude, in degrees.",
        ) from error


def _densified(polygon: Mapping[str, Any], step: float) -> Mapping[str, Any]:
    """Return a Polygon or MultiPolygon with a point at least every `step` of each edge."""
    parts = [polygon["coordinates"]] if polygon["type"] == "Polygon" else polygon["coordinates"]
    dense = [[_dense_ring(ring, step) for ring in part] for part in parts]
    return {"type": polygon["type"], "coordinates": dense[0] if polygon["type"] == "Polygon" else dense}


def _dense_ring(ring: Sequence[Sequence[float]], step: float) -> list[tuple[float, float]]:
    """Return the ring with more points; those of an edge are the same in both directions, as neighbors share it."""
    corners = [(point[0], point[1]) for point in ring]
    points: list[tuple[float, float]] = []
    for first, second in pairwise(corners):
        start, end = sorted((first, second))
        x, y = end[0] - start[0], end[1] - start[1]
        count = min(MAX_STEPS, max(1, math.ceil(max(abs(x), abs(y)) / step)))
        edge = [(start[0] + x * i / count, start[1] + y * i / count) for i in range(count)] + [end]
        points += (edge if start == first else edge[::-1])[:-1]
    return points + corners[-1:]


def geojson(text: str) -> Mapping[str, Any]:
    """Return the content of a GeoJSON file. Raises InputError."""
    path = Path(text).expanduser()
    try:
        document = parse_json(read_regular(path, max_bytes=MAX_FILE_BYTES))
    except OSError as error:
        raise InputError(
            f"{text} cannot be read.",
            why=reason(error),
            todo="Give a GeoJSON file, or a box: LEFT,BOTTOM,RIGHT,TOP.",
        ) from error
    except ValueError as error:
        raise InputError(
            f"{text} is not valid JSON.", why=f"{error}", todo="Export the area as GeoJSON."
        ) from error
    if not isinstance(document, dict):
        raise InputError(f"{text} is not GeoJSON.", todo="Export the area as GeoJSON.")
    return document


def crs_name(document: Mapping[str, Any]) -> str:
    """Return the reference system that a file from before RFC 7946 names; else that of the standard."""
    crs = document.get("crs")
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    if name is None:
        return LONGITUDE_LATITUDE
    if not isinstance(name, str) or not CRS_NAME.fullmatch(name):
        raise InputError(
            f"The area names the reference system {name!r}.",
            why="GDAL would read it as a file or an address.",
            todo="Use the name of an EPSG code, such as urn:ogc:def:crs:EPSG::32632.",
        )
    return name


def polygons_in(item: Any, name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the polygons of a GeoJSON object. name: of the file. Raises InputError for other geometries."""
    kind = item.get("type") if isinstance(item, dict) else None
    if kind in ("Polygon", "MultiPolygon"):
        yield {"type": kind, "coordinates": item.get("coordinates")}
    elif kind == "Feature":
        yield from polygons_in(item.get("geometry"), name)
    elif kind in ("FeatureCollection", "GeometryCollection"):
        for part in item.get("features" if kind == "FeatureCollection" else "geometries") or ():
            yield from polygons_in(part, name)
    else:
        raise InputError(
            f"{name} has a geometry of type {kind!r}.",
            why="An area is made of polygons.",
            todo="Remove what is not a Polygon or MultiPolygon.",
        )
