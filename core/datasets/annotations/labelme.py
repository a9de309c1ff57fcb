"""Read labelme JSON: one file next to each image.

    {"imagePath": "a.jpg", "imageData": null, "imageHeight": 480, "imageWidth": 640,
     "shapes": [{"label": "road", "shape_type": "polygon", "points": [[x, y], ...]}]}

Shapes are drawn in the order of the file, as labelme's own export does. The label __ignore__ becomes 255. The image
is the file at imagePath, else imageData, which is the image as base64.

Source: labelme's documentation and the output of its program.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from core.datasets.annotations.files import (
    ImageIndex,
    folder_split,
    last_name,
    points_of,
    read_json,
    rows,
    split_rule,
    unused_images,
    whole,
)
from core.datasets.annotations.model import (
    AnnotatedImage,
    Annotations,
    Bitmap,
    Ellipse,
    Polygon,
    Region,
    Shape,
    box,
)
from core.datasets.names import LABELME_IGNORE
from core.datasets.problems import DataProblem, problem
from core.errors import InputError
from core.text import listing, plural

KEYS = (b'"shapes"', b'"imagePath"')
NOT_AREAS = {"line": "a line", "linestrip": "a line", "point": "a point", "points": "points"}


def is_labelme(data: bytes) -> bool:
    """Return whether a JSON file looks like labelme's."""
    return all(key in data for key in KEYS)


def read_labelme(root: Path, paths: Sequence[str]) -> Annotations:
    """Read the labelme files below a folder."""
    index = ImageIndex(root)
    problems: list[DataProblem] = []
    notes: list[str] = []
    images: list[AnnotatedImage] = []
    rule = split_rule(map(folder_split, paths))
    notes += rule.notes
    tests = [path for path in paths if rule.leaves_out(folder_split(path))]
    if tests:
        notes.append(f"{plural(len(tests), 'image')} for testing left out: {listing(tests)}.")
    for path in paths:
        if path in tests:
            continue
        try:
            image, missing = _read(root, path, index, rule.split(folder_split(path)))
        except InputError as error:
            problems.append(problem("annotation_unreadable", path, str(error)))
            continue
        problems += missing
        images += [image] if image else []
    problems += unused_images(index.paths, [image.image for image in images], rule)
    labels = sorted({region.label for image in images for region in image.regions} - {LABELME_IGNORE})
    return Annotations(
        "labelme",
        tuple(images),
        tuple(labels),
        frozenset({LABELME_IGNORE}),
        problems=tuple(problems),
        notes=tuple(notes),
    )


def embedded_image(root: Path, path: str) -> bytes:
    """Return the image in an annotation file. Raises InputError."""
    document = read_json(root, path)
    try:
        return base64.b64decode(document["imageData"], validate=True)
    except (binascii.Error, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"The image in {path} cannot be read.", why="Its imageData is not base64."
        ) from error


def _read(
    root: Path, path: str, index: ImageIndex, split: Literal["train", "validation", ""]
) -> tuple[AnnotatedImage | None, list[DataProblem]]:
    document = read_json(root, path)
    if not isinstance(document, dict):
        raise InputError(f"{path} is not labelme JSON.", why="It is not a JSON object.")
    name = str(document.get("imagePath") or "")
    candidates = index.find(name, path) if name else []
    if len(candidates) > 1:
        message = f"Its image {name} can be {listing(candidates)}; it is left out."
        return None, [problem("annotation_image", path, message, todo="Give each image a unique name.")]
    if not candidates and not document.get("imageData"):
        message = (
            f"Its image {last_name(name) or '(no name)'} is neither in the dataset's folder nor in the file."
        )
        return None, [problem("annotation_image", path, message)]
    regions: list[Region] = []
    left_out: list[str] = []
    for row in rows(document.get("shapes")):
        label = str(row.get("label") or "")
        if not label.strip():
            left_out.append("a shape without a label")
            continue
        try:
            regions.append(Region(label, _shape(row)))
        except (ValueError, OverflowError) as error:
            left_out.append(f"{label}: {error}")
    size = whole(document.get("imageWidth")), whole(document.get("imageHeight"))
    image = AnnotatedImage(
        candidates[0] if candidates else "",
        path,
        split,
        size if all(size) else (0, 0),
        tuple(regions),
        tuple(left_out),
        () if candidates else (f"the image is the one in {path}, as {last_name(name)} is not in the folder",),
    )
    return image, []


def _shape(row: dict[str, Any]) -> Shape:
    """Return the shape. Raises ValueError with what it is, if it is not an area."""
    kind = row.get("shape_type") or "polygon"
    if kind in NOT_AREAS:
        raise ValueError(NOT_AREAS[kind])
    points = points_of(row.get("points"))
    if kind == "polygon":
        if len(points) < 3:
            raise ValueError("a polygon with fewer than 3 points")
        return Polygon(((points,),))
    if kind not in ("rectangle", "circle", "mask"):
        raise ValueError(f"a shape of the unknown type {kind}")
    if len(points) < 2 or (len(points) != 2 and kind == "circle"):
        raise ValueError(f"a {kind} of {plural(len(points), 'point')}")
    if kind == "rectangle" and len(points) > 2:
        return Polygon(((points,),))
    (left, top), (right, bottom) = points[0], points[1]
    if kind == "circle":
        radius = math.hypot(right - left, bottom - top)
        return Ellipse((left, top), (radius, radius))
    if kind == "mask":
        if not isinstance(row.get("mask"), str):
            raise ValueError("a mask without its bitmap")
        return Bitmap(row["mask"], (round(left), round(top)))
    return box(left, top, right, bottom)
