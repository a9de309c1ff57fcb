"""The area of each class in the polygons of a file."""

from __future__ import annotations

import csv
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyproj import Geod, Transformer

from core.errors import InputError
from core.imaging.classes import Classes
from core.tiles.change import LabelMap, open_labels
from core.tiles.zones import ZoneAreas, count_zones, read_zones, write_zones
from tests.support.scenes import PLACE, UTM, write_scene

HEIGHT, WIDTH = 300, 400
LABELS = (np.arange(WIDTH) // 50 % 3 * np.ones((HEIGHT, 1))).astype(np.uint8)
LABELS[:20] = 255
CLASSES = Classes(("land", "sea", "=ice"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)))
TO_DEGREES = Transformer.from_crs(UTM, "OGC:CRS84", always_xy=True)


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> LabelMap:
    return open_labels(write_scene(tmp_path_factory.mktemp("map") / "a_mask.tif", LABELS[None], nodata=255))


def ring(left: float, top: float, right: float, bottom: float) -> list[tuple[float, float]]:
    """Return the outline of a box of pixels, in longitude and latitude, with a point at each pixel of its sides."""
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    points: list[tuple[float, float]] = []
    for (x, y), (u, v) in pairwise(corners):
        steps = max(2, round(abs(u - x) + abs(v - y)) + 1)
        points += zip(np.linspace(x, u, steps), np.linspace(y, v, steps), strict=True)
    return [TO_DEGREES.transform(*(PLACE @ point)) for point in points]


def feature(*boxes: tuple[float, float, float, float], **properties: Any) -> dict[str, Any]:
    """Return a feature of one box, or of several that do not touch."""
    rings = [[ring(*box)] for box in boxes]
    return {
        "type": "Feature",
        "properties": properties,
        "geometry": {"type": "MultiPolygon", "coordinates": rings},
    }


def zones(folder: Path, *features: dict[str, Any], **more: Any) -> Path:
    path = folder / "zones.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features), **more}))
    return path


def counted(labels: LabelMap, path: Path) -> list[ZoneAreas]:
    return count_zones(labels, read_zones(path, labels.scene))


@pytest.mark.parametrize(
    "box", [(0, 20, 400, 300), (13, 37, 120, 111), (255, 255, 260, 258), (0, 0, 400, 300)]
)
def test_a_zone_has_the_classes_of_its_pixels(
    box: tuple[int, int, int, int], labels: LabelMap, tmp_path: Path
) -> None:
    """Each class has the pixels inside the zone, and their sizes add up to its outline's on the ellipsoid."""
    left, top, right, bottom = box
    (areas,) = counted(labels, zones(tmp_path, feature(box, name="A")))
    inside = LABELS[top:bottom, left:right]
    assert areas.pixels.tolist() == np.bincount(inside.ravel(), minlength=256).tolist()
    expected = abs(Geod(ellps="WGS84").polygon_area_perimeter(*zip(*ring(*box), strict=True))[0])
    assert areas.m2.sum() == pytest.approx(expected, rel=1e-4)
    assert not areas.outside


def test_zones_may_overlap_and_have_several_parts(labels: LabelMap, tmp_path: Path) -> None:
    """Each zone is counted separately, all its parts together."""
    boxes = (10, 30, 60, 90), (200, 100, 300, 200)
    areas = counted(labels, zones(tmp_path, feature(*boxes, name="both"), feature(boxes[0], name="first")))
    parts = [LABELS[top:bottom, left:right].ravel() for left, top, right, bottom in boxes]
    assert areas[0].pixels.tolist() == np.bincount(np.concatenate(parts), minlength=256).tolist()
    assert areas[1].pixels.tolist() == np.bincount(parts[0], minlength=256).tolist()


def test_a_zone_beyond_the_map_is_reported(labels: LabelMap, tmp_path: Path) -> None:
    """A zone that is partly outside is measured as far as the map goes; one that is elsewhere has no pixel."""
    partly, elsewhere = feature((-50, 100, 50, 200)), feature((900, 900, 950, 950))
    first, second = counted(labels, zones(tmp_path, partly, elsewhere))
    assert (first.outside, int(first.pixels.sum())) == (True, 50 * 100)
    assert (second.outside, int(second.pixels.sum())) == (True, 0)
    assert second.rows(CLASSES) == []


