"""Damaged files: each reader returns its value or raises a CoreError, however a file is damaged.

A few hundred of each by default; SEGDECK_FUZZ_RUNS=100000 sets the number.
"""

from __future__ import annotations

import bz2
import copy
import gzip
import io
import json
import os
import random
import shutil
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.artifacts.artifact import inspect_artifact
from core.datasets.annotations.detection import read_annotations
from core.datasets.annotations.drawing import class_table
from core.datasets.annotations.raster import draw
from core.datasets.choices import Choices
from core.datasets.ground_truth import read_manifest
from core.datasets.label_map import read_label_map
from core.datasets.label_studio import merge
from core.datasets.masks import Colors, read_mask
from core.datasets.names import read_names
from core.datasets.unzip import extract as unpack_zip
from core.errors import CoreError, InputError
from core.evaluation.pairs import names_in_list
from core.evaluation.store import HEAD, LINES, ImageScore, PredictionStore
from core.imaging.classes import Classes
from core.imaging.image import open_image, open_mask
from sandbox.algorithm.failure import ClientError as AlgorithmInputError
from sandbox.algorithm.label_map import read_label_map as read_algorithm_label_map
from sandbox.common.archive import ArchiveError
from sandbox.common.archive import unpack as unpack_model
from tests.support.artifacts import archive, aws_files
from tests.support.damage import damaged, damaged_json
from tests.support.dataset import COLORS, encoded, ids, indexed, make_brushed, painted, photo
from tests.support.tool_formats import FORMATS, make_scenes
from tests.support.tool_formats import SIZE as SCENE_SIZE

RUNS = int(os.environ.get("SEGDECK_FUZZ_RUNS", "300"))
MAX_SECONDS = 20.0
"""Of a processor, for one file."""

MAX_PIXELS = 250_000
Read = Callable[[bytes], object]
Damage = Callable[[random.Random], bytes]


def attempt(read: Read, data: bytes) -> str:
    """Return `value` or `error`; a CoreError says what happened and why or what to do. Any other error is raised."""
    started = time.thread_time()
    told = outcome(read, data)
    assert time.thread_time() - started < MAX_SECONDS
    if told is None:
        return "value"
    assert all(told)
    return "error"


def outcome(read: Read, data: bytes) -> tuple[str, ...] | None:
    """Return the parts of the error that must not be empty; None if there is no error."""
    try:
        read(data)
    except CoreError as error:
        return error.what, error.why or error.todo
    except (ArchiveError, AlgorithmInputError) as error:
        return (str(error),)
    return None


def run(name: str, read: Read, damage: Damage) -> None:
    chance = random.Random(f"{name} 1")
    seen = {"value": 0, "error": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", module=r"PIL\.")  # as `core.imaging.image` has it
        warnings.filterwarnings("ignore", category=UserWarning, message="Duplicate name")
        for number in range(RUNS):
            data = damage(chance)
            try:
                seen[attempt(read, data)] += 1
            except BaseException as problem:
                problem.add_note(f"{name}, run {number}: {data[:4000]!r}")
                raise
    # Both happen: the damage is neither always fatal nor always harmless.
    assert min(seen.values()) > RUNS // 200, seen


def bytes_of(*samples: bytes, checksums: bool = False) -> Damage:
    return lambda chance: damaged(chance.choice(samples), chance, checksums=checksums)


def json_of(*samples: Any) -> Damage:
    """Return JSON with swapped values and damaged text."""

    def damage(chance: random.Random) -> bytes:
        text = damaged_json(copy.deepcopy(chance.choice(samples)), chance)
        return damaged(text, chance, checksums=False) if chance.random() < 0.3 else text

    return damage


# The files.


def model_archives() -> Damage:
    """Return archives damaged as packed, as a tar, and in their files."""
    files = aws_files()
    whole = archive(files)
    plain = gzip.decompress(whole)
    settings = json.loads(files["hyperparams.json"])

    def damage(chance: random.Random) -> bytes:
        kind = chance.randrange(4)
        if kind == 0:
            return damaged(whole, chance, checksums=False)
        if kind == 1:
            return gzip.compress(damaged(plain, chance, checksums=False), 1, mtime=0)
        if kind == 2:
            text = damaged_json(copy.deepcopy(settings), chance)
            return archive(files | {"hyperparams.json": text}, level=1)
        return archive(
            files | {"model_best.params": damaged(files["model_best.params"], chance, checksums=False)}
        )

    return damage


def zips() -> list[bytes]:
    """Return a ZIP for each compression method, with folders."""
    samples = []
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", kind) as packed:
            packed.writestr("images/a.jpg", bytes(range(64)))
            packed.writestr("images/ä/", b"")
            packed.writestr("masks/b.png", b"mask" * 9)
        samples.append(buffer.getvalue())
    return samples


def images() -> list[bytes]:
    samples = [
        photo(1, form) for form in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "PCX")
    ]
    exif = Image.Exif()
    exif[274] = 6
    samples.append(photo(2, exif=exif))
    samples.append(photo(3, "TIFF", compression="tiff_lzw"))
    return samples


