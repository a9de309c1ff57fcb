"""Areas of classes are those on the ellipsoid, by an independent computation."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyproj
import pytest
from rasterio import Affine

from core.imaging.classes import Classes
from core.tiles.areas import AreaCounter
from core.tiles.blend import Strip
from core.tiles.scene import open_scene
from tests.support.scenes import write_scene

CLASSES = Classes(("land", "sea"), ((0, 0, 0), (0, 0, 255)))
SEMI_MAJOR, FLATTENING = 6_378_137.0, 1 / 298.257223563
"""Of WGS 84."""


def counted(path: Path, labels: np.ndarray, confidence: np.ndarray | None = None) -> AreaCounter:
    """Count labels that come in strips of different heights."""
    counter = AreaCounter(open_scene(path))
    for top, stop in ((0, 300), (300, 310), (310, len(labels))):
        part = None if confidence is None else confidence[top:stop]
        counter.add(Strip(top, labels[top:stop], part))
    return counter


def blank(tmp_path: Path, height: int, width: int, **options: object) -> Path:
    return write_scene(tmp_path / "scene.tif", np.zeros((1, height, width), np.uint8), **options)


def test_areas_agree_with_the_outline_of_each_class(tmp_path: Path) -> None:
    """In UTM, the area of a class is that of its outline on the ellipsoid, and not that of the plane."""
    labels = np.zeros((500, 700), np.uint8)
    labels[100:400, 200:650] = 1
    rows = counted(blank(tmp_path, 500, 700), labels).rows(CLASSES, CLASSES.table())
    to_degrees = pyproj.Transformer.from_crs(32632, 4326, always_xy=True)
    corners = [(200, 100), (650, 100), (650, 400), (200, 400)]
    x, y = zip(*((500_000 + 2 * column, 5_300_000 - 2 * row) for column, row in corners), strict=True)
    edge = np.linspace(0, 1, 200, endpoint=False)
    outline = [
        np.concatenate([value[i] + (value[(i + 1) % 4] - value[i]) * edge for i in range(4)])
        for value in (x, y)
    ]
    area, _ = pyproj.Geod(ellps="WGS84").polygon_area_perimeter(*to_degrees.transform(*outline))
    (sea,) = [row for row in rows if row["name"] == "sea"]
    assert sea["m2"] == pytest.approx(abs(area), rel=1e-6)
    assert sea["hectares"] == sea["m2"] / 10_000
    assert sea["pixels"] == 300 * 450
    assert abs(sea["m2"] / (4 * sea["pixels"]) - 1) > 5e-4
    assert sum(row["share"] for row in rows) == pytest.approx(1)


def zone_area(south: float, north: float, degrees: float) -> float:
    """Return the area between two latitudes on WGS 84, in closed form (Snyder 1987, equations 3-12 and 3-16)."""
    squared = FLATTENING * (2 - FLATTENING)
    e = math.sqrt(squared)

    def q(latitude: float) -> float:
        s = math.sin(math.radians(latitude))
        return (1 - squared) * (s / (1 - squared * s * s) - math.log((1 - e * s) / (1 + e * s)) / (2 * e))

    return SEMI_MAJOR**2 / 2 * (q(north) - q(south)) * math.radians(degrees)


def test_areas_in_degrees_agree_with_the_closed_form(tmp_path: Path) -> None:
    """In longitude and latitude, where pixels shrink towards the pole, areas are right to 0.01 %."""
    path = blank(tmp_path, 500, 700, crs="EPSG:4326", transform=Affine(0.02, 0, 5, 0, -0.02, 60))
    labels = np.zeros((500, 700), np.uint8)
    labels[:250] = 1
    rows = counted(path, labels).rows(CLASSES, CLASSES.table())
    areas = {row["name"]: row["m2"] for row in rows}
    assert areas["sea"] == pytest.approx(zone_area(55, 60, 14), rel=1e-4)
    assert areas["land"] == pytest.approx(zone_area(50, 55, 14), rel=1e-4)


def test_a_rotated_scene_has_the_same_areas(tmp_path: Path) -> None:
    """A rotated transform changes no area beyond the distortion of the projection."""
    turned = Affine(1.6, 1.2, 500_000, 1.2, -1.6, 5_300_000)
    labels = np.zeros((500, 700), np.uint8)
    (straight,) = counted(blank(tmp_path, 500, 700), labels).rows(CLASSES, CLASSES.table())
    (rotated,) = counted(blank(tmp_path, 500, 700, transform=turned), labels).rows(CLASSES, CLASSES.table())
    assert rotated["m2"] == pytest.approx(straight["m2"], rel=1e-5)


def test_areas_of_a_system_in_grads(tmp_path: Path) -> None:
    """A system whose geographic coordinates are in grads, such as the French Lambert zones, has the right areas."""
    transform = Affine(10, 0, 600_000, 0, -10, 2_200_000)
    path = blank(tmp_path, 320, 50, crs="EPSG:27572", transform=transform)
    counter = counted(path, np.zeros((320, 50), np.uint8))
    assert counter.m2[0] == pytest.approx(320 * 50 * 100, rel=1e-3)


@pytest.mark.parametrize("options", [{"crs": None}, {"crs": 'LOCAL_CS["site",UNIT["metre",1]]'}])
def test_without_a_place_on_the_earth_areas_are_pixels(tmp_path: Path, options: dict[str, object]) -> None:
    """A scene without a reference system, or with that of a building site, has no areas in m2; a note says so."""
    counter = counted(blank(tmp_path, 500, 700, **options), np.ones((500, 700), np.uint8))
    (row,) = counter.rows(CLASSES, CLASSES.table())
    assert (row["pixels"], row["m2"], row["hectares"]) == (350_000, None, None)
    assert ("Areas are in pixels" in counter.note) == (options["crs"] is not None)


def test_confidence_is_averaged_over_the_pixels_of_a_class(tmp_path: Path) -> None:
    """Means are those of the pixels with a class; pixels without data count nowhere."""
    labels = np.zeros((500, 700), np.uint8)
    labels[:, 350:], labels[:10] = 1, 255
    confidence = np.where(labels == 1, 80, 60).astype(np.uint8)
    confidence[labels == 255] = 255
    counter = counted(blank(tmp_path, 500, 700), labels, confidence)
    assert [row["mean_confidence"] for row in counter.rows(CLASSES, CLASSES.table())] == pytest.approx(
        [0.6, 0.8]
    )
    assert counter.mean_confidence == pytest.approx(0.7)
    assert counter.pixels[255] == 7000
