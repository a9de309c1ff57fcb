"""Draw a figure for a report or a talk: image, mask and overlay side by side, with a legend below.

The only module that uses matplotlib, which is slow to import and therefore imported when the first figure is drawn.
Figures are created as objects, without pyplot and its global state.
"""

from __future__ import annotations

import io
import math
import threading
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.escaping import terminal
from core.imaging.image import fitted_size, resize_labels, resize_nearest
from core.imaging.segmentation import Segmentation
from core.render.legend import ClassArea, areas
from core.render.overlay import overlay
from core.render.palette import Table
from core.text import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Format = Literal["png", "pdf", "svg"]
Third = Literal["overlay", "confidence"]

WIDTH = 12.0
"""Width of the page, in inches."""

MARGIN, GAP, HEAD, CAPTION, ROW = 0.3, 0.2, 0.4, 0.3, 0.3
"""Page margin, gap between panels, height of the title, of a panel's caption and of a legend row; in inches."""

TALLEST = 7.0
WIDE = 2.4
"""The maximum height of a panel, in inches. Panels with an aspect ratio (width / height) above WIDE are stacked."""

COLUMNS, MOST_ROWS = 3, 10
INK, SOFT = "#1f2430", "#6b7280"
PIXELS = 1200
"""Longest side of a panel's image, in pixels."""

COMPRESSION = 1
"""Of the PNG, from 1 to 9. At 6, matplotlib's default, compression is half of the time, for 11% fewer bytes."""

# A character that the font lacks is drawn as a box. Set once at import: `catch_warnings` is not thread-safe.
warnings.filterwarnings("ignore", message="Glyph .* missing")

_drawing = threading.Lock()  # matplotlib's font and text caches are not thread-safe

Box = tuple[float, float, float, float]
"""Left, top, width, height in inches from the page's upper left corner."""

Placed = tuple[NDArray[np.generic], Box, bool]
"""An image, where it is, and whether it is resized smoothly, as labels must not be."""


def figure(
    image: NDArray[np.uint8],
    segmentation: Segmentation,
    table: Table,
    *,
    title: str = "",
    third: Third = "overlay",
    opacity: float = 0.55,
    form: Format = "png",
    dpi: int = 150,
) -> bytes:
    """Return a figure of image, mask and a third panel, with class, color, share and mean confidence below.

    image: (H, W, 3) uint8 of any size; the labels are resized to it.
    third: the overlay, or the confidence; a PNG response has no confidence, so the overlay is drawn instead.
    form:  `png` at `dpi` dots per inch, or `pdf` or `svg`.
    """
    rows = areas(segmentation, table)
    panels = _panels(image, segmentation, table, third, opacity)
    height, width = panels[0][1].shape[:2]
    boxes, below = _boxes(width / height, top=MARGIN + (HEAD if title else 0))
    with _drawing:
        page = _draw_page([caption for caption, _ in panels], boxes, below, rows, title)
        placed = [
            (image, _fitted(box, image.shape[1] / image.shape[0]), caption != "Segmentation")
            for (caption, image), box in zip(panels, boxes, strict=True)
        ]
        if form != "png":
            return _vector(page, placed, form, dpi)
        whole = _drawn(page, dpi)
    return _png(whole, placed, dpi)


def _panels(
    image: NDArray[np.uint8], segmentation: Segmentation, table: Table, third: Third, opacity: float
) -> list[tuple[str, NDArray[np.generic]]]:
    """Return captions and images, resized to at most PIXELS."""
    width, height = fitted_size(image.shape[1], image.shape[0], (PIXELS, PIXELS))
    small = np.asarray(Image.fromarray(image).resize((width, height), reducing_gap=2.0))
    labels = resize_labels(segmentation.labels, height, width)
    panels: list[tuple[str, NDArray[np.generic]]] = [("Image", small), ("Segmentation", table[labels])]
    if third == "confidence" and segmentation.confidence is not None:
        return [*panels, ("Confidence", resize_nearest(segmentation.confidence, height, width))]
    return [*panels, ("Overlay", overlay(small, labels, table, opacity))]


def _boxes(aspect: float, top: float) -> tuple[list[Box], float]:
    """Return the boxes of three panels of aspect ratio `aspect` (width / height), and where they end.

    They are in a row, or stacked if they are wide.
    """
    if aspect > WIDE:
        width = WIDTH - 2 * MARGIN
        height = max(width / aspect, 0.2)
        step = CAPTION + height + GAP
        return [(MARGIN, top + i * step + CAPTION, width, height) for i in range(3)], top + 3 * step
    width = (WIDTH - 2 * MARGIN - 2 * GAP) / 3
    height = min(width / aspect, TALLEST)
    return [
        (MARGIN + i * (width + GAP), top + CAPTION, width, height) for i in range(3)
    ], top + CAPTION + height + GAP


