"""Read labels in the format of YOLO segmentation: a text file for each image, a line for each polygon.

    CLASS X1 Y1 X2 Y2 X3 Y3 ...        coordinates as fractions of width and height

images/train/a.jpg has its labels in labels/train/a.txt, and train/images/a.jpg in train/labels/a.txt. The names of
the classes are in data.yaml, or one per line in classes.txt. An image without a text file shows no object. Lines are
drawn in the order of the file.

Source: Ultralytics' documentation, "Instance Segmentation Datasets Overview".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.datasets.annotations.files import TEST, ImageIndex, NamedSplit, folder_split, split_rule
from core.datasets.annotations.model import AnnotatedImage, Annotations, Polygon, Region
from core.datasets.matching import files_below, stem
from core.datasets.names import find_names
from core.datasets.problems import DataProblem, problem
from core.errors import InputError
from core.imaging.classes import MAX_CLASSES
from core.local_files import read_text, reason
from core.text import listing, plural

YAML_FILES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
LABELS, IMAGES = "labels", "images"
BOX_VALUES = 4
MAX_YAML = 1_000_000


def label_files(root: Path) -> list[str]:
    """Return the text files in folders named labels, below a folder."""
    return [
        path
        for path in files_below(root, (".txt",))
        if LABELS in path.lower().split("/")[:-1] and path.rpartition("/")[2] != "classes.txt"
    ]


def is_yolo(root: Path) -> bool:
    """Return whether a folder has YOLO labels: the first text file with a line begins with an id and fractions."""
    paths = label_files(root)
    for path in paths[:20]:
        try:
            lines = read_text(root / path).split("\n")
        except (OSError, UnicodeDecodeError):  # if it is a dataset, reading it reports the file
            continue
        for line in filter(str.strip, lines):
            try:
                _polygon_values(line)
            except ValueError:
                return False
            return True
    return bool(paths) and any((root / name).is_file() for name in YAML_FILES)


def read_yolo(root: Path) -> Annotations:
    """Read the labels below a folder. Raises InputError."""
    names, file, yaml = _names(root)
    labels = {_key(path): path for path in label_files(root)}
    index = ImageIndex(root)
    images = {_key(path): path for path in index.paths if IMAGES in path.lower().split("/")[:-1]}
    splits = {key: _split(path, yaml) for key, path in images.items()}
    rule = split_rule(splits.values())
    problems: list[DataProblem] = []
    annotated: list[AnnotatedImage] = []
    tests = boxes = 0
    for key, path in images.items():
        if rule.leaves_out(splits[key]):
            tests += 1
            continue
        image, box_lines = _image(root, path, labels.get(key, ""), names, rule.split(splits[key]))
        boxes += box_lines
        annotated.append(image)
    for key in labels.keys() - images.keys():
        message = "There is no image for it."
        problems.append(problem("annotation_image", labels[key], message))
    if boxes and not any(image.regions for image in annotated):
        raise InputError(
            "The labels are boxes, not polygons.",
            why=f"Each of the {plural(boxes, 'line')} has a class and 4 numbers.",
            todo="Export the dataset for segmentation.",
        )
    others = [path for path in index.paths if path not in set(images.values())]
    problems += [
        problem("annotation_unused_image", path, "It is not in a folder named images.") for path in others
    ]
    used = {region.label for image in annotated for region in image.regions}
    if not names:
        names = {number: f"class {number}" for number in range(max(map(_number_of, used), default=-1) + 1)}
    notes = [f"The names of the classes are those of {file}." if file else "No file names the classes."]
    notes += rule.notes
    if tests:
        notes.append(f"{plural(tests, 'image')} for testing left out.")
    return Annotations(
        "yolo",
        tuple(annotated),
        tuple(names[number] for number in sorted(names)),
        problems=tuple(problems),
        notes=tuple(notes),
    )


def _key(path: str) -> str:
    """Return what the paths of an image and of its labels have in common."""
    parts = stem(path).split("/")
    folders = [part for part in parts[:-1] if part.lower() not in (IMAGES, LABELS)]
    return "/".join([*folders, parts[-1]])


def _image(
    root: Path, path: str, label_file: str, names: Mapping[int, str], split: Any
) -> tuple[AnnotatedImage, int]:
    """Return an image with its polygons, and the number of lines that are boxes."""
    regions: list[Region] = []
    left_out: list[str] = []
    boxes = 0
    if not label_file:
        notes: tuple[str, ...] = ("it has no labels, so it shows no object",)
        return AnnotatedImage(path, "", split, (0, 0), (), notes=notes), 0
    try:
        lines = read_text(root / label_file).split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{label_file} cannot be read.", why=reason(error)) from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            class_id, values = _polygon_values(line)
        except ValueError as error:
            left_out.append(f"line {number}: {error}")
            continue
        label = names.get(class_id, "" if names else f"class {class_id}")
        if not label:
            left_out.append(f"line {number}: class {class_id}, which has no name")
        elif len(values) == BOX_VALUES:
            left_out.append(f"{label}: a box")
            boxes += 1
        elif len(values) % 2 or len(values) < 2 * 3:
            left_out.append(f"{label}: a polygon of {plural(len(values), 'number')}")
        else:
            points = tuple(zip(values[::2], values[1::2], strict=True))
            regions.append(Region(label, Polygon(((points,),), scaled=True)))
    image = AnnotatedImage(path, label_file, split, (0, 0), tuple(regions), tuple(left_out))
    return image, boxes


def _polygon_values(line: str) -> tuple[int, list[float]]:
    """Return the class id and the coordinates in a line. Raises ValueError."""
    words = line.split()
    class_id, values = int(words[0]), [float(word) for word in words[1:]]
    if class_id < 0 or class_id >= MAX_CLASSES or len(values) < BOX_VALUES:
        raise ValueError("it is not a class id and coordinates")
    if not all(math.isfinite(value) and -1 <= value <= 2 for value in values):
        raise ValueError("its coordinates are not fractions of width and height")
    return class_id, values


def _names(root: Path) -> tuple[dict[int, str], str, Mapping[str, Any]]:
    """Return the class names by id, the file that has them, and the content of data.yaml."""
    for file in YAML_FILES:
        if (root / file).is_file():
            document = _yaml(root, file)
            return _yaml_names(document.get("names"), file), file, document
    names = find_names(root)
    if names.classes is None and (root / LABELS).is_dir():
        names = find_names(root / LABELS)
    if names.classes is None:
        return {}, "", {}
    return dict(enumerate(names.classes.names)), names.path, {}


def _yaml(root: Path, file: str) -> Mapping[str, Any]:
    import yaml  # noqa: PLC0415  # only this format needs it

    try:
        document = yaml.safe_load(read_text(root / file, max_bytes=MAX_YAML))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError | ValueError) else f"{error}."
        raise InputError(f"{file} cannot be read.", why=why) from error
    if not isinstance(document, dict):
        raise InputError(f"{file} is invalid.", why="It has no keys such as names.")
    return document


def _yaml_names(names: Any, file: str) -> dict[int, str]:
    rows = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(rows, dict) or not rows or not all(isinstance(key, int) for key in rows):
        raise InputError(
            f"{file} has no class names.",
            why="It needs names: a list, or a name for each id.",
            todo="Add them.",
        )
    names = [str(value) for value in rows.values()]
    if len(set(names)) < len(names):
        raise InputError(f"{file} has the same class name twice.", why=f"The names are {listing(names, 20)}.")
    return {key: str(value) for key, value in rows.items()}


def _split(path: str, yaml: Mapping[str, Any]) -> NamedSplit:
    """Return the split of an image: the one with the longest path above it in data.yaml, else its folder's."""
    splits: tuple[tuple[str, NamedSplit], ...] = (("train", "train"), ("val", "validation"), ("test", TEST))
    best, split = 0, folder_split(path)
    for key, name in splits:
        values = yaml.get(key)
        for value in values if isinstance(values, list) else [values]:
            folder = str(value or "").replace("\\", "/").strip("./")
            if folder and f"/{path}".startswith(f"/{folder}/") and len(folder) > best:
                best, split = len(folder), name
    return split


def _number_of(label: str) -> int:
    return int(label.rpartition(" ")[2])
