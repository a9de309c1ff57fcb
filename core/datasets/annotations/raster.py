"""Draw regions as pixels.

A pixel belongs to a polygon or an ellipse if its center does; where the lines of one ring cross, the even-odd rule
decides. So neighbors with a common border never overlap and leave no gap. COCO and CVAT use the same rule, rounded to
a fraction of a pixel. Points that are indices of pixels (Supervisely) include the pixels of the boundary.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from core.datasets.annotations.model import Bitmap, Ellipse, Polygon, Region, Ring, Runs, Shape
from core.datasets.annotations.runs import decode
from core.imaging.image import MAX_PIXELS

MIN_POINTS = 3
FARTHEST = 1e7
"""The largest coordinate, in pixels: more would overflow the integers of GDAL."""

MAX_PNG = 4 * MAX_PIXELS
"""Bytes of a PNG inside an annotation, once it is unpacked."""


@dataclass(frozen=True, slots=True, eq=False)
class Stamp:
    """The pixels of a shape inside of the image.

    pixels:   (h, w) bool, a part of the image.
    corner:   (left, top) of that part.
    cut:      whether the shape extends beyond the image.
    """

    pixels: NDArray[np.bool_]
    corner: tuple[int, int]
    cut: bool


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """A drawn mask.

    ids:     class ids, (H, W) uint8.
    covered: pixels where a shape covers one of another class.
    cut:     labels of shapes that extend beyond the image.
    empty:   labels of shapes without a pixel in the image.
    invalid: label and reason of shapes that cannot be drawn.
    """

    ids: NDArray[np.uint8]
    covered: int
    cut: tuple[str, ...]
    empty: tuple[str, ...]
    invalid: tuple[tuple[str, str], ...]


def draw(regions: tuple[Region, ...], ids: Mapping[str, int], size: tuple[int, int], rest: int) -> Drawing:
    """Draw regions one on top of the other. ids: label -> class id. size: (width, height). rest: id elsewhere."""
    width, height = size
    mask = np.full((height, width), rest, np.uint8)
    drawn = np.zeros((height, width), bool)
    covered = np.zeros((height, width), bool)
    cut: list[str] = []
    empty: list[str] = []
    invalid: list[tuple[str, str]] = []
    for region in regions:
        try:
            stamp = stamped(region.shape, size)
        except ValueError as error:
            invalid.append((region.label, str(error)))
            continue
        if stamp.cut:
            cut.append(region.label)
        if not stamp.pixels.any():
            empty.append(region.label)
            continue
        left, top = stamp.corner
        part = slice(top, top + stamp.pixels.shape[0]), slice(left, left + stamp.pixels.shape[1])
        class_id = ids[region.label]
        covered[part] |= stamp.pixels & drawn[part] & (mask[part] != class_id)
        drawn[part] |= stamp.pixels
        mask[part][stamp.pixels] = class_id
    return Drawing(mask, int(np.count_nonzero(covered)), tuple(cut), tuple(empty), tuple(invalid))


def stamped(shape: Shape, size: tuple[int, int]) -> Stamp:
    """Return the pixels of a shape in an image of this size, (width, height). Raises ValueError with the reason."""
    if isinstance(shape, Polygon):
        return _polygon(shape, size)
    if isinstance(shape, Ellipse):
        return _ellipse(shape, size)
    if isinstance(shape, Runs):
        if shape.size[0] * shape.size[1] > MAX_PIXELS:
            raise ValueError(f"its size is {shape.size[1]:,} x {shape.size[0]:,} pixels")
        return _placed(decode(shape), shape.corner, size)
    return _placed(_png(shape), shape.corner, size)


def _polygon(polygon: Polygon, size: tuple[int, int]) -> Stamp:
    factors = size if polygon.scaled else (1, 1)
    parts = [
        [tuple((x * factors[0], y * factors[1]) for x, y in ring) for ring in rings]
        for rings in polygon.parts
    ]
    points = [point for rings in parts for ring in rings for point in ring]
    if not parts or any(not rings or len(rings[0]) < MIN_POINTS for rings in parts):
        raise ValueError(f"it has fewer than {MIN_POINTS} points")
    extent = 1 if polygon.indices else 0
    window, cut = _window(points, size, extent)
    left, top, right, bottom = window
    if right <= left or bottom <= top:
        return Stamp(np.zeros((0, 0), bool), (0, 0), cut)
    fill = _filled_by_index if polygon.indices else _filled_by_center
    pixels = np.zeros((bottom - top, right - left), bool)
    for rings in parts:
        pixels |= fill(rings, window)
    return Stamp(pixels, (left, top), cut)


def _window(
    points: list[tuple[float, float]], size: tuple[int, int], extent: int
) -> tuple[tuple[int, int, int, int], bool]:
    """Return (left, top, right, bottom) of the pixels that these points enclose, and whether some are cut off."""
    if not all(abs(value) <= FARTHEST for point in points for value in point):  # also false for NaN
        raise ValueError("a coordinate is far away from the image")
    (left, top), (right, bottom) = (
        tuple(pick(point[axis] for point in points) for axis in (0, 1)) for pick in (min, max)
    )
    right, bottom = right + extent, bottom + extent
    cut = (
        left <= -1 or top <= -1 or right >= size[0] + 1 or bottom >= size[1] + 1
    )  # less than a pixel is how tools round
    window = (
        max(0, min(math.floor(left), size[0])),
        max(0, min(math.floor(top), size[1])),
        max(0, min(math.ceil(right), size[0])),
        max(0, min(math.ceil(bottom), size[1])),
    )
    return window, cut


def _filled_by_center(rings: list[Ring], window: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """Return the pixels whose centers are inside, by the even-odd rule over all rings."""
    from rasterio import Affine  # noqa: PLC0415  # rasterio takes 0.2 s to import
    from rasterio.features import rasterize  # noqa: PLC0415

    left, top, right, bottom = window
    geometry = {
        "type": "Polygon",
        "coordinates": [[*ring, ring[0]] for ring in rings if len(ring) >= MIN_POINTS],
    }
    pixels: NDArray[np.uint8] = rasterize(
        [(geometry, 1)],
        out_shape=(bottom - top, right - left),
        transform=Affine.translation(left, top),
        dtype="uint8",
    )
    return pixels.astype(bool)


def _filled_by_index(rings: list[Ring], window: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """Return the pixels inside and on the boundary of a ring of pixel indices; its holes include their boundary."""
    left, top, right, bottom = window
    image = Image.new("1", (right - left, bottom - top))
    pen = ImageDraw.Draw(image)
    for number, ring in enumerate(rings):
        if len(ring) >= MIN_POINTS:
            color = 0 if number else 1
            pen.polygon([(x - left, y - top) for x, y in ring], fill=color, outline=color)
    return np.asarray(image)


def _ellipse(ellipse: Ellipse, size: tuple[int, int]) -> Stamp:
    (center_x, center_y), (radius_x, radius_y) = ellipse.center, ellipse.radii
    if not (radius_x > 0 and radius_y > 0):
        raise ValueError("it has no extent")
    angle = math.radians(ellipse.rotation)
    cosine, sine = math.cos(angle), math.sin(angle)
    reach_x, reach_y = (
        math.hypot(radius_x * cosine, radius_y * sine),
        math.hypot(radius_x * sine, radius_y * cosine),
    )
    corners = [
        (center_x - reach_x, center_y - reach_y),
        (center_x + reach_x, center_y + reach_y),
    ]
    (left, top, right, bottom), cut = _window(corners, size, 0)
    columns = np.arange(left, right)[None, :] + 0.5 - center_x
    rows = np.arange(top, bottom)[:, None] + 0.5 - center_y
    along = (columns * cosine + rows * sine) / radius_x
    across = (rows * cosine - columns * sine) / radius_y
    return Stamp(along**2 + across**2 <= 1, (left, top), cut)


def _placed(pixels: NDArray[np.bool_], corner: tuple[int, int], size: tuple[int, int]) -> Stamp:
    """Return the part of the pixels that is in the image."""
    (left, top), (height, width) = corner, pixels.shape
    part = pixels[
        max(0, -top) : max(0, min(height, size[1] - top)), max(0, -left) : max(0, min(width, size[0] - left))
    ]
    cut = int(np.count_nonzero(pixels)) != int(np.count_nonzero(part))
    return Stamp(part, (max(0, left), max(0, top)), cut)


def _png(bitmap: Bitmap) -> NDArray[np.bool_]:
    """Return the nonzero pixels of a PNG, of its alpha if it has one."""
    try:
        data = base64.b64decode(bitmap.data, validate=True)
        if bitmap.packed:
            unpacker = zlib.decompressobj()
            data = unpacker.decompress(data, MAX_PNG)
            if unpacker.unconsumed_tail:
                raise ValueError("its bitmap is too large")
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"its bitmap has {image.width:,} x {image.height:,} pixels")
            if image.mode == "P":  # an index is the value
                return np.asarray(image) > 0
            return np.asarray(image.getchannel("A") if "A" in image.getbands() else image.convert("L")) > 0
    except (binascii.Error, zlib.error, OSError, SyntaxError) as error:
        raise ValueError(f"its bitmap cannot be read: {str(error).rstrip('.')}") from error
