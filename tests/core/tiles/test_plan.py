"""The plan: which tiles are sent, and what the requests take."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.warp import transform

from core.batch.progress import Speed
from core.cost.tiles import tile_price
from core.cost.training import Money, shipped_prices
from core.endpoints.endpoint import Variant
from core.errors import InputError
from core.tiles.area import read_area
from core.tiles.plan import TilePlan, default_tile, encode_tile, make_plan
from core.tiles.scene import SceneReader, open_scene
from tests.support.scenes import UTM, blobs, write_scene

TRIANGLE = [[500_000, 5_300_000], [500_200, 5_300_000], [500_000, 5_299_800], [500_000, 5_300_000]]
UTM_NAME = {"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}}


@pytest.fixture(scope="module")
def scene_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a scene of 600 x 500 pixels whose right part has no data."""
    values = np.maximum(blobs(500, 600), 1)
    values[:, :, 380:] = 0
    return write_scene(tmp_path_factory.mktemp("scene") / "scene.tif", values, nodata=0)


def plan_of(path: Path, area: str = "", **options: Any) -> TilePlan:
    with SceneReader(open_scene(path)) as reader:
        zone = read_area(area, reader.scene) if area else None
        return make_plan(reader, tile=(256, 256), overlap=64, area=zone, **options)


def test_the_plan_counts_tiles_requests_and_bytes(scene_path: Path) -> None:
    """Tiles without any data are not sent; requests are those that remain, and their size is near the real one."""
    plan = plan_of(scene_path, classes=6)
    assert (plan.rows.starts, plan.columns.starts) == ((0, 128, 256), (0, 176, 352))
    assert plan.empty == frozenset()  # the zone of the right column begins before the edge of the data
    with SceneReader(open_scene(scene_path)) as reader:
        sizes = [
            len(encode_tile(reader.read(tile.y.start, tile.x.start, 256, 256).colors).body)
            for tile in plan.tiles()
        ]
    assert plan.request_bytes == pytest.approx(sum(sizes), rel=0.1)
    assert plan.response_bytes == 9 * 256 * 256 * 6 * 4
    assert plan_of(scene_path, want="mask").empty == {(0, 2), (1, 2), (2, 2)}
    assert plan_of(scene_path, want="mask").requests == 6


def test_the_plan_is_told_in_words_and_as_json(scene_path: Path) -> None:
    """The plan prints size, tiles, what is left out and why, and requests; JSON has the same numbers."""
    plan = plan_of(scene_path, want="mask")
    sentences = plan.sentences()
    assert sentences[0] == "600 x 500 pixels in 9 tiles of 256 x 256 (3 rows, 3 columns), overlap 64 or more."
    assert sentences[1] == "3 tiles without data: not sent."
    assert sentences[2].startswith("6 requests of ")
    document = json.loads(json.dumps(plan.to_dict()))
    assert (document["requests"], document["tiles"], document["without_data"]) == (6, 9, 3)
    assert document["lefts"] == [0, 176, 352]


