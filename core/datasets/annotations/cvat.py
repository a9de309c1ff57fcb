"""Read CVAT XML, "CVAT for images 1.1": one file for many images.

    <image id="0" name="a.jpg" width="640" height="480" subset="Train">
      <polygon label="road" points="1.0,2.0;3.0,4.0;..." z_order="0"/>
      <box label="car" xtl="" ytl="" xbr="" ybr="" rotation="30"/>
      <ellipse label="wheel" cx="" cy="" rx="" ry="" rotation=""/>
      <mask label="dog" rle="5, 3, ..." left="" top="" width="" height=""/>
    </image>

Shapes with a higher z_order are above the others; those of the same z_order are drawn in the order of the file. The
run lengths of a mask count the pixels of its rectangle row by row.

Source: CVAT's documentation, "XML annotation format".
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from core.datasets.annotations.files import (
    COPY,
    ImageIndex,
    NamedSplit,
    image_or_problem,
    named_split,
    split_rule,
    unused_images,
)
from core.datasets.annotations.model import (
    AnnotatedImage,
    Annotations,
    Ellipse,
    Polygon,
    Region,
    Runs,
    Shape,
    box,
)
from core.datasets.ground_truth import hex_color
from core.datasets.problems import DataProblem, problem
from core.errors import InputError
from core.imaging.classes import Color
from core.local_files import read_regular, reason
from core.text import plural

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element  # the type alone; defusedxml parses

MAX_DIGITS = 9
NOT_AREAS = {
    "polyline": "a line",
    "points": "points",
    "cuboid": "a cuboid",
    "skeleton": "a skeleton",
    "tag": "a tag of the whole image",
}


def is_cvat(data: bytes) -> bool:
    """Return whether an XML file looks like CVAT's."""
    return b"<annotations>" in data and (b"<image " in data or b"<track " in data)


def read_cvat(root: Path, paths: Sequence[str]) -> Annotations:
    """Read the CVAT files below a folder. Raises InputError."""
    index = ImageIndex(root)
    problems: list[DataProblem] = []
    notes: list[str] = []
    images: dict[str, AnnotatedImage] = {}
    colors: dict[str, Color] = {}
    labels: dict[str, None] = {}
    documents = [(path, _parse(root, path)) for path in paths]
    rule = split_rule(
        _split(element, path) for path, document in documents for element in document.iter("image")
    )
    notes += rule.notes
    left_out: list[str] = []
    for path, document in documents:
        for element in document.findall("./meta//labels/label"):
            name = (element.findtext("name") or "").strip()
            labels.setdefault(name)
            color = hex_color((element.findtext("color") or "").strip())
            if color:
                colors[name] = color
        tests = 0
        for element in document.iter("image"):
            named, name = _split(element, path), element.get("name", "")
            if rule.leaves_out(named):
                tests += 1
                left_out += index.find(name, path)
                continue
            image, missing = image_or_problem(index, name, path)
            problems += missing
            if image in images:
                message = f"It is in {images[image].file} and in {path}; the first entry is used."
                problems.append(problem("annotation_note", image, message))
            elif image:
                images[image] = _image(element, image, path, rule.split(named))
        if tests:
            notes.append(f"{path}: {plural(tests, 'image')} of the subset for testing left out.")
    drawn = {region.label for image in images.values() for region in image.regions}
    labels |= dict.fromkeys(sorted(drawn - labels.keys()))
    problems += unused_images(index.paths, [*images, *left_out], rule)
    return Annotations(
        "cvat",
        tuple(images.values()),
        tuple(labels),
        colors=colors,
        problems=tuple(problems),
        notes=tuple(notes),
    )


