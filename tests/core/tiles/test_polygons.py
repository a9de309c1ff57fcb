"""Label maps become polygons without gaps, with areas true to the ellipsoid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pyproj
import pytest
import shapely
from rasterio import Affine

from core.errors import CoreError
from core.tiles.areas import AreaCounter
from core.tiles.blend import Strip
from core.tiles.polygons import PolygonResult, check_polygons, write_polygons
from core.tiles.scene import open_scene
from tests.support.scenes import PLACE, blobs, write_scene

HEIGHT, WIDTH = 180, 220
LABELS = (blobs(HEIGHT, WIDTH, 3)[0] // 40).astype(np.uint8)
LABELS[::7, ::5] = 2  # many patches of one pixel
LABELS[:30, :25] = 255
LABELS[100:104, 100:104] = 255
CONFIDENCE = np.where(LABELS == 2, 50, 90).astype(np.uint8)
NAMES = {number: f"n{number}" for number in range(6)}


def traced(path: Path, scene: Path, *, min_size: int = 1, labels: np.ndarray = LABELS) -> PolygonResult:
    return write_polygons(
        open_scene(scene), labels, CONFIDENCE, NAMES, path, nodata=255, min_size=min_size, overwrite=False
    )  # fmt: skip


def read(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, Any]]:
    meta, _, geometry, columns = pyogrio.raw.read(path)
    return shapely.from_wkb(geometry), dict(zip(meta["fields"], columns, strict=True)), meta


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("scene") / "scene.tif", LABELS[None], nodata=255)


@pytest.mark.parametrize("min_size", [1, 12])
def test_neighbors_have_no_gaps(scene: Path, tmp_path: Path, min_size: int) -> None:
    """Simplified polygons are a valid coverage, and cover exactly the pixels that have a class."""
    result = traced(tmp_path / "a.gpkg", scene, min_size=min_size)
    shapes, columns, meta = read(result.path)
    assert shapely.coverage_is_valid(shapes)
    assert shapely.is_valid(shapes).all()
    assert shapely.area(shapes).sum() == pytest.approx(4 * (LABELS != 255).sum(), rel=1e-12)
    assert len(shapes) == result.polygons
    assert columns["pixels"].sum() == (LABELS != 255).sum()
    assert (columns["pixels"].min() >= min_size, result.sieved > 0) == (True, min_size > 1)
    assert pyproj.CRS(meta["crs"]) == pyproj.CRS(32632)
    left, bottom, right, top = shapely.total_bounds(shapes)
    assert (left, top, right, bottom) == (
        PLACE.c, PLACE.f, PLACE.c + 2 * WIDTH, PLACE.f - 2 * HEIGHT,
    )  # fmt: skip


def test_areas_and_confidence_are_those_of_the_pixels(scene: Path, tmp_path: Path) -> None:
    """The areas of a class add up to its area on the ellipsoid; each polygon has its own mean confidence."""
    _, columns, _ = read(traced(tmp_path / "a.gpkg", scene).path)
    counter = AreaCounter(open_scene(scene))
    counter.add(Strip(0, LABELS, None))
    for number in range(6):
        of_class = columns["class_id"] == number
        assert columns["pixels"][of_class].sum() == (number == LABELS).sum()
        assert columns["area_m2"][of_class].sum() == pytest.approx(counter.m2[number], rel=1e-6)
        assert set(columns["class"][of_class]) <= {f"n{number}"}
        assert columns["confidence"][of_class] == pytest.approx(0.5 if number == 2 else 0.9)
    assert columns["area_ha"] == pytest.approx(columns["area_m2"] / 10_000)


def test_areas_agree_with_the_polygons_on_the_ellipsoid(scene: Path, tmp_path: Path) -> None:
    """An independent computation on the polygons agrees to 0.1 % in all, and for each that is not simplified."""
    labels = np.repeat(np.repeat(np.arange(6, dtype=np.uint8).reshape(2, 3), 90, axis=0), 74, axis=1)[
        :, :WIDTH
    ]
    shapes, columns, _ = read(traced(tmp_path / "a.gpkg", scene, labels=labels).path)
    to_degrees = pyproj.Transformer.from_crs(32632, 4326, always_xy=True)
    geod = pyproj.Geod(ellps="WGS84")
    areas = [
        geod.geometry_area_perimeter(
            shapely.transform(shape, lambda xy: np.column_stack(to_degrees.transform(*xy.T)))
        )[0]
        for shape in shapely.orient_polygons(shapes)
    ]
    assert len(areas) == 6
    assert np.abs(areas) == pytest.approx(columns["area_m2"], rel=1e-5)


def test_geojson_is_in_longitude_and_latitude(scene: Path, tmp_path: Path) -> None:
    """GeoJSON has the same polygons in degrees, as its standard says."""
    shapes, columns, _ = read(traced(tmp_path / "a.geojson", scene, min_size=12).path)
    assert shapely.total_bounds(shapes) == pytest.approx([9.0, 47.853, 9.0, 47.853], abs=0.01)
    assert columns["pixels"].sum() == (LABELS != 255).sum()


def test_a_rotated_scene_has_rotated_polygons(tmp_path: Path) -> None:
    """A rotated transform without a reference system gives polygons at the same places, without areas in m2."""
    turned = Affine(1.6, 1.2, 500_000, 1.2, -1.6, 5_300_000)
    path = write_scene(tmp_path / "t.tif", LABELS[None], nodata=255, transform=turned, crs=None)
    shapes, columns, _ = read(traced(tmp_path / "a.gpkg", path, min_size=12).path)
    assert shapely.area(shapes).sum() == pytest.approx(4 * (LABELS != 255).sum(), rel=1e-9)
    assert np.isnan(columns["area_m2"]).all()


def test_what_cannot_become_polygons_is_an_error(scene: Path, tmp_path: Path) -> None:
    """A plain image, too many pixels and a folder that does not exist are errors; a file is never replaced."""
    plain = write_scene(tmp_path / "a.png", LABELS[None], driver="PNG")
    with pytest.raises(CoreError, match="no coordinates"):
        traced(tmp_path / "a.gpkg", plain)
    with pytest.raises(CoreError, match=r"60,000 x 1,000 pixels, too many for polygons"):
        check_polygons(replace(open_scene(scene), width=60_000, height=1_000))
    with pytest.raises(CoreError, match=r"too many borders for polygons\..*more than 1,000 corners"):
        write_polygons(
            open_scene(scene), LABELS, None, NAMES, tmp_path / "a.gpkg", nodata=255, min_size=1, overwrite=False,
            max_corners=1_000,
        )  # fmt: skip
    with pytest.raises(CoreError, match="cannot be written"):
        traced(tmp_path / "missing" / "a.gpkg", scene, min_size=12)
    traced(tmp_path / "a.gpkg", scene, min_size=12)
    with pytest.raises(CoreError, match="already exists"):
        traced(tmp_path / "a.gpkg", scene, min_size=12)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gpkg", "a.png"]


def test_a_map_without_classes_has_no_polygons(scene: Path, tmp_path: Path) -> None:
    """Where no pixel has a class, the file has no polygon."""
    assert traced(tmp_path / "a.gpkg", scene, labels=np.full_like(LABELS, 255)).polygons == 0