@pytest.mark.parametrize("kind", ["box", "geojson", "old geojson"])
def test_tiles_outside_the_area_are_not_sent(scene_path: Path, tmp_path: Path, kind: str) -> None:
    """A box in the scene's coordinates and polygons in any reference system limit the plan to what they touch."""
    area = "500000,5299800,500200,5300000"
    if kind != "box":
        ring: list[Any] = TRIANGLE
        if kind == "geojson":
            ring = [*zip(*transform(UTM, "EPSG:4326", *zip(*TRIANGLE, strict=True)), strict=True)]
        geometry = {"type": "Polygon", "coordinates": [ring]}
        document = {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": geometry}]}
        area = str(tmp_path / "zone.geojson")
        Path(area).write_text(json.dumps(document | (UTM_NAME if kind == "old geojson" else {})))
    plan = plan_of(scene_path, area)
    assert plan.requests == 1
    assert len(plan.outside) == 8
    with SceneReader(open_scene(scene_path)) as reader:
        inside = read_area(area, reader.scene).mask(0, 0, 120, 120)
    assert inside.sum() == pytest.approx(100 * 100 * (1 if kind == "box" else 0.5), rel=0.05)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("missing.geojson", "cannot be read. No such file"),
        ("{", "is not valid JSON"),
        ("[]", "is not GeoJSON"),
        ('{"type": "Point", "coordinates": [9, 47]}', "has a geometry of type 'Point'"),
        ('{"type": "FeatureCollection", "features": []}', "has no polygons"),
        ('{"type": "Polygon", "coordinates": "x"}', "cannot be converted"),
        (
            (
                '{"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]], '
                '"crs": {"type": "name", "properties": {"name": "http://127.0.0.1:1/crs"}}}'
            ),
            "names the reference system 'http://127.0.0.1:1/crs'",
        ),
        (
            '{"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}',
            "No tile of scene.tif is left",
        ),
    ],
)
def test_areas_that_cannot_be_used_are_errors(
    scene_path: Path, tmp_path: Path, text: str, message: str
) -> None:
    """A missing or damaged file, a point, and an area elsewhere are errors."""
    path = tmp_path / "zone.geojson"
    if text != "missing.geojson":
        path.write_text(text)
    with pytest.raises(InputError) as caught:
        plan_of(scene_path, str(path))
    assert message in str(caught.value)


def test_an_area_needs_a_reference_system_or_pixels(tmp_path: Path) -> None:
    """A plain image takes a box in pixels; polygons in degrees have no place on it."""
    path = write_scene(tmp_path / "a.png", blobs(500, 600), driver="PNG")
    assert plan_of(path, "0,0,100,100").requests == 1
    zone = tmp_path / "zone.geojson"
    zone.write_text(json.dumps({"type": "Polygon", "coordinates": [TRIANGLE]}))
    with pytest.raises(InputError, match="has no coordinate reference system"):
        plan_of(path, str(zone))


def test_the_price_is_that_of_the_instances_for_the_time() -> None:
    """Requests at their speed, so many at once, give the seconds; the hourly price gives the amount."""
    variants = (Variant("AllTraffic", "ml.g4dn.xlarge", 1, "m"),)
    table = shipped_prices("us-east-1")
    price = tile_price(1000, 4, Speed(1.8, "1.80 s per image."), variants, table)
    hourly = table.per_hour("ml.g4dn.xlarge", "hosting")
    assert hourly is not None
    assert (price.seconds, price.per_hour) == (450, hourly)
    assert price.expected == Money(hourly.usd * Decimal(450) / 3600)
    assert price.billed
    assert "1.80 s per image." in price.source
    assert "billed per hour, also while no tile is sent" in price.source
    free = tile_price(1000, 4, None, variants, shipped_prices("us-east-1", sandbox=True))
    assert not free.billed
    assert "also while no tile is sent" not in free.source
    unknown = tile_price(1000, 4, None, variants, table)
    assert (unknown.seconds, unknown.expected) == (None, None)
    assert "How long a tile takes is unknown" in unknown.source


def test_the_default_tile_is_never_below_512() -> None:
    """The default is the crop size that the model was trained with, if it is larger than 512."""
    assert [default_tile(size) for size in (None, 240, 600)] == [512, 512, 608]


def test_too_many_tiles_are_an_error(tmp_path: Path) -> None:
    """A plan above the limit of requests is an error that proposes larger tiles."""
    profile: dict[str, Any] = {"SPARSE_OK": True, "BIGTIFF": "YES"}
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", width=50_000, height=50_000, count=1, dtype="uint8",
        tiled=True, crs="EPSG:32632", **profile,
    ):  # fmt: skip
        pass
    with (
        SceneReader(open_scene(tmp_path / "a.tif")) as reader,
        pytest.raises(InputError, match="larger tiles"),
    ):
        make_plan(reader, tile=(64, 64), overlap=0)