def masks() -> list[bytes]:
    deep = Image.fromarray(ids(0, 1, 2).astype(np.uint16))
    return [
        indexed(ids(0, 1, 2, 255)),
        painted(ids(0, 1, 2)),
        encoded(deep, "PNG"),
        encoded(Image.fromarray(ids(0, 1)), "GIF"),
        encoded(Image.fromarray(ids(0, 1)), "TIFF"),
        encoded(Image.fromarray(ids(0, 1)).convert("1"), "PNG"),
    ]


CLASSES = {"classes": [{"name": "road", "color": "#808080"}, {"name": "tree"}]}
MANIFEST = {
    "source-ref": "s3://b/photos/a.jpg",
    "job-ref": "s3://b/masks/a.png",
    "job-ref-metadata": {
        "type": "groundtruth/semantic-segmentation",
        "creation-date": "2018-10-18T22:18:13.527256",
        "internal-color-map": {"0": {"class-name": "road", "hex-color": "#ff0000"}},
    },
}
LABEL_MAPS = ({"scale": 3}, {"map": {"0": 5, "1": 0, "2": 2}})
LINE = {
    "key": "0" * 32, "endpoint": "e", "name": "a", "photo": "a.jpg", "mask": "a.png", "width": 4, "height": 2,
    "pixels": [[0, 1, 8]], "band": [[0, 0, 2]], "ignored": 0, "seconds": 0.5, "problems": ["odd"],
}  # fmt: skip


# The tests.


def test_model_archives() -> None:
    """A damaged model.tar.gz is an Artifact or an ArtifactError."""

    def read(data: bytes) -> None:
        inspect_artifact(io.BytesIO(data), "model.tar.gz", len(data)).training_values()

    run("artifact", read, model_archives())


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """Return a folder in memory if there is one: a hundred thousand archives are unpacked into it."""
    memory = Path("/dev/shm")
    folder = memory / f"segdeck-test-{os.getpid()}" if memory.is_dir() else tmp_path / "scratch"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def test_unpacked_models(scratch: Path) -> None:
    """A damaged model.tar.gz is unpacked by the sandbox, or rejected with an ArchiveError."""
    file, target = scratch / "model.tar.gz", scratch / "model"

    def read(data: bytes) -> None:
        file.write_bytes(data)
        target.mkdir()
        try:
            unpack_model(file, target, max_bytes=1 << 20)
        finally:
            shutil.rmtree(target)

    run("model", read, model_archives())


def test_zips(scratch: Path) -> None:
    """A damaged ZIP is unpacked, or rejected with an InputError and nothing left behind."""
    file, target = scratch / "set.zip", scratch / "set"

    def read(data: bytes) -> None:
        file.write_bytes(data)
        try:
            unpack_zip(file, target)
        except CoreError:
            assert not target.exists()
            raise
        shutil.rmtree(target)

    run("zip", read, bytes_of(*zips()))


def test_class_names() -> None:
    """A damaged classes.json gives names that can be shown and written, or an InputError."""

    def read(data: bytes) -> None:
        classes = Classes.from_json(data)
        assert Classes.from_json(classes.to_json().encode()) == classes

    run("classes", read, json_of(CLASSES))


@pytest.mark.parametrize(
    "text", [b"road:1,2,3::\nvoid:4,5,6::\n", b"road\ntree\n", json.dumps(CLASSES).encode()]
)
def test_files_of_names(scratch: Path, text: bytes) -> None:
    """A damaged list of names is read, or rejected with an InputError."""
    file = scratch / "labelmap.txt"

    def read(data: bytes) -> None:
        file.write_bytes(data)
        read_names(file)

    run("names", read, bytes_of(text))


def test_label_maps(scratch: Path) -> None:
    """A damaged label map is a table, or an InputError; in the sandbox's algorithm too."""
    file = scratch / "train_label_map.json"

    def read(data: bytes) -> None:
        file.write_bytes(data)
        told = outcome(lambda _: read_algorithm_label_map(file), data)
        assert told is None or all(told)
        read_label_map(data, "train_label_map.json").table()

    run("label map", read, json_of(*LABEL_MAPS))


