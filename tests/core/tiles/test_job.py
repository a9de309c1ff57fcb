"""A map from a scene to its files, as the page and the command make it."""

from __future__ import annotations

import itertools
from pathlib import Path

from core.cost.tiles import TilePrice
from core.endpoints.endpoint import EndpointInfo
from core.imaging.classes import Classes
from core.inference.gate import CallGate
from core.tiles.job import MapJob, MapOptions, MapOutcome, Progress
from core.tiles.plan import make_plan
from core.tiles.run import TileOutcome
from core.tiles.scene import SceneReader, open_scene
from tests.support.scenes import blobs, write_scene
from tests.support.tile_endpoint import TileEndpoint

TILES = 9
INFO = EndpointInfo("e", "InService", classes=Classes(("a", "b", "c", "d"), ((0, 0, 0),) * 4))
PRICE = TilePrice(None, None, None, "", billed=False)


def made(path: Path, folder: Path, endpoint: TileEndpoint, stop_after: int = TILES + 1) -> MapOutcome:
    """Make the map with tiles of 256 pixels, one after the other, and stop it after so many tiles."""
    gate = CallGate(1)

    def on_tile(outcome: TileOutcome) -> None:
        if outcome.sent + outcome.kept == stop_after:
            gate.stop()

    scene = open_scene(path)
    with SceneReader(scene) as reader:
        plan = make_plan(reader, tile=(256, 256), overlap=64, classes=4)
        options = MapOptions("probabilities", "model", 1, resume=True)
        job = MapJob.of(options, folder, scene, plan, area=None, info=INFO, origin="here")
        ticks = itertools.count()
        progress = Progress(lambda: float(next(ticks)), on_tile=on_tile, gate=gate)
        return job.run(reader, None, PRICE, endpoint, progress)


def test_a_stopped_map_is_continued(tmp_path: Path) -> None:
    """Stopped, a run keeps its finished tiles and writes no map; run again, it sends the other tiles only."""
    path = write_scene(tmp_path / "scene.tif", blobs(500, 600))
    endpoint = TileEndpoint()
    stopped = made(path, tmp_path, endpoint, stop_after=3)
    assert (stopped.tiles.stopped, stopped.row, stopped.complete) == (True, None, False)
    assert not list(tmp_path.glob("scene_*"))
    paid = len(list(tmp_path.glob(".scene.tiles/*.tile")))
    assert 3 <= paid == endpoint.calls < TILES
    again = made(path, tmp_path, endpoint)
    assert (again.complete, again.tiles.kept, again.tiles.sent) == (True, paid, TILES - paid)
    assert endpoint.calls == TILES
    assert again.row is not None
    assert again.row["class_names"] == list("abcd")
    assert {each.name for each in tmp_path.glob("scene_*")} == {
        "scene_areas.csv",
        "scene_confidence.tif",
        "scene_mask.qml",
        "scene_mask.tif",
    }
