"""The Segment page with tiles: plan, confirmation, growing map, result; what is interrupted is continued."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from streamlit.testing.v1 import AppTest

from sandbox.server import Sandbox
from tests.support.dashboard import fresh_caches
from tests.support.endpoints import remove_endpoint
from tests.support.scenes import blobs, write_scene

HEIGHT, WIDTH, TILES = 500, 700, 12


@pytest.fixture(scope="module")
def bright(sandbox_server: Sandbox, make_endpoint: Any) -> Iterator[str]:
    """Return the name of an endpoint that labels bright pixels 1, and others 0."""
    name: str = make_endpoint(sandbox_server, behavior={"bright": True})
    yield name
    remove_endpoint(sandbox_server, name)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("scene") / "scene.tif", blobs(HEIGHT, WIDTH))


def button(app: AppTest, key: str) -> Any:
    return next((each for each in app.button if each.key == key), None)


def opened(app: AppTest, path: Path) -> AppTest:
    """Give the path of an image, and plan tiles of 256 pixels."""
    app.text_input(key="scene").set_value(str(path)).run()
    next(each for each in app.button if each.label == "Open").click().run()
    return app.text_input(key="tile-size").set_value("256").run()


def started(app: AppTest, path: Path, run_until: Any) -> AppTest:
    """Give the path of an image, and confirm its plan of tiles of 256 pixels."""
    run_until(opened(app, path), lambda app: button(app, "tiles-start"))
    return button(app, "tiles-start").click().run()


def run_of(app: AppTest) -> str:
    """Return the run that the URL names."""
    value = app.query_params["run"]
    return value if isinstance(value, str) else value[0]


def values(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def is_done(app: AppTest) -> bool:
    return bool(app.dataframe)


def test_from_a_plan_to_a_map(open_page, bright, scene, faults, *, run_until, read_texts, state_dir):
    """Tiles are sent after the plan was confirmed, each once; the map is a run that opens without any request."""
    faults.add("delay", seconds=0, operation="InvokeEndpoint")
    app = open_page(endpoint=bright, size="Tiles")
    run_until(opened(app, scene), lambda app: button(app, "tiles-start"))
    metrics = values(app)
    assert (metrics["Requests"], metrics["Tiles"], metrics["Tile"]) == ("12", "3 × 4", "256 × 256")
    assert "Files: mask (GeoTIFF), confidence (GeoTIFF), areas (CSV), JSON" in read_texts(app)
    assert button(app, "tiles-start").label.startswith("Segment: 12 requests")
    assert not faults.hits
    button(app, "tiles-start").click().run()
    run_until(app, is_done)
    assert len(faults.hits) == TILES
    table = app.dataframe[0].value
    assert table["area"].sum() == pytest.approx(4 * HEIGHT * WIDTH / 10_000, rel=1e-3)
    assert "map" in [component.key for component in app.get("bidi_component")]
    (mask,) = state_dir.rglob("scene_mask.tif")
    with rasterio.open(scene) as image, rasterio.open(mask) as written:
        assert (written.shape, written.crs, written.transform) == (image.shape, image.crs, image.transform)
    run_id = run_of(app)
    again = open_page("runs", run=run_id)
    assert is_done(again), read_texts(again)
    labels = [each.proto.label for each in again.get("download_button")]
    assert sorted(labels) == ["Areas", "Confidence", "JSON", "Mask"]
    assert len(faults.hits) == TILES


def test_a_map_is_found_after_a_reload(open_page, bright, scene, faults, *, run_until):
    """A page that is loaded again shows the map in progress, and can stop it; continued, no tile is sent twice."""
    faults.add("delay", seconds=0, operation="InvokeEndpoint", times=3)
    faults.add("delay", seconds=1, operation="InvokeEndpoint")
    app = started(open_page(endpoint=bright, size="Tiles"), scene, run_until)
    run_until(app, lambda app: button(app, "stop-map"))
    run_id = run_of(app)
    reloaded = app_of(app, run=run_id, endpoint=bright)
    run_until(reloaded, lambda app: button(app, "stop-map"))
    button(reloaded, "stop-map").click().run()
    run_until(reloaded, lambda app: button(app, "continue-map"))
    sent = len(faults.hits)
    assert sent < TILES
    assert button(reloaded, "continue-map").label == f"Continue: {TILES - sent} requests"
    fresh_caches()  # as after a restart of the dashboard
    restarted = app_of(app, run=run_id, endpoint=bright)
    run_until(restarted, lambda app: button(app, "continue-map"))
    faults.clear()
    faults.add("delay", seconds=0, operation="InvokeEndpoint")
    button(restarted, "continue-map").click().run()
    run_until(restarted, is_done)
    assert len(faults.hits) == TILES - sent


def test_a_failed_tile_is_listed_and_sent_again(open_page, bright, scene, faults, *, run_until, read_texts):
    """A tile that failed is listed with the reason, and can be sent again alone."""
    faults.add("delay", seconds=0, operation="InvokeEndpoint", times=5)
    faults.add("error", operation="InvokeEndpoint", code="InternalFailure", status=500, times=1)
    app = started(open_page(endpoint=bright, size="Tiles"), scene, run_until)
    run_until(app, is_done)
    assert "**1 tile failed**" in read_texts(app)
    assert button(app, "continue-map").label == "Send again: 1 request"
    faults.clear()
    faults.add("delay", seconds=0, operation="InvokeEndpoint")
    button(app, "continue-map").click().run()
    run_until(app, lambda app: is_done(app) and button(app, "continue-map") is None)
    assert len(faults.hits) == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [("truncated", "truncated"), ("terabyte", "by its header"), ("missing", "cannot be read")],
)
def test_a_file_that_cannot_be_used(
    open_page, bright, scene, tmp_path, faults, *, run_until, read_texts, name, reason
):
    """A file that is truncated, missing, or has an impossible size is refused with the reason; nothing is sent."""
    faults.add("delay", seconds=0, operation="InvokeEndpoint")
    path = tmp_path / f"{name}.tif"
    if name == "truncated":
        path.write_bytes(scene.read_bytes()[: scene.stat().st_size // 2])
    elif name == "terabyte":
        with rasterio.open(
            path, "w", driver="GTiff", width=600_000, height=600_000, count=3, dtype="uint8", tiled=True,
            BIGTIFF="YES", SPARSE_OK=True, blockxsize=16_384, blockysize=16_384,
        ):  # fmt: skip
            pass
    app = opened(open_page(endpoint=bright, size="Tiles"), path)
    run_until(app, lambda app: app.error)
    assert reason in app.error[0].value
    assert button(app, "tiles-start") is None
    assert not faults.hits


def test_an_upload_is_planned(open_page, bright, scene, *, run_until, read_texts):
    """A file that is dropped is planned, and its memory freed: the field is empty again."""
    app = open_page(endpoint=bright, size="Tiles")
    app.file_uploader[0].set_value([("my scene.tif", scene.read_bytes(), "image/tiff")]).run()
    run_until(app, lambda app: button(app, "tiles-start"))
    assert "my\\_scene\\.tif" in read_texts(app)


def test_a_small_geotiff_is_offered_tiles(open_page, bright, scene, *, run_until, read_texts):
    """Below the mask of an image with coordinates, one click opens the plan of the same image in tiles."""
    app = open_page(endpoint=bright)
    app.file_uploader[0].set_value([("field.tif", scene.read_bytes(), "image/tiff")]).run()
    run_until(app, lambda app: button(app, "in-tiles"))
    assert "This image has coordinates." in read_texts(app)
    button(app, "in-tiles").click().run()
    run_until(app, lambda app: button(app, "tiles-start"))
    assert "field\\.tif" in read_texts(app)
    app.segmented_control(key="size").set_value("fit").run()
    run_until(app, lambda app: is_done(app) and button(app, "tiles-start") is None)


def test_an_error_has_the_words_of_the_page(open_page, bright, tmp_path, *, run_until):
    """An option that does not fit the image is refused in the page's own words, not with options of the command."""
    path = write_scene(tmp_path / "plain.png", blobs(200, 300), driver="PNG")
    app = opened(open_page(endpoint=bright, size="Tiles"), path)
    app.selectbox(key="tile-polygons").set_value("gpkg").run()
    run_until(app, lambda app: app.error)
    assert "Choose no polygons, or give a georeferenced image" in app.error[0].value.replace("\\", "")
    app.selectbox(key="tile-polygons").set_value("").run()
    run_until(app, lambda app: button(app, "tiles-start"))
    assert not app.error


