"""Shapes become pixels: by the centers of pixels, by the even-odd rule, one on top of the other."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from PIL import Image

from core.datasets.annotations.model import Bitmap, Ellipse, Polygon, Region, Runs, Shape, box
from core.datasets.annotations.raster import draw, stamped
from core.datasets.annotations.runs import decode, decompressed
from tests.support.dataset import encoded
from tests.support.tool_formats import SIZE, compressed, inside, run_lengths

SMALL = (6, 5)


def pixels(shape: Shape, size: tuple[int, int] = SMALL) -> np.ndarray:
    """Return the pixels of a shape in an image of this size, (width, height)."""
    stamp = stamped(shape, size)
    whole = np.zeros(size[::-1], int)
    left, top = stamp.corner
    height, width = stamp.pixels.shape
    whole[top : top + height, left : left + width] = stamp.pixels
    return whole


def rows(shape: Shape) -> list[str]:
    return ["".join(".#"[value] for value in row) for row in pixels(shape)]


def test_a_pixel_is_in_a_polygon_if_its_center_is() -> None:
    """A border through a pixel takes it if more than half of it, along the line of centers, is inside."""
    assert rows(box(1.4, 0.6, 3.6, 2.4)) == ["......", ".###..", "......", "......", "......"]
    assert rows(box(1.6, 0.4, 3.4, 2.6)) == ["..#...", "..#...", "..#...", "......", "......"]
    assert rows(Polygon(((((0.0, 0.0), (5.1, 0.0), (0.0, 5.1)),),))) == [
        "#####.",
        "####..",
        "###...",
        "##....",
        "#.....",
    ]


def test_neighbors_with_a_common_border_neither_overlap_nor_leave_a_gap() -> None:
    """Each pixel along a common border is in exactly one of two polygons, also if its center is on the border."""
    border = [(2.5, 0.0), (4.5, 2.0), (1.5, 5.0)]
    left = Polygon((((*border, (0.0, 5.0), (0.0, 0.0)),),))
    right = Polygon((((*border, (6.0, 5.0), (6.0, 0.0)),),))
    assert (pixels(left) + pixels(right)).tolist() == np.ones((5, 6), int).tolist()


def test_crossing_lines_follow_the_even_odd_rule() -> None:
    """What a ring surrounds twice is outside: the middle of a star drawn in one line, and a ring in a ring."""
    twice = ((0, 0), (6, 0), (6, 5), (0, 5), (0, 0), (1, 1), (5, 1), (5, 4), (1, 4), (1, 1))
    holed = Polygon(((((0, 0), (6, 0), (6, 5), (0, 5)), ((1, 1), (5, 1), (5, 4), (1, 4))),))
    frame = ["######", "#....#", "#....#", "#....#", "######"]
    assert rows(Polygon(((tuple((float(x), float(y)) for x, y in twice),),))) == frame
    assert rows(holed) == frame


def test_parts_of_one_annotation_are_joined() -> None:
    """A pixel in two parts of a COCO annotation is in it: parts are no holes."""
    parts = (box(0, 0, 3, 3).parts[0], box(2, 2, 5, 4).parts[0])
    assert rows(Polygon(parts)) == ["###...", "###...", "#####.", "..###.", "......"]


@given(st.lists(st.tuples(st.integers(-900, 7000), st.integers(-900, 5700)), min_size=3, max_size=9))
@example([(0, 0), (0, 100), (5000, 5000)])  # its longest edge passes close to the centers of many pixels
def test_polygons_agree_with_counting_edges(corners: list[tuple[int, int]]) -> None:
    """Any polygon, also one that crosses itself or leaves the image, has the pixels that counting edges gives."""
    exact = [(100 * x + 37, 100 * y + 41) for x, y in corners]
    assume(not any(meets_a_center(start, end) for start, end in pairwise([*exact, exact[0]])))
    ring = [(x / UNIT, y / UNIT) for x, y in exact]
    assert pixels(Polygon(((tuple(ring),),)), SIZE).tolist() == inside(ring).astype(int).tolist()


UNIT = 10_000
"""Parts of a pixel, so that coordinates are exact."""


def meets_a_center(start: tuple[int, int], end: tuple[int, int]) -> bool:
    """Return whether an edge's line passes through the center of a pixel, which is then on either side of it."""
    (x1, y1), (x2, y2) = start, end
    x, y = np.meshgrid(np.arange(SIZE[0]) * UNIT + UNIT // 2, np.arange(SIZE[1]) * UNIT + UNIT // 2)
    return start != end and bool(((x - x1) * (y2 - y1) == (y - y1) * (x2 - x1)).any())


def test_points_that_are_indices_include_the_boundary() -> None:
    """Supervisely's points are pixels: those on the boundary belong to the shape, and those of a hole to the hole."""
    outer, hole = ((0, 0), (4, 0), (4, 4), (0, 4)), ((2, 2), (3, 2), (3, 3), (2, 3))
    assert rows(Polygon(((outer, hole),), indices=True)) == ["#####.", "#####.", "##..#.", "##..#.", "#####."]
    assert rows(Polygon((((((1, 1), (4, 1), (1, 3)),),)), indices=True))[1:4] == [
        ".####.",
        ".##...",
        ".#....",
    ]


def test_ellipses_have_the_pixels_with_centers_inside() -> None:
    """A circle, an ellipse and a rotated ellipse are those of the equation, at pixel centers."""
    assert rows(Ellipse((2.5, 2.5), (2.0, 2.0))) == ["..#...", ".###..", "#####.", ".###..", "..#..."]
    flat, turned = Ellipse((3.0, 2.5), (3.0, 1.1)), Ellipse((2.5, 2.5), (2.5, 0.6), 90.0)
    assert rows(flat) == ["......", "..##..", "######", "..##..", "......"]
    assert rows(turned) == ["..#..."] * 5
    diagonal = pixels(Ellipse((2.5, 2.5), (3.0, 0.5), 45.0))
    assert [int(diagonal[i, i]) for i in range(5)] == [1] * 5  # clockwise on the screen: down to the right


def test_shapes_are_drawn_from_bottom_to_top() -> None:
    """An upper shape covers a lower one; pixels are counted where their classes differ."""
    regions = (
        Region("a", box(0, 0, 4, 4)),
        Region("a", box(1, 1, 3, 3)),
        Region("b", box(3, 3, 9, 9)),
        Region("c", box(9, 9, 12, 12)),
        Region("c", Polygon(())),
        Region("c", Polygon(((((float("nan"), 0.0), (1.0, 1.0), (0.0, 1.0)),),))),
    )
    drawing = draw(regions, {"a": 1, "b": 2, "c": 3}, SMALL, 0)
    assert drawing.ids.tolist() == [
        [1, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 1, 2, 2, 2],
        [0, 0, 0, 2, 2, 2],
    ]
    assert (drawing.covered, drawing.cut, drawing.empty) == (1, ("b", "c"), ("c",))
    assert [reason for _, reason in drawing.invalid] == [
        "it has fewer than 3 points",
        "a coordinate is far away from the image",
    ]


def test_run_lengths_are_read_by_column_and_by_row() -> None:
    """COCO counts down the columns; CVAT counts along the rows of a rectangle in the image."""
    counts = (1, 2, 3, 1, 1)  # 0 1 1 0 0 0 1 0
    assert decode(Runs(counts, (4, 2))).astype(int).tolist() == [[0, 0], [1, 0], [1, 1], [0, 0]]
    assert rows(Runs(counts, (2, 4), (2, 1), by_rows=True)) == [
        "......",
        "...##.",
        "....#.",
        "......",
        "......",
    ]


@pytest.mark.parametrize(
    ("counts", "text"),
    [((6, 1, 40, 4, 5, 4, 5, 4, 21), "61X13mN000`0"), ((0, 3, 2, 1), "032N"), ((), "")],
)
def test_compressed_run_lengths(counts: Sequence[int], text: str) -> None:
    """The example in the documentation of COCO's format, and one by hand: 0, 3, 2, then 1 as 1 - 3 = -2."""
    assert list(decompressed(text)) == list(counts)
    assert compressed(counts) == text


@given(st.lists(st.integers(0, 100_000), max_size=30))
def test_compressed_run_lengths_of_any_value(counts: list[int]) -> None:
    """Every list of lengths is read as it was written."""
    assert list(decompressed(compressed(counts))) == counts


@pytest.mark.parametrize(
    ("runs", "why"),
    [
        (Runs((3, 4), (2, 3)), r"cover 7 pixels of the 6 of its size 3 x 2"),
        (Runs((-1, 7), (2, 3)), r"negative"),
        (Runs("X", (2, 3)), r"middle of a number"),
        (Runs("\x7f", (2, 3)), r"invalid character"),
        (Runs("o" * 9, (2, 3)), r"invalid character"),
        (Runs((1,), (100_000, 100_000)), r"its size is"),
    ],
)
def test_invalid_run_lengths_are_refused(runs: Runs, why: str) -> None:
    """Lengths that do not fill the rectangle, and text that is not COCO's, give a reason."""
    with pytest.raises(ValueError, match=why):
        stamped(runs, SMALL)


def test_run_lengths_of_shapes_in_the_test_formats() -> None:
    """The writer of the test formats agrees with the reader."""
    shape = inside([(3.1, 4.2), (50.3, 9.9), (20.2, 44.4)])
    assert decode(Runs(tuple(run_lengths(shape.T.ravel())), SIZE[::-1])).tolist() == shape.tolist()


def test_bitmaps_are_placed_at_their_corner() -> None:
    """A PNG in base64, with zlib or without, is read by its alpha, its values or its bits, and cut at the edge."""
    alpha = np.zeros((2, 3, 4), np.uint8)
    alpha[0, :, 3] = 255
    gray = np.array([[0, 9, 255]], np.uint8)
    packed = base64.b64encode(zlib.compress(encoded(Image.fromarray(alpha), "PNG"))).decode()
    plain = base64.b64encode(encoded(Image.fromarray(gray).convert("1"), "PNG")).decode()
    assert rows(Bitmap(packed, (4, 3), packed=True))[3] == "....##"
    assert rows(Bitmap(plain, (-1, 1)))[1] == ".#...."
    assert stamped(Bitmap(packed, (4, 3), packed=True), SMALL).cut
    for data in ("?", base64.b64encode(b"no PNG").decode(), packed):
        with pytest.raises(ValueError, match=r"its bitmap cannot be read"):
            stamped(Bitmap(data, (0, 0)), SMALL)
