"""`segment --tiles` against a server that counts invocations."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pytest
import rasterio
from click.testing import Result
from typer.testing import CliRunner

import cli
from core.strict_json import parse_json
from sandbox.http.faults import Faults
from sandbox.server import Sandbox
from tests.support.endpoints import remove_endpoint
from tests.support.scenes import blobs, write_scene

ROOT = Path(__file__).resolve().parents[2]
HEIGHT, WIDTH, TILES = 500, 600, 9
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def endpoint(sandbox_server: Sandbox, make_endpoint: Any) -> Iterator[str]:
    """Return the name of an endpoint that labels bright pixels 1, and others 0."""
    name: str = make_endpoint(sandbox_server, behavior={"bright": True})
    yield name
    remove_endpoint(sandbox_server, name)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("scene") / "scene.tif", blobs(HEIGHT, WIDTH))


@pytest.fixture(scope="module")
def environ(aws_environ: dict[str, str]) -> dict[str, str]:
    return {"SEGDECK_MODE": "aws", **aws_environ}


@pytest.fixture(scope="module")
def run(environ: dict[str, str], endpoint: str, scene: Path) -> Run:
    """Return a function: run("--out", ...) segments the scene, or another `image`, in tiles of 256 pixels."""

    def invoke(*arguments: object, image: Path = scene) -> Result:
        words = ["segment", str(image), "--tiles", "--tile", "256", "--endpoint", endpoint]
        return CliRunner().invoke(cli.app, [*words, *map(str, arguments)], env=environ)

    return invoke


@dataclass
class Whole:
    """A run without interruption. calls: of the endpoint."""

    folder: Path
    result: Result
    calls: int


@pytest.fixture(scope="module")
def whole(run: Run, sandbox_server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("whole")
    faults = sandbox_server.faults
    faults.clear()
    faults.add("delay", seconds=0, operation="InvokeEndpoint")
    result = run("--out", folder, "--json")
    calls = len(faults.hits)
    faults.clear()
    return Whole(folder, result, calls)


@pytest.fixture
def invocations(faults: Faults) -> Callable[[], int]:
    """Return a function that counts the invocations since the test began."""
    faults.add("delay", seconds=0, operation="InvokeEndpoint")
    return lambda: len(faults.hits)


def maps(folder: Path) -> dict[str, bytes]:
    """Return the contents of the results that do not depend on the time."""
    return {path.name: path.read_bytes() for path in folder.glob("*.*") if path.suffix in (".tif", ".csv")}


def test_a_scene_becomes_a_map(whole: Whole, scene: Path) -> None:
    """A GeoTIFF becomes a mask and a confidence in its grid, areas as CSV and JSON; each tile is sent once."""
    done, folder = whole.result, whole.folder
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert sorted(path.name for path in folder.iterdir()) == [
        "scene.json",
        "scene_areas.csv",
        "scene_confidence.tif",
        "scene_mask.qml",
        "scene_mask.tif",
    ]
    assert parse_json((folder / "scene.json").read_bytes()) == document
    assert (document["sent"], document["failed"], whole.calls) == (TILES, [], TILES)
    assert document["plan"]["requests"] == TILES
    with rasterio.open(scene) as image, rasterio.open(folder / "scene_mask.tif") as mask:
        assert (mask.shape, mask.crs, mask.transform) == (image.shape, image.crs, image.transform)
        labels = mask.read(1)
    gray = blobs(HEIGHT, WIDTH)[0]
    clear = np.abs(gray.astype(int) - 128) > 12
    assert np.array_equal(labels[clear], (gray > 128)[clear])
    hectares = sum(row["hectares"] for row in document["classes"])
    assert hectares == pytest.approx(4 * HEIGHT * WIDTH / 10_000, rel=1e-3)
    assert "600 x 500 pixels in 9 tiles of 256 x 256" in done.stderr
    assert "price of the endpoint: $" in done.stderr.lower()


def test_polygons_of_a_finished_map_cost_nothing(
    run: Run, whole: Whole, tmp_path: Path, invocations: Callable[[], int]
) -> None:
    """--resume with --polygons adds them to a map that is complete, without invoking the endpoint."""
    shutil.copytree(whole.folder, tmp_path, dirs_exist_ok=True)
    done = run("--out", tmp_path, "--resume", "--polygons", "gpkg", "--min-size", "40")
    assert done.exit_code == 0, done.stderr
    assert invocations() == 0
    assert "fewer than 40 became part of their largest neighbor; the mask keeps them." in done.stderr
    meta, _, _, columns = pyogrio.raw.read(tmp_path / "scene_polygons.gpkg")
    values = dict(zip(meta["fields"], columns, strict=True))
    assert values["area_ha"].sum() == pytest.approx(4 * HEIGHT * WIDTH / 10_000, rel=1e-3)
    assert values["pixels"].min() >= 40
    assert 0 < values["confidence"].min() <= values["confidence"].max() <= 1
    assert "was kept" in run("--out", tmp_path, "--resume", "--polygons", "gpkg").stderr


def test_polygons_are_written_with_the_map(run: Run, tmp_path: Path) -> None:
    """--polygons writes them before the summary, which names them; they are never replaced unasked."""
    image = write_scene(tmp_path / "small.tif", blobs(200, 200))
    done = run("--out", tmp_path / "out", "--polygons", "geojson", "--json", image=image)
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    path = tmp_path / "out" / "small_polygons.geojson"
    assert (document["polygons"]["file"], document["polygons"]["min_size_pixels"]) == (str(path), 16)
    assert len(parse_json(path.read_bytes())["features"]) == document["polygons"]["polygons"] > 0
    for other in ("small_mask.tif", "small_confidence.tif", "small_areas.csv", "small.json"):
        (tmp_path / "out" / other).unlink()
    again = run("--out", tmp_path / "out", "--polygons", "geojson", image=image)
    assert (again.exit_code, f"{path} already exists" in again.stderr) == (1, True)


def test_a_dry_run_sends_nothing(run: Run, tmp_path: Path, invocations: Callable[[], int]) -> None:
    """--dry-run prints the plan, the requests and the price, and neither sends a tile nor writes a file."""
    done = run("--out", tmp_path / "out", "--dry-run", "--area", "500000,5299800,500200,5300000")
    assert done.exit_code == 0, done.stderr
    assert "8 tiles outside the area: not sent." in done.stdout
    assert "1 request of " in done.stdout
    assert " per hour." in done.stdout
    document = json.loads(run("--out", tmp_path / "out", "--dry-run", "--json").stdout)
    assert document["plan"]["requests"] == TILES
    assert document["price"]["usd_per_hour"] is not None
    assert invocations() == 0
    assert not (tmp_path / "out").exists()


@pytest.fixture
def killed(endpoint: str, faults: Faults, environ: dict[str, str], scene: Path, tmp_path: Path) -> Path:
    """Return the folder of a run that was killed by SIGKILL after three tiles."""
    out = tmp_path / "out"
    arguments = ["segment", scene, "--tiles", "--tile", 256, "--endpoint", endpoint, "--out", out]
    faults.add("delay", operation="InvokeEndpoint", seconds=0, times=3)
    faults.add("delay", operation="InvokeEndpoint", seconds=60)
    command = [sys.executable, "cli.py", *map(str, arguments), "--concurrency", "1"]
    with (tmp_path / "killed.txt").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | environ, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        # The server holds the fourth call: it could arrive after the kill, and count as one of the next run.
        while len(list(out.glob(".scene.tiles/*.tile"))) < 3 or len(faults.hits) < 4:
            assert process.poll() is None, (tmp_path / "killed.txt").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait(30)
    faults.clear()
    return out


def test_a_killed_run_is_resumed(run: Run, whole: Whole, killed: Path, faults: Faults) -> None:
    """After SIGKILL, --resume sends no finished tile again; the results are byte-identical to those of one run."""
    out = killed
    finished = len(list(out.glob(".scene.tiles/*.tile")))
    assert not maps(out)
    refused = run("--out", out)
    assert refused.exit_code == 1
    assert "has the finished tiles of an interrupted run" in refused.stderr
    other = run("--out", out, "--resume", "--overlap", 32)
    assert other.exit_code == 1
    assert "overlap 64 and now 32" in other.stderr
    faults.add("delay", seconds=0, operation="InvokeEndpoint")
    done = run("--out", out, "--resume")
    assert done.exit_code == 0, done.stderr
    assert len(faults.hits) == TILES - finished
    assert f"{finished} tiles of an earlier run were used" in done.stderr
    assert maps(out) == maps(whole.folder)
    assert not (out / ".scene.tiles").exists()


def test_a_failed_tile_is_sent_again_on_request(run: Run, tmp_path: Path, faults: Faults) -> None:
    """A tile that fails is listed with its pixels, exit code 1; --resume sends it alone and replaces the maps."""
    faults.add("error", operation="InvokeEndpoint", code="ModelError", status=424, times=1)
    done = run("--out", tmp_path, "--json", "--concurrency", 1)
    assert done.exit_code == 1
    document = json.loads(done.stdout)
    (failed,) = document["failed"]
    left, top, right, bottom = failed["pixels"]
    with rasterio.open(tmp_path / "scene_mask.tif") as mask:
        hole = mask.read(1) == 255
    assert hole[top:bottom, left:right].all()
    assert hole.sum() == (right - left) * (bottom - top) == document["pixels_without_class"]
    assert "run the same command with --resume" in done.stderr
    faults.clear()
    faults.add("delay", seconds=0, operation="InvokeEndpoint")
    again = run("--out", tmp_path, "--json", "--resume")
    assert again.exit_code == 0, again.stderr
    assert len(faults.hits) == 1
    assert json.loads(again.stdout)["pixels_without_class"] == 0
    finished = run("--out", tmp_path, "--json", "--resume")
    assert (finished.exit_code, len(faults.hits)) == (0, 1)
    assert "is complete; the endpoint was not invoked" in finished.stderr


def test_results_are_never_mixed_or_overwritten(
    run: Run, tmp_path: Path, invocations: Callable[[], int]
) -> None:
    """Existing results are kept unless --overwrite is given; resuming with other settings is an error."""
    assert run("--out", tmp_path, "--format", "mask").exit_code == 0
    assert not (tmp_path / "scene_confidence.tif").exists()
    before, count = maps(tmp_path), invocations()
    for arguments, message in (
        ((), "scene_mask.tif already exists"),
        (("--resume",), "with different settings: output"),
        (("--resume", "--format", "mask", "--stretch", "1,99"), "with different settings: stretched_from"),
    ):
        done = run("--out", tmp_path, *arguments)
        assert done.exit_code == 1
        assert message in done.stderr.replace("\n", " ")
    assert (maps(tmp_path), invocations()) == (before, count)
    assert run("--out", tmp_path, "--overwrite").exit_code == 0
    assert (tmp_path / "scene_confidence.tif").exists()
    assert sorted(path.name[:6] for path in tmp_path.iterdir()) == ["scene."] + ["scene_"] * 4


def test_another_image_never_takes_the_place_of_one(run: Run, tmp_path: Path, faults: Faults) -> None:
    """--resume with another image of the same name keeps the results and the finished tiles of the first."""
    faults.add("error", operation="InvokeEndpoint", times=1, code="ModelError", status=424)
    out = tmp_path / "out"
    assert run("--out", out, "--concurrency", "1").exit_code == 1
    faults.clear()
    faults.add("delay", seconds=0, operation="InvokeEndpoint")
    before = maps(out)
    tiles = sorted(path.name for path in (out / ".scene.tiles").iterdir())
    (tmp_path / "b").mkdir()
    other = write_scene(tmp_path / "b" / "scene.tif", blobs(300, 300))
    done = run("--out", out, "--resume", image=other)
    assert done.exit_code == 1
    assert "was written for another image" in done.stderr.replace("\n", " ")
    (out / "scene.json").unlink()  # as if it had been interrupted
    done = run("--out", out, "--resume", image=other)
    assert "of other settings: image" in done.stderr.replace("\n", " ")
    assert maps(out) == before
    assert not faults.hits
    assert sorted(path.name for path in (out / ".scene.tiles").iterdir()) == tiles


def test_an_interrupted_overwrite_is_resumed(run: Run, whole: Whole, tmp_path: Path, faults: Faults) -> None:
    """--overwrite first removes what marks the earlier results as complete, so that --resume sends the rest."""
    out = tmp_path / "out"
    shutil.copytree(whole.folder, out)
    faults.add("error", operation="InvokeEndpoint", times=1, code="ModelError", status=424)
    first = run("--out", out, "--overwrite", "--format", "mask", "--concurrency", "1")
    assert first.exit_code == 1
    assert "run the same command with --resume instead of --overwrite" in first.stderr.replace("\n", " ")
    assert not (out / "scene_confidence.tif").exists()  # it was that of the earlier mask
    faults.clear()
    faults.add("delay", seconds=0, operation="InvokeEndpoint")
    again = run("--out", out, "--resume", "--format", "mask")
    assert again.exit_code == 0, again.stderr
    assert len(faults.hits) == 1
    assert not (out / ".scene.tiles").exists()


def test_a_run_that_ended_after_its_summary_is_complete(
    run: Run, whole: Whole, tmp_path: Path, invocations: Callable[[], int]
) -> None:
    """Finished tiles next to complete results are removed by --resume, and no tile is sent."""
    out = tmp_path / "out"
    shutil.copytree(whole.folder, out)
    (out / ".scene.tiles").mkdir()
    (out / ".scene.tiles" / "1.tile").write_bytes(b"x")
    done = run("--out", out, "--resume")
    assert done.exit_code == 0, done.stderr
    assert invocations() == 0
    assert maps(out) == maps(whole.folder)
    assert not (out / ".scene.tiles").exists()


def test_finished_tiles_of_other_settings_are_kept(run: Run, whole: Whole, tmp_path: Path) -> None:
    """Complete results are shown by --resume; paid tiles of a run that was to overwrite them are kept, and named."""
    out = tmp_path / "out"
    shutil.copytree(whole.folder, out)
    tiles = out / ".scene.tiles"
    tiles.mkdir()
    (tiles / "1.tile").write_bytes(b"x")
    (tiles / "request.json").write_text(json.dumps({"tile": [1024, 1024]}))
    done = run("--out", out, "--resume")
    assert done.exit_code == 0, done.stderr
    assert "of an interrupted run with other settings" in done.stderr.replace("\n", " ")
    assert (tiles / "1.tile").exists()


def test_an_area_that_changed_is_another_request(run: Run, tmp_path: Path) -> None:
    """Results for a file with polygons are not taken for those of its later content."""
    zone = tmp_path / "zone.geojson"
    for size in (100, 150):
        ring = [[0, 0], [size, 0], [size, -size], [0, 0]]
        corners = [[500_000 + x, 5_300_000 + y] for x, y in ring]
        crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}
        zone.write_text(json.dumps({"type": "Polygon", "coordinates": [corners], "crs": crs}))
        done = run("--out", tmp_path / "out", "--area", zone, "--resume")
        assert done.exit_code == (0 if size == 100 else 1), done.stderr
    assert "with different settings: area_sha256" in done.stderr.replace("\n", " ")


def test_a_plain_image_gets_png_and_pixels(run: Run, tmp_path: Path) -> None:
    """An image without coordinates gets a PNG mask, and areas in pixels."""
    image = write_scene(tmp_path / "a.png", blobs(300, 300), driver="PNG")
    done = run("--out", tmp_path / "out", image=image)
    assert done.exit_code == 0, done.stderr
    row = parse_json((tmp_path / "out" / "a.json").read_bytes())
    assert row["classes"][0]["m2"] is None
    assert sum(area["pixels"] for area in row["classes"]) == 300 * 300
    assert (tmp_path / "out" / "a_mask.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.tif", "--out", "x", "--tile", "512"), "This option needs --tiles."),
        (("a.tif", "--out", "x", "--dry-run"), "This option needs --tiles."),
        (("a.tif", "--out", "x", "--polygons", "gpkg"), "This option needs --tiles."),
        (("a.tif", "--out", "x", "--tiles", "--min-size", "9"), "This option needs --polygons."),
        (("a.tif", "b.tif", "--out", "x", "--tiles"), "Name one local image and a local folder."),
        (("s3://a/b/", "--out", "x", "--tiles"), "Name one local image and a local folder."),
        (
            ("a.tif", "--out", "x", "--tiles", "--size", "original"),
            "The size of the tiles is set with --tile.",
        ),
        (("a.tif", "--out", "x", "--tiles", "--opacity", "0.5"), "No overlay is written for tiles."),
        (("a.tif", "--out", "x", "--tiles", "--tile", "big"), "is neither a number of pixels nor a size"),
        (("a.tif", "--out", "x", "--tiles", "--bands", "r,g,b"), "is not a list of bands such as 3,2,1."),
        (("a.tif", "--out", "x", "--tiles", "--stretch", "2"), "is not a pair of percentiles such as 2,98."),
    ],
)
def test_options_that_do_not_fit_are_wrong_usage(arguments: tuple[str, ...], message: str) -> None:
    """An option that has no meaning with or without --tiles is wrong usage, exit code 2."""
    done = CliRunner().invoke(cli.app, ["segment", *arguments])
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())


def test_a_broken_scene_is_an_error_before_anything_starts(tmp_path: Path) -> None:
    """A file that is not an image, and a missing one, are errors without any connection."""
    (tmp_path / "a.tif").write_bytes(b"II*\0junk")
    for name, message in (("a.tif", "a.tif cannot be read"), ("b.tif", "No such file")):
        done = CliRunner().invoke(
            cli.app, ["segment", str(tmp_path / name), "--tiles", "--out", str(tmp_path / "out")]
        )
        assert done.exit_code == 1
        assert message in done.stderr.replace("\n", " ")
    assert not (tmp_path / "out").exists()
