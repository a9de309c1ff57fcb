"""The maps of a scene: GeoTIFF in its grid, with all that a map needs; PNG for plain images."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio import Affine
from rasterio.enums import ColorInterp

from core.errors import InputError
from core.imaging.classes import Classes
from core.tiles.blend import Strip
from core.tiles.outputs import MapFiles, MapWriter, all_classes
from core.tiles.scene import open_scene
from core.tiles.style import qgis_style
from tests.support.scenes import PLACE, blobs, write_scene

CLASSES = Classes(("land", "=sea"), ((10, 20, 30), (0, 0, 255)))
HEIGHT, WIDTH = 600, 1100
LABELS = (np.arange(WIDTH) // 100 % 2 * np.ones((HEIGHT, 1))).astype(np.uint8)
LABELS[:50, :70] = 255
CONFIDENCE = np.where(LABELS == 255, 255, 50 + np.arange(WIDTH) % 40).astype(np.uint8)


def write(path: Path, out: Path, *, overwrite: bool = False, confidence: bool = True) -> MapFiles:
    scene = open_scene(path)
    files = MapFiles.of(out, "scene", scene, confidence=confidence)
    work = out / "work"
    work.mkdir(parents=True, exist_ok=True)
    with MapWriter(scene, files, work, CLASSES.table()) as writer:
        for top in (0, 350):
            rows = slice(top, top + 350)
            writer.write(Strip(top, LABELS[rows], CONFIDENCE[rows] if confidence else None))
        areas = writer.finish(CLASSES, {"ENDPOINT": "aerial", "MODEL": "s3://m"}, overwrite=overwrite)
        writer.write_summary({"classes": areas, "notes": writer.notes}, overwrite=overwrite)
    assert list(work.iterdir()) == []
    return files


@pytest.fixture(scope="module")
def scene_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("scene") / "scene.tif", blobs(HEIGHT, WIDTH))


@pytest.fixture(scope="module")
def files(scene_path: Path, tmp_path_factory: pytest.TempPathFactory) -> MapFiles:
    return write(scene_path, tmp_path_factory.mktemp("out"))


def test_the_mask_is_in_the_grid_of_the_scene(files: MapFiles, scene_path: Path) -> None:
    """Mask and confidence have the size, transform and reference system of the scene, and every pixel as written."""
    assert files.confidence is not None
    with rasterio.open(scene_path) as scene:
        for path, values in ((files.mask, LABELS), (files.confidence, CONFIDENCE)):
            with rasterio.open(path) as file:
                assert (file.shape, file.transform, file.crs) == (scene.shape, scene.transform, scene.crs)
                assert (file.nodata, file.dtypes) == (255, ("uint8",))
                assert np.array_equal(file.read(1), values)


def test_the_mask_is_a_cloud_optimized_geotiff(files: MapFiles) -> None:
    """Both maps are laid out as COG, with overviews; those of the mask hold class ids only."""
    assert files.confidence is not None
    for path in (files.mask, files.confidence):
        with rasterio.open(path) as file:
            assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert file.overviews(1) == [2, 4]
            assert file.block_shapes == [(512, 512)]
    with rasterio.open(files.mask, overview_level=0) as small:
        assert set(np.unique(small.read(1))) == {0, 1, 255}


def test_the_mask_has_palette_names_and_lineage(files: MapFiles) -> None:
    """Colors, class names and the model are in the file itself."""
    with rasterio.open(files.mask) as file:
        assert file.colorinterp == (ColorInterp.palette,)
        assert file.colormap(1)[0] == (10, 20, 30, 255)
        assert file.colormap(1)[1] == (0, 0, 255, 255)
        assert json.loads(file.tags()["CLASSES"])[1] == {"id": 1, "name": "=sea", "color": "#0000ff"}
        assert (file.tags()["ENDPOINT"], file.tags()["MODEL"]) == ("aerial", "s3://m")
        assert file.tags(1)["CLASS_0"] == "land"
        assert file.descriptions == ("class",)


def test_the_mask_has_a_style_for_qgis(files: MapFiles) -> None:
    """The style next to the mask has the color and the name of each class, whatever the name contains."""
    assert files.style == files.mask.with_suffix(".qml")
    entries = ElementTree.parse(files.style).getroot().findall(".//colorPalette/paletteEntry")
    assert [(entry.get("value"), entry.get("color"), entry.get("label")) for entry in entries] == [
        ("0", "#0a141e", "land"),
        ("1", "#0000ff", "=sea"),
    ]
    hostile = Classes(('"/><x>\x1b[0m&', "b"), CLASSES.colors)
    (first, _) = ElementTree.fromstring(qgis_style(hostile, CLASSES.table())).findall(".//paletteEntry")
    assert "<x>" in str(first.get("label"))


def test_a_style_of_the_user_is_kept(scene_path: Path, tmp_path: Path) -> None:
    """QGIS saves a changed style under the same name: it is never overwritten. One of an earlier run is."""
    (tmp_path / "scene_mask.qml").write_bytes(qgis_style(Classes.numbered(9), CLASSES.table()))
    write(scene_path, tmp_path, overwrite=True)
    assert (tmp_path / "scene_mask.qml").read_bytes() == qgis_style(CLASSES, CLASSES.table())
    (tmp_path / "scene_mask.qml").write_text("mine")
    write(scene_path, tmp_path, overwrite=True)
    assert (tmp_path / "scene_mask.qml").read_text() == "mine"
    assert "scene_mask.qml was kept" in (tmp_path / "scene.json").read_text()


def test_a_folder_in_the_place_of_the_style_is_no_error(scene_path: Path, tmp_path: Path) -> None:
    """Tiles are paid for by then: the maps are complete without a style, and that is noted."""
    (tmp_path / "scene_mask.qml").mkdir()
    assert write(scene_path, tmp_path).mask.exists()
    assert "scene_mask.qml was kept" in (tmp_path / "scene.json").read_text()


def test_areas_are_a_table(files: MapFiles) -> None:
    """The CSV has a row per class with pixels and hectares, and guards names that would be formulas."""
    rows = list(csv.DictReader(io.StringIO(files.areas.read_text())))
    assert [row["name"] for row in rows] == ["land", "'=sea"]
    assert int(rows[0]["pixels"]) == (LABELS == 0).sum()
    assert float(rows[0]["hectares"]) == pytest.approx(4 * (LABELS == 0).sum() / 10_000, rel=1e-3)
    assert json.loads(files.summary.read_text())["classes"][1]["name"] == "=sea"


def test_the_same_strips_give_the_same_bytes(files: MapFiles, scene_path: Path, tmp_path: Path) -> None:
    """Two runs over the same strips write byte-identical maps and areas."""
    again = write(scene_path, tmp_path)
    assert files.confidence is not None
    assert again.confidence is not None
    for first, second in zip(
        (files.mask, files.confidence, files.areas), (again.mask, again.confidence, again.areas), strict=True
    ):
        assert first.read_bytes() == second.read_bytes()


def test_a_plain_image_gets_png(tmp_path: Path) -> None:
    """An image without coordinates gets indexed PNG files with the class ids, and areas in pixels."""
    path = write_scene(tmp_path / "a.png", blobs(HEIGHT, WIDTH), driver="PNG")
    made = write(path, tmp_path / "out")
    assert made.mask.name == "scene_mask.png"
    assert made.confidence is not None
    with Image.open(made.mask) as image:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), LABELS)
        assert image.getpalette()[:3] == [10, 20, 30]
    with Image.open(made.confidence) as image:
        assert np.array_equal(np.asarray(image), CONFIDENCE)
    assert sorted(file.name for file in (tmp_path / "out").glob("*.*")) == [
        "scene.json",
        "scene_areas.csv",
        "scene_confidence.png",
        "scene_mask.png",
    ]


@pytest.mark.parametrize(
    "options",
    [{"transform": Affine(1, 0.5, 3, 0.2, -1, 9)}, {"crs": None}, {"crs": "EPSG:4326"}],
    ids=["rotated", "no CRS", "degrees"],
)
def test_any_place_is_kept(tmp_path: Path, options: dict[str, Any]) -> None:
    """A rotated transform, a transform without a reference system, and degrees are those of the mask too."""
    path = write_scene(tmp_path / "scene.tif", blobs(HEIGHT, WIDTH), **options)
    made = write(path, tmp_path / "out", confidence=False)
    assert made.confidence is None
    with rasterio.open(path) as scene, rasterio.open(made.mask) as mask:
        assert mask.transform.almost_equals(options.get("transform", PLACE))
        assert (mask.crs, mask.transform) == (scene.crs, scene.transform)


def test_existing_files_are_kept(files: MapFiles, scene_path: Path) -> None:
    """A file of the same name is never replaced unless that is requested."""
    before = files.mask.read_bytes()
    with pytest.raises(InputError, match="already exists"):
        write(scene_path, files.mask.parent)
    assert files.mask.read_bytes() == before
    write(scene_path, files.mask.parent, overwrite=True)
    assert files.mask.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_an_error(scene_path: Path, tmp_path: Path) -> None:
    """A strip that cannot be written is an error with the path and the reason."""
    scene = open_scene(scene_path)
    files = MapFiles.of(tmp_path, "scene", scene, confidence=False)
    with (
        MapWriter(scene, files, tmp_path / "missing", CLASSES.table()) as writer,
        pytest.raises(InputError, match=r"mask\.strips\.tif cannot be written"),
    ):
        writer.write(Strip(0, LABELS, None))


def test_classes_without_names_are_numbered() -> None:
    """Every class of the responses, and every id that occurs, has a name."""
    assert all_classes(CLASSES, 3, []).names == ("land", "=sea", "class 2")
    assert all_classes(None, 0, [4]).names[-1] == "class 4"
    assert all_classes(CLASSES, 1, [0]).names == ("land", "=sea")
