"""Read Supervisely's format: a folder for each dataset of a project, with img and ann, and the project's meta.json.

    meta.json            {"classes": [{"title": "road", "shape": "polygon", "color": "#ff0000"}]}
    ds0/img/a.jpg
    ds0/ann/a.jpg.json   {"size": {"height": 480, "width": 640}, "objects": [
                           {"classTitle": "road", "geometryType": "polygon",
                            "points": {"exterior": [[x, y], ...], "interior": [[[x, y], ...]]}},
                           {"classTitle": "car", "geometryType": "bitmap",
                            "bitmap": {"data": "...", "origin": [x, y]}}]}

A bitmap is a PNG, compressed with zlib, in base64. Points are the indices of pixels, so the pixels of the boundary
belong to the shape. Objects are drawn in the order of the file.

Source: Supervisely's documentation, "Annotation JSON format" and "Objects".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.datasets.annotations.files import folder_split, points_of, read_json, rows, split_rule, whole
from core.datasets.annotations.model import (
    AnnotatedImage,
    Annotations,
    Bitmap,
    Polygon,
    Region,
    Shape,
    box,
)
from core.datasets.ground_truth import hex_color
from core.datasets.matching import files_below
from core.datasets.problems import DataProblem, problem
from core.errors import InputError
from core.imaging.classes import Color
from core.imaging.suffixes import IMAGE_SUFFIXES
from core.text import listing, plural

META = "meta.json"
NOT_AREAS = {"line": "a line", "point": "a point", "graph": "key points", "cuboid": "a cuboid"}


def is_supervisely(root: Path) -> bool:
    """Return whether a folder is a project: meta.json, and a folder with img and ann."""
    return (root / META).is_file() and bool(_datasets(root))


def read_supervisely(root: Path) -> Annotations:
    """Read a project. Raises InputError."""
    labels, colors = _classes(root)
    problems: list[DataProblem] = []
    notes: list[str] = []
    images: list[AnnotatedImage] = []
    datasets = _datasets(root)
    rule = split_rule(folder_split(f"{dataset}/x") for dataset in datasets)
    for dataset in datasets:
        named = folder_split(f"{dataset}/x")
        folder = root / dataset
        paths = files_below(folder / "img", IMAGE_SUFFIXES)
        if rule.leaves_out(named):
            notes.append(f"{plural(len(paths), 'image')} for testing left out: {dataset}.")
            continue
        annotation_files = set(files_below(folder / "ann", (".json",)))
        below = "" if dataset == "." else f"{dataset}/"
        for path in paths:
            file = f"{path}.json"
            if file not in annotation_files:
                file = f"{path.rpartition('.')[0]}.json"  # the format before 2019
            image = f"{below}img/{path}"
            if file not in annotation_files:
                problems.append(problem("annotation_unused_image", image, "It has no annotation file."))
                continue
            annotation_files.remove(file)
            try:
                images.append(_image(root, image, f"{below}ann/{file}", rule.split(named), set(labels)))
            except InputError as error:
                problems.append(problem("annotation_unreadable", f"{below}ann/{file}", str(error)))
        problems += [
            problem("annotation_image", f"{below}ann/{file}", "There is no image for it.")
            for file in sorted(annotation_files)
        ]
    if not rule.known and len(datasets) > 1:
        notes.append(f"The datasets {listing(datasets)} of the project are read as one; the split is random.")
    return Annotations(
        "supervisely", tuple(images), labels, colors=colors, problems=tuple(problems), notes=tuple(notes)
    )


def _datasets(root: Path) -> list[str]:
    """Return the folders with img and ann, below the root; they may be nested."""
    folders = [path.parent for depth in ("", "*/", "*/*/", "*/*/*/") for path in root.glob(f"{depth}img")]
    return sorted(
        folder.relative_to(root).as_posix() or "." for folder in folders if (folder / "ann").is_dir()
    )


def _classes(root: Path) -> tuple[tuple[str, ...], dict[str, Color]]:
    document = read_json(root, META)
    classes = rows(document.get("classes")) if isinstance(document, dict) else []
    if not classes:
        raise InputError(f"{META} has no classes.", todo="Export the project again.")
    colors = {str(row.get("title")): hex_color(str(row.get("color"))) for row in classes}
    return tuple(colors), {name: color for name, color in colors.items() if color is not None}


def _image(root: Path, image: str, file: str, split: Any, labels: set[str]) -> AnnotatedImage:
    document = read_json(root, file)
    if not isinstance(document, dict) or not isinstance(document.get("objects"), list):
        raise InputError(f"{file} is not an annotation file.", why="It has no objects.")
    regions: list[Region] = []
    left_out: list[str] = []
    for row in rows(document["objects"]):
        label = str(row.get("classTitle"))
        try:
            shape = _shape(row)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            why = str(error) if type(error) is ValueError else "an object that is not complete"
            left_out.append(f"{label}: {why}")
            continue
        if label in labels:
            regions.append(Region(label, shape))
        else:
            left_out.append(f"{label}: an object of a class that {META} does not have")
    size = document.get("size")
    size = size if isinstance(size, dict) else {}
    return AnnotatedImage(
        image,
        file,
        split,
        (whole(size.get("width")), whole(size.get("height"))),
        tuple(regions),
        tuple(left_out),
    )


def _shape(row: dict[str, Any]) -> Shape:
    """Return the shape. Raises ValueError, KeyError, TypeError."""
    kind = str(row.get("geometryType"))
    if kind in NOT_AREAS:
        raise ValueError(NOT_AREAS[kind])
    if kind == "bitmap":
        left, top = row["bitmap"]["origin"]
        return Bitmap(str(row["bitmap"]["data"]), (int(left), int(top)), packed=True)
    if kind not in ("polygon", "rectangle"):
        raise ValueError(f"an object of the type {kind}")
    exterior = points_of(row["points"]["exterior"])
    if kind == "rectangle":
        (left, top), (right, bottom) = exterior
        return box(min(left, right), min(top, bottom), max(left, right) + 1, max(top, bottom) + 1)
    if len(exterior) < 3:
        raise ValueError("a polygon with fewer than 3 points")
    return Polygon(
        ((exterior, *(points_of(ring) for ring in row["points"].get("interior") or ())),), indices=True
    )
