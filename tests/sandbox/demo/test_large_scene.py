"""The large georeferenced image that the demo draws on demand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from sandbox.demo.large_scene import CRS, labels_path, main, write_scene
from sandbox.demo.scenes import scene


def test_the_image_is_georeferenced_and_continues_without_a_cut(tmp_path: Path) -> None:
    """Beyond what is drawn, image and labels continue mirrored; both have the same grid of 1 m pixels."""
    path = tmp_path / "scene.tif"
    labels = write_scene(path, 150, seed=5, drawn=64)
    image, ids = scene(5, 64, 64, kind="village", water="river")
    with rasterio.open(path) as picture, rasterio.open(labels) as classes:
        pixels, values = np.moveaxis(picture.read(), 0, 2), classes.read(1)
        assert picture.crs.to_string() == classes.crs.to_string() == CRS
        assert picture.transform == classes.transform
        assert (picture.transform.a, picture.transform.e) == (1, -1)
        assert classes.tags(1)["CLASS_3"] == "water"
    assert pixels.shape == (150, 150, 3)
    assert (pixels[:64, :64] == image).all()
    assert (values[:64, :64] == ids).all()
    assert (pixels[63, :64] == pixels[64, :64]).all()
    assert (values[:, 127] == values[:, 128]).all()
    assert (values[128:, :64] == ids[:22]).all()


def test_no_file_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of either name is kept, and named."""
    path = tmp_path / "scene.tif"
    labels_path(path).write_bytes(b"mine")
    assert main([str(path), "--side", "32"]) == 1
    assert "scene_labels.tif already exists" in capsys.readouterr().err
    assert (path.exists(), labels_path(path).read_bytes()) == (False, b"mine")


def test_the_command_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints the size, the reference system and where the labels are."""
    path = tmp_path / "scene.tif"
    assert main([str(path), "--side", "32", "--seed", "7"]) == 0
    assert capsys.readouterr().out == f"{path}: 32 x 32 pixels, EPSG:32632. Its labels: {labels_path(path)}\n"


@pytest.mark.parametrize("side", ["0", "-1", "1e3", "100001", "x"])
def test_a_side_is_a_number_of_pixels(side: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Anything but 1 to 100,000 is refused before something is drawn."""
    with pytest.raises(SystemExit):
        main([str(tmp_path / "scene.tif"), "--side", side])
    assert "is not a number of pixels" in capsys.readouterr().err


def test_a_file_that_cannot_be_finished_is_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After an error no file is left that the next try would be refused for."""
    path = tmp_path / "missing" / "scene.tif"
    assert main([str(path), "--side", "32"]) == 1
    assert "was not written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