def test_bands_of_thirteen_are_chosen(open_page, bright, tmp_path, *, run_until, read_texts):
    """Of 13 bands, the plan shows which are sent; others can be chosen, and wrong ones are refused."""
    path = write_scene(tmp_path / "bands.tif", np.concatenate([blobs(200, 300)[:1]] * 13))
    app = opened(open_page(endpoint=bright, size="Tiles"), path)
    run_until(app, lambda app: "Bands 1,2,3 of 13 are sent" in read_texts(app))
    app.text_input(key="tile-bands").set_value("4, 3, 2").run()
    run_until(app, lambda app: "Bands 4,3,2 of 13 are sent" in read_texts(app))
    app.text_input(key="tile-bands").set_value("4,3,14").run()
    run_until(app, lambda app: app.error)
    assert "has the bands 1 to 13" in app.error[0].value


def test_polygons_that_cannot_be_written(open_page, bright, scene, faults, *, run_until, state_dir):
    """Where the polygons of a map fail, it is continued without them, and no tile is sent twice."""
    faults.add("delay", seconds=0, operation="InvokeEndpoint", times=3)
    faults.add("delay", seconds=1, operation="InvokeEndpoint")
    app = opened(open_page(endpoint=bright, size="Tiles"), scene)
    app.selectbox(key="tile-polygons").set_value("gpkg").run()
    run_until(app, lambda app: button(app, "tiles-start"))
    button(app, "tiles-start").click().run()
    run_until(app, lambda app: list(state_dir.rglob("*.tile")))
    button(app, "stop-map").click().run()
    run_until(app, lambda app: button(app, "continue-map"))
    (folder,) = state_dir.rglob("maps/*")
    (folder / "scene_polygons.gpkg").mkdir()
    button(app, "continue-map").click().run()
    run_until(app, lambda app: button(app, "continue-map-only"))
    assert app.error
    button(app, "continue-map-only").click().run()
    run_until(app, is_done)
    assert len(faults.hits) == TILES


def app_of(app: AppTest, **query: str) -> AppTest:
    """Return the Segment page in a new session."""
    from tests.pages.conftest import SHELL
    from tests.support.apps import app_from_file

    fresh = app_from_file(SHELL, default_timeout=60)
    for key, value in query.items():
        fresh.query_params[key] = value
    return fresh.switch_page("../segment.py").run()