@pytest.mark.parametrize(
    ("properties", "name"),
    [
        ({"name": "Field 7"}, "Field 7"),
        ({"ID": 12}, "12"),
        ({"name": "", "fid": 3}, "3"),
        ({"name": [1]}, "1"),
    ],
)
def test_a_zone_is_named_by_its_properties(
    properties: dict[str, Any], name: str, labels: LabelMap, tmp_path: Path
) -> None:
    """Its name is the first property that names it, else its number in the file."""
    (zone,) = read_zones(zones(tmp_path, feature((0, 20, 9, 29), **properties)), labels.scene)
    assert (zone.number, zone.name) == (1, name)


def test_a_long_edge_is_straight_in_the_coordinates_of_its_file(labels: LabelMap, tmp_path: Path) -> None:
    """An edge of a degree with two points covers the same pixels as one with many: a parallel is no line in UTM."""
    longitude, latitude = TO_DEGREES.transform(*(PLACE @ (200, 150)))
    west, east, south = longitude - 0.5, longitude + 0.5, latitude - 1
    corners = [(west, latitude), (east, latitude), (east, south), (west, south), (west, latitude)]
    many = [(x, latitude) for x in np.linspace(west, east, 2001)] + corners[2:]
    shapes = [{"type": "Polygon", "coordinates": [outline]} for outline in (corners, many)]
    features = [{"type": "Feature", "properties": {}, "geometry": shape} for shape in shapes]
    few, exact = counted(labels, zones(tmp_path, *features))
    assert few.pixels.tolist() == exact.pixels.tolist()
    assert int(few.pixels.sum()) == pytest.approx(WIDTH * HEIGHT / 2, rel=0.02)


@pytest.mark.parametrize("geometry", [None, {"type": "Polygon", "coordinates": []}])
def test_a_feature_without_a_geometry_is_an_empty_zone(
    geometry: object, labels: LabelMap, tmp_path: Path
) -> None:
    """RFC 7946 allows them: such a zone has no pixels, and the others are measured."""
    empty = {"type": "Feature", "properties": {"name": "none"}, "geometry": geometry}
    first, second = counted(labels, zones(tmp_path, empty, feature((0, 20, 10, 30), name="A")))
    assert (first.zone.name, int(first.pixels.sum()), first.outside) == ("none", 0, False)
    assert int(second.pixels.sum()) == 100


def test_zones_in_the_system_of_the_map_need_no_conversion(labels: LabelMap, tmp_path: Path) -> None:
    """A file from before RFC 7946 may name its reference system."""
    corners = [PLACE @ point for point in ((10, 30), (60, 30), (60, 90), (10, 90), (10, 30))]
    polygon = {"type": "Polygon", "coordinates": [corners]}
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}
    path = zones(tmp_path, {"type": "Feature", "properties": None, "geometry": polygon}, crs=crs)
    (areas,) = counted(labels, path)
    assert int(areas.pixels.sum()) == 50 * 60


def test_the_table_has_a_row_for_each_zone_and_class(labels: LabelMap, tmp_path: Path) -> None:
    """Shares are of the pixels with a class; those without one are the last row; a formula is text."""
    areas = counted(labels, zones(tmp_path, feature((50, 0, 150, 40), name="=1+1")))
    write_zones(tmp_path / "out.csv", areas, CLASSES, overwrite=False)
    rows = list(csv.DictReader((tmp_path / "out.csv").open(encoding="utf-8-sig")))
    assert [(row["class"], row["pixels"], row["share"]) for row in rows] == [
        ("sea", "1000", "0.5"),
        ("'=ice", "1000", "0.5"),
        ("no data", "2000", ""),
    ]
    assert {row["name"] for row in rows} == {"'=1+1"}
    assert float(rows[0]["hectares"]) == pytest.approx(0.4, rel=2e-3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"type": "FeatureCollection", "features": []}, "has no polygons"),
        (
            {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}},
            "geometry of type 'Point'",
        ),
        ({"type": "Polygon", "coordinates": [[[9.0, "x"]]]}, "cannot be converted"),
        ([1], "is not GeoJSON"),
    ],
)
def test_a_file_without_polygons_is_an_error(
    content: Any, message: str, labels: LabelMap, tmp_path: Path
) -> None:
    """What cannot be placed on the map is an error that names the file."""
    path = tmp_path / "zones.geojson"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        read_zones(path, labels.scene)


def test_a_map_without_coordinates_has_no_zones(tmp_path: Path) -> None:
    """Zones need a map with a reference system."""
    plain = open_labels(write_scene(tmp_path / "b_mask.tif", LABELS[None], nodata=255, crs=None))
    with pytest.raises(InputError, match="no coordinate reference system"):
        read_zones(zones(tmp_path, feature((0, 20, 9, 29))), plain.scene)
