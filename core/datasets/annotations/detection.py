"""Find out which annotation formats a folder has, and read one of them."""

from __future__ import annotations

from pathlib import Path

from core.datasets.annotations.coco import is_coco, read_coco
from core.datasets.annotations.cvat import is_cvat, read_cvat
from core.datasets.annotations.labelme import is_labelme, read_labelme
from core.datasets.annotations.model import AnnotationKind, Annotations
from core.datasets.annotations.supervisely import is_supervisely, read_supervisely
from core.datasets.annotations.yolo import is_yolo, read_yolo
from core.datasets.choices import Choices
from core.datasets.matching import files_below
from core.local_files import read_regular

MOST_OTHERS = 50
"""Files of another format after which no more are opened: a folder can have a JSON file for each image."""


def annotation_kinds(root: Path) -> tuple[AnnotationKind, ...]:
    """Return the formats of the annotation files below a folder."""
    if is_supervisely(root):
        return ("supervisely",)
    kinds: list[AnnotationKind] = []
    if _paths(root, "coco", first=True):
        kinds.append("coco")
    if _paths(root, "labelme", first=True):
        kinds.append("labelme")
    if _paths(root, "cvat", first=True):
        kinds.append("cvat")
    if is_yolo(root):
        kinds.append("yolo")
    return tuple(kinds)


def read_annotations(root: Path, kind: AnnotationKind, choices: Choices) -> Annotations:
    """Read the annotation files of one format. Raises InputError, ChoiceNeededError."""
    if kind == "coco":
        return read_coco(root, _paths(root, kind), choices)
    if kind == "labelme":
        return read_labelme(root, _paths(root, kind))
    if kind == "cvat":
        return read_cvat(root, _paths(root, kind))
    return read_yolo(root) if kind == "yolo" else read_supervisely(root)


def _paths(root: Path, kind: AnnotationKind, *, first: bool = False) -> list[str]:
    """Return the annotation files of one format; first: at most one, and only the first few files are opened."""
    suffix = ".xml" if kind == "cvat" else ".json"
    matches = {"coco": is_coco, "labelme": is_labelme, "cvat": is_cvat}[kind]
    paths: list[str] = []
    others = 0
    for path in files_below(root, (suffix,)):
        try:
            data = read_regular(root / path)
        except OSError:  # not readable: if it is the only annotation file, the folder has no supported layout
            continue
        if matches(data):
            paths.append(path)
        else:
            others += 1
        if first and (paths or others >= MOST_OTHERS):
            break
    return paths
