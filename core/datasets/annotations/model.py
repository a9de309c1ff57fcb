"""Annotated images as values: what a reader of an annotation format returns, before anything is drawn.

Coordinates are in pixels from the top left corner, x to the right and y down: pixel (row, column) covers
[column, column + 1) x [row, row + 1), and its center is at (column + 0.5, row + 0.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from core.datasets.problems import DataProblem
from core.datasets.source import Split
from core.imaging.classes import Color

AnnotationKind = Literal["coco", "labelme", "cvat", "yolo", "supervisely"]

TITLES: Mapping[AnnotationKind, str] = {
    "coco": "COCO JSON",
    "labelme": "labelme JSON",
    "cvat": "CVAT XML",
    "yolo": "YOLO segmentation",
    "supervisely": "Supervisely",
}

Point = tuple[float, float]
"""x and y."""

Ring = tuple[Point, ...]
"""A closed line; the last point is connected to the first."""


@dataclass(frozen=True, slots=True)
class Polygon:
    """One or more parts; a pixel is in the shape if it is in any part.

    parts:   each is a ring and its holes. A pixel is in a part if its center is, by the even-odd rule.
    indices: whether the points are the indices of pixels, which then belong to the shape, also on the boundary.
    scaled:  whether the points are fractions of width and height.
    """

    parts: tuple[tuple[Ring, ...], ...]
    indices: bool = False
    scaled: bool = False


def box(left: float, top: float, right: float, bottom: float) -> Polygon:
    """Return a rectangle."""
    return Polygon(((((left, top), (right, top), (right, bottom), (left, bottom)),),))


@dataclass(frozen=True, slots=True)
class Ellipse:
    """An ellipse. rotation: degrees, clockwise on the screen."""

    center: Point
    radii: Point
    rotation: float = 0.0


@dataclass(frozen=True, slots=True)
class Runs:
    """A run-length encoding: run lengths of 0 and 1 in turn, starting with 0.

    counts:  the lengths, or their text in COCO's compression.
    size:    (height, width) of the encoded rectangle.
    corner:  (left, top) of the rectangle in the image.
    by_rows: whether pixels are counted row by row; else column by column.
    """

    counts: tuple[int, ...] | str
    size: tuple[int, int]
    corner: tuple[int, int] = (0, 0)
    by_rows: bool = False


@dataclass(frozen=True, slots=True)
class Bitmap:
    """A PNG whose nonzero pixels are the shape.

    data:   the PNG as base64.
    packed: whether the PNG is compressed with zlib inside the base64.
    corner: (left, top) of the PNG in the image.
    """

    data: str
    corner: tuple[int, int]
    packed: bool = False


Shape = Polygon | Ellipse | Runs | Bitmap


@dataclass(frozen=True, slots=True)
class Region:
    """A shape and its label."""

    label: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """An image and its regions.

    image:    its path below the dataset's folder; empty where the annotation file contains the image.
    file:     the annotation file, below the dataset's folder.
    split:    empty where the dataset does not define one.
    size:     (width, height) by the annotation file; zeros where it does not say.
    regions:  from the bottom to the top, in the tool's own order.
    left_out: a sentence for each annotation that is not a region, such as "a line".
    notes:    sentences on what was decided when it was read.
    """

    image: str
    file: str
    split: Split | Literal[""]
    size: tuple[int, int]
    regions: tuple[Region, ...]
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Annotations:
    """The content of a dataset's annotation files.

    labels:   in the order of the tool's ids; each becomes a class.
    ignored:  labels whose pixels become 255.
    colors:   of labels, where the tool has them.
    problems: such as images that are missing.
    notes:    sentences on what was decided.
    """

    kind: AnnotationKind
    images: tuple[AnnotatedImage, ...]
    labels: tuple[str, ...]
    ignored: frozenset[str] = frozenset()
    colors: Mapping[str, Color] = field(default_factory=dict)
    problems: tuple[DataProblem, ...] = ()
    notes: tuple[str, ...] = ()