def test_manifests(scratch: Path) -> None:
    """A damaged Ground Truth manifest gives samples, or an InputError with the line."""
    file = scratch / "output.manifest"

    def read(data: bytes) -> None:
        file.write_bytes(data)
        read_manifest(file, ["photos/a.jpg", "masks/a.png"], scratch)

    run("manifest", read, json_of(MANIFEST))


def test_label_studio_exports(scratch: Path) -> None:
    """A damaged JSON export next to brush labels is used, or what is missing without it is an InputError."""
    root = make_brushed(scratch / "export")
    rows = json.loads((root / "project.json").read_text())

    def read(data: bytes) -> None:
        (root / "project.json").write_bytes(data)
        try:
            merge(root, scratch / "set", lambda *_: None)
        finally:
            shutil.rmtree(scratch / "set", ignore_errors=True)

    run("brush", read, json_of(rows))


def test_images() -> None:
    """A damaged image is opened, or is an ImageError."""
    run("photo", lambda data: open_image(data, "a.jpg", max_pixels=MAX_PIXELS), bytes_of(*images()))


def test_masks() -> None:
    """A damaged mask contains class ids, or is an ImageError."""
    colors = Colors(tuple((color, number) for number, color in enumerate(sorted(COLORS))), from_file=True)

    def read(data: bytes) -> None:
        open_mask(data, "a.png", max_pixels=MAX_PIXELS)

    samples = masks()
    run("mask", read, bytes_of(*samples, checksums=True))
    run("colors", lambda data: read_mask(data, "a.png", colors), bytes_of(*samples, checksums=True))


def test_results_of_an_evaluation(scratch: Path) -> None:
    """A damaged line of results is skipped, another file is an InputError; no path leaves the folder."""
    good = json_of(LINE)
    head = json.dumps(HEAD).encode()

    def damage(chance: random.Random) -> bytes:
        first = head if chance.random() < 0.9 else damaged(head, chance, checksums=False)
        return first + b"\n" + good(chance) + b"\n"

    def read(data: bytes) -> None:
        (scratch / LINES).write_bytes(data)
        store = PredictionStore(scratch)
        for line in data.split(b"\n")[1:]:
            try:
                judged = ImageScore.from_row(json.loads(line))
            except (ValueError, TypeError, KeyError, RecursionError):
                continue
            assert store.get(judged.key) is None
            judged.confusion(254)
            _ = judged.highest

    run("results", read, damage)


def test_lists() -> None:
    """A damaged list gives names in time proportional to its length."""
    samples = (b"2007_000032 1\nsub/a b.jpg -1\n", b"a" + b" " * 50_000 + b"b\n", bz2.compress(b"x") * 9)
    damage = bytes_of(*samples)

    def read(data: bytes) -> None:
        names_in_list(data.decode("utf-8", "replace"))
        if len(data) % 2:
            raise CoreError("Counted.", why="So that both kinds of outcome occur.")

    run("list", read, damage)


ANNOTATIONS = {
    "coco_polygons": "annotations/instances_train2017.json",
    "coco_runs": "annotations/instances_train2017.json",
    "labelme": "json/scene_0.json",
    "cvat": "annotations.xml",
    "yolo": "train/labels/scene_0.txt",
    "supervisely": "train/ann/scene_0.jpg.json",
}
"""Format -> the file that is damaged."""


@pytest.mark.parametrize("name", ANNOTATIONS)
def test_annotations(name: str, tmp_path: Path) -> None:
    """Damaged annotations are an InputError, or are drawn with what is left out named; nothing else is raised."""
    scenes = make_scenes(1)
    one_file_per_image = name in ("labelme", "supervisely")
    FORMATS[name](tmp_path, scenes[:1] if one_file_per_image else [scenes[0], scenes[-1]])
    path = tmp_path / ANNOTATIONS[name]
    good = path.read_bytes()
    kind = name.partition("_")[0]

    def read(data: bytes) -> None:
        path.write_bytes(data)
        annotations = read_annotations(tmp_path, kind, Choices())  # type: ignore[arg-type]
        if not annotations.images:
            raise InputError("Nothing is left.", why=str(annotations.problems[:1]))
        table = class_table(tmp_path, annotations, "background", None)
        for image in annotations.images:
            drawing = draw(image.regions, table.ids, SCENE_SIZE, table.rest)
            assert drawing.ids.shape == SCENE_SIZE[::-1]

    if path.suffix == ".json":
        run(f"annotations {name}", read, json_of(json.loads(good)))
    else:
        run(f"annotations {name}", read, bytes_of(good))
