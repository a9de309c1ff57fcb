"""The command `zones`: a mask and polygons in, a table out. It invokes no endpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

import cli
from tests.support.scenes import PLACE, write_scene

CLASSES = [{"id": number, "name": name, "color": "#102030"} for number, name in enumerate(("land", "sea"))]
CRS = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}
Run = Callable[..., Result]


def box(left: int, top: int, right: int, bottom: int, name: str) -> dict[str, object]:
    corners = [
        PLACE @ point for point in ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))
    ]
    polygon = {"type": "Polygon", "coordinates": [corners]}
    return {"type": "Feature", "properties": {"name": name}, "geometry": polygon}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that measures two zones of a mask of 50 x 60 pixels, and writes to `tmp_path`/out."""
    labels = np.zeros((1, 50, 60), np.uint8)
    labels[0, :, 30:] = 1
    write_scene(tmp_path / "a_mask.tif", labels, nodata=255, tags={"CLASSES": json.dumps(CLASSES)})
    features = [box(0, 0, 40, 50, "west"), box(50, 0, 90, 50, "east"), box(500, 0, 510, 9, "away")]
    (tmp_path / "z.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "features": features, "crs": CRS})
    )

    def invoke(*arguments: object) -> Result:
        words = [
            "zones",
            tmp_path / "a_mask.tif",
            tmp_path / "z.geojson",
            "--out",
            tmp_path / "out",
            *arguments,
        ]
        return CliRunner().invoke(cli.app, [str(word) for word in words])

    return invoke


def test_zones_are_measured(run: Run, tmp_path: Path) -> None:
    """It prints the classes of each zone, and says which zones are not wholly on the map."""
    result = run()
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "west: land 75.0% (0.60 ha), sea 25.0% (0.20 ha)"
    assert lines[1] == "east: sea 100.0% (0.20 ha)"
    assert lines[2] == "away: no pixel with a class"
    assert lines[3] == f"{tmp_path / 'out' / 'a_zones.csv'}  3 zones"
    assert "1 zone without a pixel of the map: away." in result.stderr
    assert "1 zone partly outside the map, measured as far as the map goes: east." in result.stderr


def test_json_has_all_zones(run: Run) -> None:
    """--json prints one document with each zone's classes."""
    document = json.loads(run("--json").stdout)
    assert [(zone["name"], zone["partly_outside"]) for zone in document["zones"]] == [
        ("west", False),
        ("east", True),
        ("away", True),
    ]
    assert document["zones"][0]["classes"][0]["pixels"] == 30 * 50
    assert len(document["notes"]) == 2


def test_an_existing_table_is_kept(run: Run, tmp_path: Path) -> None:
    """A second run is refused before anything is counted; --overwrite replaces the table."""
    assert run().exit_code == 0
    table = tmp_path / "out" / "a_zones.csv"
    table.write_text("mine")
    result = run()
    assert (result.exit_code, table.read_text()) == (1, "mine")
    assert "already exists" in result.stderr
    assert run("--overwrite").exit_code == 0
    assert table.read_text() != "mine"
