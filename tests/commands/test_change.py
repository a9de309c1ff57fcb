"""The command `change`: two label maps in, what changed out. It invokes no endpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyogrio.raw
import pytest
from click.testing import Result
from typer.testing import CliRunner

import cli
from tests.support.scenes import write_scene

TAGS = {
    "CLASSES": json.dumps(
        [{"id": i, "name": name, "color": "#102030"} for i, name in enumerate(("land", "sea"))]
    )
}
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two masks and their confidences: 100 pixels change, 40 of them with 50 %."""
    folder = tmp_path_factory.mktemp("maps")
    labels, confidence = np.zeros((2, 1, 50, 60), np.uint8)
    confidence[:] = 90
    for name in ("old", "new"):
        write_scene(folder / f"{name}_mask.tif", labels, nodata=255, tags=TAGS)
        write_scene(folder / f"{name}_confidence.tif", confidence, nodata=255)
        labels[0, 10:20, 10:20] = 1
        confidence[0, 10:20, 10:14] = 50
    return folder


@pytest.fixture
def run(folder: Path, tmp_path: Path) -> Run:
    """Return a function: run("--min-size", ...) compares the masks and writes to `tmp_path`/out."""

    def invoke(*arguments: object, after: Path = folder / "new_mask.tif") -> Result:
        words = ["change", folder / "old_mask.tif", after, "--out", tmp_path / "out", *arguments]
        return CliRunner().invoke(cli.app, [str(word) for word in words])

    return invoke


def test_a_minimum_that_is_no_number_is_wrong_usage(run: Run) -> None:
    """NaN is refused before anything is compared."""
    result = run("--min-confidence", "nan")
    assert result.exit_code == 2
    assert "--min-confidence" in result.output


def test_change_without_filters(run: Run, tmp_path: Path) -> None:
    """It prints the changed share and area, and the transitions; and warns that errors look like change."""
    result = run()
    assert result.exit_code == 0, result.output
    assert "new_change.tif  changed: 3.3% of 3,000 pixels (0.04 ha)" in result.stdout
    assert "land to sea: 100 pixels (0.04 ha)" in result.stdout
    assert "Errors of both maps look like change" in result.stderr
    assert "Not used: --min-confidence and --min-size." in result.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "new_change.json",
        "new_change.tif",
        "new_transitions.csv",
    ]
    again = run()
    assert (again.exit_code, "already exists" in again.stderr) == (1, True)
    assert run("--overwrite").exit_code == 0


def test_confidence_next_to_the_masks(run: Run, folder: Path, tmp_path: Path) -> None:
    """With a minimum, the confidence next to each mask is used and named; JSON has what was left out."""
    result = run("--min-confidence", 60, "--min-size", 61, "--json")
    assert result.exit_code == 0, result.output
    assert f"is {folder / 'old_confidence.tif'}." in result.stderr
    document = json.loads(result.stdout)
    assert document["left_out_pixels"] == {"not_confident": 40, "small": 60, "no_class": 0}
    assert document["matrix_pixels"] == [[2900, 0], [0, 0]]
    assert document["before_confidence"] == str(folder / "old_confidence.tif")
    assert json.loads((tmp_path / "out" / "new_change.json").read_text()) == document
    assert "Not used" not in result.stderr


def test_confidence_that_is_missing_or_named(run: Run, folder: Path, tmp_path: Path) -> None:
    """A mask without confidence is an error that names the file; an option names another one."""
    moved = tmp_path / "moved.tif"
    moved.write_bytes((folder / "new_mask.tif").read_bytes())
    result = run("--min-confidence", 60, after=moved)
    assert result.exit_code == 1
    assert "moved_confidence.tif does not exist" in result.stderr
    given = ("--after-confidence", folder / "new_confidence.tif")
    assert run("--min-confidence", 60, *given, after=moved).exit_code == 0
    assert run(*given).exit_code == 2


def test_another_grid_is_said(run: Run, tmp_path: Path) -> None:
    """A mask in another grid is resampled, which is said; so are names that only one mask has."""
    other = write_scene(tmp_path / "other_mask.tif", np.zeros((1, 30, 30), np.uint8), nodata=255)
    result = run(after=other)
    assert result.exit_code == 0, result.output
    assert "was put on the grid of old_mask.tif" in result.stderr
    assert "other_mask.tif has no class names: those of the other map are used." in result.stderr
    assert "2,100 without a class in both maps" in result.stdout


def test_maps_without_a_place_have_no_hectares(tmp_path: Path) -> None:
    """Two maps without a reference system are compared in pixels, which is said."""
    path = write_scene(tmp_path / "a_mask.tif", np.zeros((1, 30, 30), np.uint8), nodata=255, crs=None)
    words = ["change", path, path, "--out", tmp_path / "out"]
    result = CliRunner().invoke(cli.app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    assert "Areas are in pixels: the maps have no place on the earth." in result.stderr
    assert "changed: 0.0% of 900 pixels\n" in result.stdout


@pytest.mark.parametrize("kind", ["gpkg", "geojson"])
def test_polygons_of_what_changed(run: Run, tmp_path: Path, kind: str) -> None:
    """--polygons writes each changed patch with both classes and its area, and nothing that did not change."""
    result = run("--polygons", kind, "--json")
    assert result.exit_code == 0, result.output
    path = tmp_path / "out" / f"new_change.{kind}"
    document = json.loads(result.stdout)
    assert document["polygons"] == {"file": str(path), "polygons": 1, "vertices": 5}
    meta, _, _, columns = pyogrio.raw.read(path)
    values = dict(zip(meta["fields"], columns, strict=True))
    assert (values["class"].tolist(), values["pixels"].tolist()) == (["land to sea"], [100])
    assert values["area_ha"] == pytest.approx(document["matrix_hectares"][0][1])
    for name in ("new_change.tif", "new_change.json", "new_transitions.csv"):
        (tmp_path / "out" / name).unlink()
    assert f"{path} already exists" in run("--polygons", kind).stderr
