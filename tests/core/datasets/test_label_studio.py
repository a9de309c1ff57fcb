"""Label Studio's brush labels: PNGs of regions are merged into one mask per image, by the project's JSON export."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.datasets.label_studio import LabelStudioExportError, layers_in, merge
from core.datasets.readers import read_dataset
from core.errors import InputError
from tests.support.dataset import digests, encoded, photo, write

WHOLE, LEFT, DOT = (slice(None), slice(None)), (slice(None), slice(0, 6)), (slice(2, 4), slice(1, 3))


def region(root: Path, name: str, where: tuple[slice, slice], size: tuple[int, int] = (8, 12)) -> None:
    """Return a PNG as in the export: 255 where it was painted. size: rows and columns."""
    painted = np.zeros(size, np.uint8)
    painted[where] = 255
    write(root / f"{name}.png", encoded(Image.fromarray(painted), "PNG"))


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Write two tasks: one with a car on a road, painted twice, and one with a road of two strokes."""
    root = tmp_path / "export"
    region(root, "task-3-annotation-7-by-1-tag-road-0", LEFT)
    region(root, "task-3-annotation-7-by-1-tag-car-0", DOT)
    region(root, "task-3-annotation-6-by-me@here.org-tag-car-0", WHOLE)
    region(root, "task-4-annotation-8-by-1-tag-road-0", DOT)
    region(root, "task-4-annotation-8-by-1-tag-road-1", LEFT)
    for number, name in enumerate(("61148fa2-street.jpg", "yard.jpg")):
        write(root / f"photos/{name}", photo(number))
    told = [{"id": 3, "data": {"image": "/data/upload/1/61148fa2-street.jpg"}}]
    told += [{"id": 4, "data": {"text": "of May", "image": "/data/local-files/?d=may%2F0a0a0a0a-yard.jpg"}}]
    write(root / "project-1.json", json.dumps(told))
    return root


def merged(root: Path, into: Path) -> tuple[str, ...]:
    return merge(root, into, lambda *_: None)


def labels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_regions_become_a_mask(export: Path, tmp_path: Path) -> None:
    """Unpainted is the background; the smaller region is used where two overlap; the last annotation is used."""
    before = digests(export)
    said = merged(export, tmp_path / "set")
    source = read_dataset(tmp_path / "set")
    assert source.names.classes is not None
    assert source.names.classes.names == ("background", "car", "road")
    assert [sample.name for sample in source.samples] == ["61148fa2-street-3", "yard-4"]
    wanted = np.zeros((8, 12), np.uint8)
    wanted[LEFT] = 2
    assert labels(tmp_path / "set/masks/yard-4.png").tolist() == wanted.tolist()
    wanted[DOT] = 1
    assert labels(tmp_path / "set/masks/61148fa2-street-3.png").tolist() == wanted.tolist()
    assert (tmp_path / "set/images/yard-4.jpg").read_bytes() == (export / "photos/yard.jpg").read_bytes()
    assert said == (
        "Merged 4 PNGs of Label Studio brush labels; unpainted pixels became background, class 0.",
        "8 pixels were painted more than once; there, the smaller region is used.",
        "Skipped 1 PNGs of earlier annotations of the same tasks.",
        "The classes are background, car, road. If a name is wrong, add a classes.txt with the right names.",
    )
    assert digests(export) == before


@pytest.mark.parametrize(
    ("endings", "names"),
    [
        (("brush-tool-grass", "brush-tool-old-tree"), {"grass", "old-tree"}),
        (("tag-grass", "tag-old-tree"), {"grass", "old-tree"}),
        (("tag-old-tree",), {"old-tree"}),
        (("left-grass", "right-grass"), {"grass"}),
    ],
)
def test_a_control_may_have_a_hyphen_in_its_name(
    tmp_path: Path, endings: tuple[str, ...], names: set[str]
) -> None:
    """What all file names share up to a hyphen is the control's name; the rest is the label."""
    for number, ending in enumerate(endings):
        region(tmp_path, f"task-{number}-annotation-7-by-1-{ending}-0", LEFT)
    assert {layer.label for layer in layers_in(tmp_path)} == names