def _parse(root: Path, path: str) -> Element:
    """Return the root element of a file. Raises InputError, also for a file with entities, which can be bombs."""
    from xml.etree.ElementTree import ParseError  # noqa: PLC0415  # the error alone

    from defusedxml import DefusedXmlException  # noqa: PLC0415  # only this format needs it
    from defusedxml.ElementTree import parse  # noqa: PLC0415

    try:
        document: Element = parse(io.BytesIO(read_regular(root / path))).getroot()
    except (OSError, ValueError, ParseError, DefusedXmlException) as error:
        entities = isinstance(error, DefusedXmlException)
        why = "It declares entities, which CVAT does not write." if entities else f"{error}."
        why = reason(error) if isinstance(error, OSError) else why
        raise InputError(f"{path} cannot be read.", why=why, todo=COPY) from error
    if document.find("track") is not None:
        raise InputError(
            f"{path} is in the format CVAT for video.",
            why="Its tracks are about the frames of a video, not about images.",
            todo='Export the task as "CVAT for images 1.1", with images.',
        )
    return document


def _split(element: Element, path: str) -> NamedSplit:
    subset = element.get("subset", "")
    return named_split(subset) if subset and subset.lower() != "default" else named_split(path)


def _image(
    element: Element, image: str, path: str, split: Literal["train", "validation", ""]
) -> AnnotatedImage:
    shapes: list[tuple[int, Region]] = []
    left_out: list[str] = []
    for child in element:
        label = child.get("label", "")
        if not label.strip():
            left_out.append(f"a {child.tag} without a label")
            continue
        if child.tag in NOT_AREAS:
            left_out.append(f"{label}: {NOT_AREAS[child.tag]}")
            continue
        try:
            shapes.append((int(child.get("z_order", "0")), Region(label, _shape(child))))
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            why = f"its {error} is missing" if isinstance(error, KeyError) else str(error)
            left_out.append(f"{label}: a {child.tag} that cannot be read, {why}")
    shapes.sort(key=lambda pair: pair[0])
    size = _size(element, "width"), _size(element, "height")
    return AnnotatedImage(image, path, split, size, tuple(region for _, region in shapes), tuple(left_out))


def _size(element: Element, name: str) -> int:
    """Return a size in pixels; 0 where it is not a whole number."""
    text = element.get(name, "")
    return int(text) if text.isdecimal() and len(text) <= MAX_DIGITS else 0


def _shape(element: Element) -> Shape:
    """Return the shape. Raises KeyError, ValueError."""
    values = element.attrib
    if element.tag == "polygon":
        points = tuple(_point(pair) for pair in values["points"].split(";"))
        if len(points) < 3:
            raise ValueError("it has fewer than 3 points")
        return Polygon(((points,),))
    angle = float(values.get("rotation", "0"))
    if element.tag == "box":
        left, top, right, bottom = (float(values[name]) for name in ("xtl", "ytl", "xbr", "ybr"))
        return _rotated(box(left, top, right, bottom), angle) if angle else box(left, top, right, bottom)
    if element.tag == "ellipse":
        center_x, center_y, radius_x, radius_y = (float(values[name]) for name in ("cx", "cy", "rx", "ry"))
        return Ellipse((center_x, center_y), (radius_x, radius_y), angle)
    if element.tag == "mask":
        left, top, width, height = (int(float(values[name])) for name in ("left", "top", "width", "height"))
        counts = tuple(int(count) for count in values["rle"].split(","))
        return Runs(counts, (height, width), (left, top), by_rows=True)
    raise ValueError("its type is unknown")


def _point(pair: str) -> tuple[float, float]:
    x, y = pair.split(",")
    return float(x), float(y)


def _rotated(rectangle: Polygon, angle: float) -> Polygon:
    """Return a rectangle rotated about its center. angle: degrees, clockwise on the screen."""
    (ring,) = rectangle.parts[0]
    center_x, center_y = (sum(point[axis] for point in ring) / len(ring) for axis in (0, 1))
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    points = tuple(
        (
            center_x + (x - center_x) * cosine - (y - center_y) * sine,
            center_y + (x - center_x) * sine + (y - center_y) * cosine,
        )
        for x, y in ring
    )
    return Polygon(((points,),))
