"""Read COCO JSON: one file for many images, with polygons and run-length encodings.

    {"images": [{"id": 7, "file_name": "a.jpg", "width": 640, "height": 480}],
     "categories": [{"id": 18, "name": "dog"}],
     "annotations": [{"image_id": 7, "category_id": 18, "iscrowd": 0, "segmentation": [[x, y, x, y, ...], ...]}]}

Category ids may have gaps; class ids follow their order. Annotations are drawn in the order of the file; crowds
first, as their outlines are coarse. A file is for a split if its path names one: instances_val2017.json,
valid/....json.

Source: cocodataset.org, "Data format".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from core.datasets.annotations.files import (
    ImageIndex,
    NamedSplit,
    image_or_problem,
    named_split,
    number,
    read_json,
    rows,
    split_rule,
    unused_images,
    whole,
)
from core.datasets.annotations.model import AnnotatedImage, Annotations, Polygon, Region, Runs, Shape
from core.datasets.choices import Choices
from core.datasets.problems import DataProblem, problem
from core.errors import InputError
from core.text import listing, plural

KEYS = (b'"images"', b'"annotations"', b'"categories"')
SPLIT_WORD = re.compile(r"(?i)(train(ing)?|val(id(ation)?)?|test(ing)?)(?![a-z])\d*")


@dataclass(frozen=True, slots=True)
class _File:
    """One JSON file. categories: id -> name."""

    path: str
    split: NamedSplit
    categories: dict[int, str]
    images: list[dict[str, Any]]
    annotations: dict[Any, list[dict[str, Any]]]


def read_coco(root: Path, paths: Sequence[str], choices: Choices) -> Annotations:
    """Read the COCO files below a folder. Raises InputError, ChoiceNeededError."""
    files = _chosen([_read(root, path) for path in paths], choices)
    index = ImageIndex(root)
    rule = split_rule(file.split for file in files)
    notes, problems = [*rule.notes], []
    images: dict[str, AnnotatedImage] = {}
    tests: list[str] = []
    for file in files:
        if rule.leaves_out(file.split):
            notes.append(f"{plural(len(file.images), 'image')} for testing left out: {file.path}.")
            tests += [
                path for row in file.images for path in index.find(str(row.get("file_name")), file.path)
            ]
            continue
        for row in file.images:
            name = str(row.get("file_name", ""))
            path, missing = image_or_problem(index, name, file.path)
            problems += missing
            if path:
                image = _image(row, path, file, rule.split(file.split))
                problems += _twice(images.get(path), image)
                images[path] = _joined(images.get(path), image)
    labels, renumbered = _labels(files)
    problems += unused_images(index.paths, [*images, *tests], rule)
    return Annotations(
        "coco",
        tuple(images.values()),
        labels,
        problems=tuple(problems),
        notes=(*notes, *renumbered),
    )


def is_coco(data: bytes) -> bool:
    """Return whether a JSON file looks like COCO, without parsing it: it can have hundreds of megabytes."""
    return all(key in data for key in KEYS)


def _read(root: Path, path: str) -> _File:
    document = read_json(root, path)
    if not isinstance(document, dict):
        raise InputError(f"{path} is not COCO JSON.", why="It is not a JSON object.")
    categories = {
        row["id"]: str(row.get("name", row["id"]))
        for row in rows(document.get("categories"))
        if isinstance(row.get("id"), int)
    }
    annotations: dict[Any, list[dict[str, Any]]] = {}
    for row in rows(document.get("annotations")):
        annotations.setdefault(_key(row.get("image_id")), []).append(row)
    images = rows(document.get("images"))
    unknown = set(annotations) - {_key(row.get("id")) for row in images}
    if unknown:
        count = sum(len(annotations[image]) for image in unknown)
        raise InputError(
            f"{path} has {plural(count, 'annotation')} of images that are not in it.",
            why=f"Their image_id is {listing(sorted(map(str, unknown)))}.",
            todo="Export the annotations again.",
        )
    return _File(path, named_split(path), categories, images, annotations)


def _key(value: Any) -> str:
    """Return an id as text: some exports write numbers as text in one place and as numbers in another."""
    return str(value)


def _chosen(files: list[_File], choices: Choices) -> list[_File]:
    """Return the files to use: those of one kind, if files of several kinds are about the same images."""
    kinds: dict[str, list[_File]] = {}
    for file in files:
        name = file.path.rpartition("/")[2].removesuffix(".json")
        kinds.setdefault(SPLIT_WORD.sub("", name).strip("_-.") or "annotations", []).append(file)
    if len(kinds) == 1:
        return files
    names = [{str(row.get("file_name")) for file in kind for row in file.images} for kind in kinds.values()]
    if sum(map(len, names)) == len(set().union(*names)):
        return files
    return kinds[choices.pick("Several annotation files are about the same images.", list(kinds))]


def _labels(files: Iterable[_File]) -> tuple[tuple[str, ...], list[str]]:
    """Return the labels in the order of the category ids, and a sentence on category ids that are not class ids."""
    labels: dict[str, int] = {}
    for file in files:
        for category, name in sorted(file.categories.items()):
            labels.setdefault(name, category)
    ids = list(labels.values())
    if not ids or ids == list(range(1, len(ids) + 1)):
        return tuple(labels), []
    note = f"The category ids {min(ids)} to {max(ids)} became class ids without gaps, in the same order."
    return tuple(labels), [note]


def _image(
    row: dict[str, Any], path: str, file: _File, split: Literal["train", "validation", ""]
) -> AnnotatedImage:
    regions: list[Region] = []
    crowds: list[Region] = []
    left_out: list[str] = []
    for annotation in file.annotations.get(_key(row.get("id")), []):
        category = annotation.get("category_id")
        label = file.categories.get(category) if isinstance(category, int) else None
        if label is None:
            left_out.append(f"an annotation with the category {category}, which the file does not define")
            continue
        try:
            shape, parts = _shape(annotation.get("segmentation"))
        except ValueError as error:
            left_out.append(f"{label}: {error}")
            continue
        left_out += [f"{label}: a part with fewer than 3 points"] * parts
        (crowds if annotation.get("iscrowd") else regions).append(Region(label, shape))
    notes = (f"{plural(len(crowds), 'crowd')} drawn below the other shapes",) if crowds else ()
    size = whole(row.get("width")), whole(row.get("height"))
    return AnnotatedImage(path, file.path, split, size, (*crowds, *regions), tuple(left_out), notes)


def _shape(segmentation: Any) -> tuple[Shape, int]:
    """Return the shape, and how many parts of it have too few points. Raises ValueError."""
    if isinstance(segmentation, dict):
        return _runs(segmentation), 0
    if not segmentation:
        raise ValueError("an annotation without an outline, such as a box")
    if not isinstance(segmentation, list):
        raise ValueError("a segmentation that is neither polygons nor run lengths")  # noqa: TRY004  # of a file
    if not isinstance(segmentation[0], list):  # some exports leave out the outer list
        segmentation = [segmentation]
    parts = []
    for values in segmentation:
        if not isinstance(values, list) or len(values) % 2:
            raise ValueError("a polygon with an odd number of coordinates")
        numbers = [number(value) for value in values]
        parts.append((tuple(zip(numbers[::2], numbers[1::2], strict=True)),))
    usable = tuple(part for part in parts if len(part[0]) >= 3)
    if not usable:
        raise ValueError("a polygon with fewer than 3 points")
    return Polygon(usable), len(parts) - len(usable)


def _runs(segmentation: dict[str, Any]) -> Runs:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not all(whole(value) for value in size):
        raise ValueError("run lengths without a size")
    if isinstance(counts, list) and all(type(value) is int for value in counts):
        return Runs(tuple(counts), (size[0], size[1]))
    if isinstance(counts, str):
        return Runs(counts, (size[0], size[1]))
    raise ValueError("run lengths that are neither numbers nor text")


def _twice(before: AnnotatedImage | None, image: AnnotatedImage) -> list[DataProblem]:
    if before is None:
        return []
    message = (
        f"It is in {before.file} and {image.file}"
        if before.file != image.file
        else f"It is in {image.file} twice"
    )
    return [problem("annotation_note", image.image, f"{message}; the shapes of both are drawn.")]


def _joined(before: AnnotatedImage | None, image: AnnotatedImage) -> AnnotatedImage:
    if before is None:
        return image
    if before.size != image.size or before.split != image.split:
        raise InputError(
            f"{image.image} has two entries that differ in size or split.",
            why=f"They are in {before.file} and {image.file}.",
            todo="Remove one of them.",
        )
    return AnnotatedImage(
        image.image,
        image.file,
        image.split,
        image.size,
        (*before.regions, *image.regions),
        (*before.left_out, *image.left_out),
        (*before.notes, *image.notes),
    )