@pytest.mark.parametrize("source", ["classes.txt", "project.json"])
def test_known_labels_decide_where_a_control_ends(tmp_path: Path, source: str) -> None:
    """Labels of a class names file, or of the annotations, are found in file names that share a beginning."""
    for ending in ("tag-tree-old", "tag-tree-young"):
        region(tmp_path, f"task-1-annotation-7-by-1-{ending}-0", LEFT)
    result = [{"from_name": "tag", "value": {"brushlabels": [name]}} for name in ("tree-old", "tree-young")]
    tasks = [{"id": 1, "data": {}, "annotations": [{"result": result}]}]
    write(tmp_path / source, "tree-old\ntree-young\n" if source == "classes.txt" else json.dumps(tasks))
    assert {layer.label for layer in layers_in(tmp_path)} == {"tree-old", "tree-young"}


def test_own_names_count(export: Path, tmp_path: Path) -> None:
    """A classes.txt defines the ids and must have each label; without a background in it, unpainted is ignored."""
    write(export / "classes.txt", "road\ncar\n")
    assert "unpainted pixels are ignored" in merged(export, tmp_path / "set")[0]
    assert sorted(np.unique(labels(tmp_path / "set/masks/yard-4.png")).tolist()) == [0, 255]
    write(export / "classes.txt", "road\n")
    with pytest.raises(InputError, match=r"classes\.txt does not have the labels car"):
        merged(export, tmp_path / "other")


def test_json_min_is_read_too(export: Path, tmp_path: Path) -> None:
    """The shorter JSON export has the image next to the task's number."""
    rows = [{"id": 3, "image": "/data/upload/1/61148fa2-street.jpg"}, {"id": 4, "image": "s3://b/yard.jpg"}]
    write(export / "project-1.json", json.dumps(rows))
    write(export / "notes.json", "no json")
    merged(export, tmp_path / "set")
    assert len(read_dataset(tmp_path / "set").samples) == 2


def test_a_project_with_images_and_masks_is_recognized(export: Path) -> None:
    """The PNGs may be in a folder named masks: they are not masks of images yet, which the error explains."""
    (export / "photos").rename(export / "images")
    (export / "masks").mkdir()
    for path in export.glob("*.png"):
        path.rename(export / "masks" / path.name)
    with pytest.raises(LabelStudioExportError, match="dataset convert"):
        read_dataset(export)


def test_other_folders_are_not_exports(voc: Path, tmp_path: Path) -> None:
    """A dataset in another layout, and any other folder, have no brush labels."""
    assert read_dataset(voc).kind == "pascal voc"
    write(tmp_path / "x/notes.txt", "x")
    with pytest.raises(InputError, match="not a dataset in a supported layout"):
        read_dataset(tmp_path / "x")


def test_missing_files_are_reported(export: Path, tmp_path: Path) -> None:
    """Without the JSON export the images are unknown, and without the images there is nothing to learn from."""
    (export / "photos/yard.jpg").unlink()
    with pytest.raises(InputError, match=r"1 image missing in .*: 0a0a0a0a-yard\.jpg"):
        merged(export, tmp_path / "set")
    (export / "project-1.json").unlink()
    with pytest.raises(InputError, match=r"tasks 3, 4 are unknown.*JSON"):
        merged(export, tmp_path / "set")


def test_a_read_only_destination_is_reported(export: Path, tmp_path: Path) -> None:
    """If the copy cannot be written, the error names both folders."""
    write(tmp_path / "file", "x")
    with pytest.raises(InputError, match=r"cannot be merged into .*file/set\. Not a directory"):
        merged(export, tmp_path / "file/set")


def test_contradictions_are_reported(export: Path, tmp_path: Path) -> None:
    """Two images with the same name, and regions of one task in two sizes, are refused."""
    write(export / "more/yard.jpg", photo(5))
    with pytest.raises(InputError, match=r"same name: more/yard\.jpg, photos/yard\.jpg"):
        merged(export, tmp_path / "set")
    (export / "more/yard.jpg").unlink()
    region(export, "task-4-annotation-8-by-1-tag-road-1", WHOLE, (4, 4))
    with pytest.raises(InputError, match=r"road-1\.png and .*road-0\.png have different sizes"):
        merged(export, tmp_path / "other")
