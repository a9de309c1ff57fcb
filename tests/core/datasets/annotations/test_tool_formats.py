"""The formats and layouts of public tools: the same scenes give the same channels, pixel for pixel, and train."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.datasets.check import check
from core.datasets.convert import convert, plan_conversion
from core.datasets.prepare import ReadOptions, prepared_dataset
from core.datasets.readers import read_dataset
from tests.support.dataset import digests
from tests.support.tool_formats import FORMATS, NAMES, SCENES, TRAIN, Scene, make_scenes

ROOT = Path(__file__).parents[4]
SEEDS = range(int(os.environ.get("SEGDECK_TEST_SEEDS", "1")))
RANDOM_SPLIT = ("labelme_voc", "one_folder", "labelme")
HYPERPARAMETERS = {
    "algorithm": "light",
    "num_classes": str(len(NAMES)),
    "num_training_samples": str(TRAIN),
    "mini_batch_size": "2",
    "validation_mini_batch_size": "1",
    "crop_size": "32",
    "epochs": "1",
}

Channels = Callable[[Path], Path]


@pytest.fixture
def channels(threads: Executor, tmp_path: Path) -> Channels:
    """channels(folder) -> the folder with its four channels, as `dataset convert` writes it."""

    def make(folder: Path) -> Path:
        source, notes = prepared_dataset(folder, ReadOptions(), lambda: tmp_path / "drawn", threads)
        report = check(source, threads)
        plan = plan_conversion(source, report, tmp_path / "channels", notes)
        assert not plan.left_out
        convert(plan, threads)
        return plan.out

    return make


def mask_of(out: Path, scene: Scene) -> Path:
    """Return the mask of a scene; Cityscapes has names of its own."""
    names = (scene.name, f"{scene.name[-1]:0>6}_000019")
    (path,) = [path for path in out.glob("*_annotation/*.png") if any(name in path.name for name in names)]
    return path


def names_in(out: Path, mask: Path) -> list[list[str]]:
    """Return the class name of each pixel in a mask."""
    names = [row["name"] for row in json.loads((out / "classes.json").read_text())["classes"]]
    table = np.array(names + ["ignore"] * (256 - len(names)), object)
    with Image.open(mask) as image:
        return table[np.asarray(image)].tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_masks(
    name: str, seed: int, channels: Channels, threads: Executor, tmp_path: Path
) -> None:
    """Each format of the same scenes becomes channels that pass the checks, with the same class at every pixel."""
    scenes = make_scenes(seed)
    folder = tmp_path / name
    FORMATS[name](folder, scenes)
    before = digests(folder)
    out = channels(folder)
    report = check(read_dataset(out), threads)
    assert report.usable, report.problems
    assert report.pairs == SCENES
    for scene in scenes:
        wanted = np.array(NAMES, object)[scene.ids()]
        if name == "cityscapes":
            wanted[wanted == "background"] = "ignore"
        mask = mask_of(out, scene)
        assert names_in(out, mask) == wanted.tolist()
        assert name in RANDOM_SPLIT or mask.parent.name == f"{scene.split}_annotation"
    assert digests(folder) == before


@pytest.mark.mxnet
def test_channels_of_an_annotation_format_train(channels: Channels, tmp_path: Path) -> None:
    """The sandbox's algorithm trains on the channels that COCO annotations become."""
    FORMATS["coco_polygons"](tmp_path / "coco", make_scenes(1))
    out = channels(tmp_path / "coco")
    data = tmp_path / "ml/input/data"
    data.parent.mkdir(parents=True)
    out.rename(data)
    (data / "classes.json").unlink()
    config = tmp_path / "ml/input/config/hyperparameters.json"
    config.parent.mkdir()
    config.write_text(json.dumps(HYPERPARAMETERS))
    done = subprocess.run(
        [sys.executable, "-m", "sandbox.algorithm", "train"],
        cwd=ROOT,
        env={**os.environ, "SM_ML_ROOT": str(tmp_path / "ml")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "validation mIOU <score>" in done.stdout
