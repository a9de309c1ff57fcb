"""The demos as they ship: images, weights and the scores in their cards."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.imaging.classes import IGNORE, Classes
from sandbox.algorithm.scores import iou
from sandbox.demo.aerial import AERIAL
from sandbox.demo.card import write_card
from sandbox.demo.coastlines import COASTLINES, place
from sandbox.demo.demo import Demo
from sandbox.demo.scenes import CLASSES, LANDSCAPES, scene
from sandbox.demo.scores import DemoScores

ROOT = Path(__file__).parents[3]
DEMOS = [AERIAL, COASTLINES]
each_demo = pytest.mark.parametrize("demo", DEMOS, ids=lambda demo: demo.name)


def test_a_scene_follows_from_its_seed() -> None:
    """The same seed draws the same scene, another seed another one."""
    first, labels = scene(5, 96, 128)
    again, same = scene(5, 96, 128)
    assert np.array_equal(first, again)
    assert np.array_equal(labels, same)
    assert not np.array_equal(first, scene(6, 96, 128)[0])


@pytest.mark.parametrize("kind", LANDSCAPES)
def test_scenes_have_images_and_labels_of_the_requested_size(kind: str) -> None:
    """Each kind of landscape can be drawn, at sizes that are not square, with known classes only."""
    image, labels = scene(1, 100, 160, kind)
    assert (image.shape, image.dtype) == ((100, 160, 3), np.uint8)
    assert (labels.shape, labels.dtype) == ((100, 160), np.uint8)
    assert labels.max() < len(CLASSES)


def test_scenes_hold_all_classes() -> None:
    """Over a few scenes every class has at least one percent of the pixels."""
    counts = sum(np.bincount(scene(seed, 160, 160)[1].ravel(), minlength=6) for seed in range(12))
    assert (counts / counts.sum() > 0.01).all()


def test_lakes_are_drawn_on_request_only() -> None:
    """`water="none"` draws no lake, `water="lake"` does."""
    assert not (scene(3, 128, 128, "rural", "none")[1] == CLASSES.index("water")).any()
    assert (scene(3, 128, 128, "rural", "lake")[1] == CLASSES.index("water")).any()


def test_regions_of_the_earth_are_cropped_at_their_coordinates() -> None:
    """Greenwich at the equator is the center of the whole image."""
    rows, columns = place(0, 0)
    assert ((rows.start + rows.stop) / 2, (columns.start + columns.stop) / 2) == (1350, 2700)


@each_demo
def test_the_archive_is_laid_out_as_awss(demo: Demo) -> None:
    """The archive has exactly AWS's three files, and its hyperparameters name the light network."""
    with tarfile.open(demo.folder / "model.tar.gz") as tar:
        assert set(tar.getnames()) == {"model_algo-1", "model_best.params", "hyperparams.json"}
        content = tar.extractfile("hyperparams.json")
        assert content is not None
        values = json.load(content)
    assert (values["algorithm"], values["num_classes"]) == ("light", str(len(demo.classes)))


@each_demo
def test_class_names_are_those_of_the_demo(demo: Demo) -> None:
    """`classes.json` is read by the product's own reader."""
    classes = Classes.from_json((demo.folder / "classes.json").read_bytes())
    assert classes.names == demo.class_names


@each_demo
def test_every_example_has_its_image_and_ground_truth(demo: Demo) -> None:
    """Each entry of `examples.json` is a JPEG with a palette mask of its size, of known classes or ignored."""
    folder = demo.folder / "examples"
    rows = json.loads((folder / "examples.json").read_bytes())
    assert len(rows) >= 4
    for row in rows:
        assert row["title"]
        assert row["note"]
        with (
            Image.open(folder / row["file"]) as image,
            Image.open(folder / row["file"].replace(".jpg", "_truth.png")) as mask,
        ):
            assert (image.format, image.mode, mask.mode) == ("JPEG", "RGB", "P")
            assert image.size == mask.size
            assert set(np.unique(np.asarray(mask))) <= {*range(len(demo.classes)), IGNORE}


@each_demo
def test_the_card_says_what_was_measured(demo: Demo) -> None:
    """The model card is generated from the recorded scores, class by class."""
    card = (demo.folder / "README.md").read_text(encoding="utf-8")
    scores = DemoScores.read(demo.folder)
    assert card == write_card(demo, scores)
    for name, value in zip(demo.class_names, iou(scores.validation), strict=True):
        assert re.search(rf"\| {name} \| {value:.3f} \|", card)


@pytest.mark.mxnet
def test_the_shipped_weights_reach_the_cards_scores() -> None:
    """Evaluated again on the example images, the weights give the card's scores within 0.1 % of the pixels."""
    completed = subprocess.run(
        [sys.executable, "-m", "sandbox.demo.check", "--shown"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert completed.returncode == 0, completed.stdout + completed.stderr
    for demo in DEMOS:
        lines = [line for line in completed.stdout.splitlines() if line.startswith(f"{demo.name} ")]
        agreeing = [line for line in lines if "differs 0.0" in line]
        assert len(agreeing) == len(DemoScores.read(demo.folder).shown)