def _draw_page(
    captions: list[str], boxes: list[Box], below: float, rows: tuple[ClassArea, ...], title: str
) -> Figure:
    """Return the page without its panels' images."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import, and rarely needed

    lines = min(math.ceil(len(rows) / COLUMNS), MOST_ROWS)
    page = Figure(figsize=(WIDTH, below + lines * ROW + MARGIN + 0.1), facecolor="white")
    axes = page.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(page.get_figheight(), 0))  # inches from the upper left corner
    axes.axis("off")
    axes.set_autoscale_on(False)
    if title:
        _text(axes, MARGIN, MARGIN + 0.1, _truncated(title, 90), size=15, weight="bold")
    for caption, (left, top, width, _) in zip(captions, boxes, strict=True):
        _text(axes, left, top - CAPTION / 2, caption, size=10.5, color=SOFT)
        if caption == "Confidence":
            _draw_scale(axes, left + width, top - CAPTION / 2)
    _draw_legend(axes, rows, below + 0.1)
    return page


def _fitted(box: Box, aspect: float) -> Box:
    """Return the largest box of this aspect ratio at the upper left of `box`."""
    left, top, width, height = box
    return left, top, max(min(width, height * aspect), 0.02), max(min(height, width / aspect), 0.02)


def _draw_image(axes: Axes, image: NDArray[np.generic], box: Box, smooth: bool) -> None:
    left, top, width, height = box
    axes.imshow(
        image,
        extent=(left, left + width, top + height, top),
        aspect="auto",
        cmap="viridis",
        vmin=0,
        vmax=1,
        interpolation="antialiased" if smooth else "none",
    )


def _draw_scale(axes: Axes, right: float, middle: float) -> None:
    """Draw the color scale of the confidence, 0 to 1, with its right end at `right`."""
    ramp = np.linspace(0, 1, 256)[None, :]
    _draw_image(axes, ramp, (right - 1.15, middle - 0.05, 1.0, 0.1), True)
    _text(axes, right - 1.22, middle, "0", size=9, color=SOFT, align="right")
    _text(axes, right, middle, "1", size=9, color=SOFT, align="right")


def _draw_legend(axes: Axes, rows: tuple[ClassArea, ...], top: float) -> None:
    """Draw color, name, share of pixels and mean confidence in columns; many small classes become one entry."""
    room = COLUMNS * MOST_ROWS
    shown = rows if len(rows) <= room else rows[: room - 1]
    lines = min(math.ceil(len(rows) / COLUMNS), MOST_ROWS)
    width = (WIDTH - 2 * MARGIN - 2 * GAP) / COLUMNS
    places = [(MARGIN + i // lines * (width + GAP), top + (i % lines + 0.5) * ROW) for i in range(room)]
    for row, (left, middle) in zip(shown, places, strict=False):
        _draw_entry(axes, row, left, middle, width)
    if len(shown) < len(rows):
        rest = sum(row.share for row in rows[len(shown) :])
        left, middle = places[len(shown)]
        _text(axes, left, middle, f"{len(rows) - len(shown)} more classes: {_percent(rest)}", color=SOFT)


def _draw_entry(axes: Axes, row: ClassArea, left: float, middle: float, width: float) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415

    color = tuple(value / 255 for value in row.color)
    axes.add_patch(
        Rectangle((left, middle - 0.075), 0.2, 0.15, facecolor=color, edgecolor=INK, linewidth=0.4)
    )
    right = left + width - (1.32 if row.mean_confidence is not None else 0)
    _text(axes, left + 0.3, middle, _truncated(row.name, 16 if row.mean_confidence is not None else 30))
    _text(axes, right, middle, _percent(row.share), weight="bold", align="right")
    if row.mean_confidence is not None:
        _text(
            axes,
            left + width,
            middle,
            f"confidence {_percent(row.mean_confidence)}",
            color=SOFT,
            size=9,
            align="right",
        )


def _text(
    axes: Axes, x: float, y: float, text: str, *, size: float = 10, color: str = INK, weight: str = "normal",
    align: Literal["left", "right"] = "left",
) -> None:  # fmt: skip
    axes.text(
        x,
        y,
        terminal(text),
        fontsize=size,
        color=color,
        fontweight=weight,
        ha=align,
        va="center",
        parse_math=False,
    )


def _truncated(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _percent(share: float) -> str:
    return "< 0.1%" if 0 < share < 0.0005 else percent(share)


def _drawn(page: Figure, dpi: int) -> Image.Image:
    """Return the page without its images, as RGB."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415

    page.set_dpi(dpi)
    canvas: Any = FigureCanvasAgg(page)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _png(whole: Image.Image, placed: Sequence[Placed], dpi: int) -> bytes:
    """Return the page as PNG. Pillow resizes and places the images: matplotlib takes 40 ms for each."""
    for image, (left, top, width, height), smooth in placed:
        x, y = round(left * dpi), round(top * dpi)
        size = max(1, round((left + width) * dpi) - x), max(1, round((top + height) * dpi) - y)
        method = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
        whole.paste(Image.fromarray(_colors(image)).resize(size, method, reducing_gap=2.0), (x, y))
    buffer = io.BytesIO()
    whole.save(buffer, "PNG", compress_level=COMPRESSION, dpi=(dpi, dpi))
    return buffer.getvalue()


def _colors(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return an image as (H, W, 3) uint8; values from 0 to 1 in the colors of viridis, no value in white."""
    if image.ndim == 3:
        return image.astype(np.uint8, copy=False)
    from matplotlib import colormaps  # noqa: PLC0415

    colors: NDArray[np.uint8] = colormaps["viridis"](image, bytes=True)[..., :3]
    colors[np.isnan(image.astype(np.float32, copy=False))] = 255
    return colors


def _vector(page: Figure, placed: Sequence[Placed], form: Literal["pdf", "svg"], dpi: int) -> bytes:
    """Return the page as PDF or SVG, without a date, so that the same figure always has the same bytes."""
    for image, box, smooth in placed:
        _draw_image(page.axes[0], image, box, smooth)
    buffer = io.BytesIO()
    page.savefig(buffer, format=form, dpi=dpi, metadata={"CreationDate" if form == "pdf" else "Date": None})
    return buffer.getvalue()
