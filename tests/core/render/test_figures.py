"""Figures for reports."""

from __future__ import annotations

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.imaging.classes import VOC, Classes
from core.imaging.segmentation import Segmentation
from core.render import figures
from core.render.figures import Format, figure
from core.render.legend import ClassArea
from tests.support.warnings_as_errors import fails_at_user_warnings

ROOT = Path(__file__).parents[3]


def example(height: int, width: int, classes: int = 3) -> tuple[np.ndarray, Segmentation]:
    labels = (np.arange(height * width).reshape(height, width) % classes).astype(np.uint8)
    confidence = np.full(labels.shape, 0.75, np.float32)
    return np.full((height, width, 3), 90, np.uint8), Segmentation(labels, confidence, None, VOC)


def drawn(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def holds(picture: np.ndarray, color: tuple[int, int, int]) -> bool:
    return bool((picture == color).all(axis=2).any())


@fails_at_user_warnings  # matplotlib warns if a layout does not fit
@pytest.mark.parametrize("size", [(60, 80), (80, 60), (20, 200), (400, 10), (1, 1), (1, 3000), (3000, 1)])
def test_a_figure_of_any_shape(size: tuple[int, int]) -> None:
    """Landscape, portrait, panorama, a line and a single pixel all give a page of a printable size."""
    photo, found = example(*size)
    picture = drawn(figure(photo, found, VOC.table(), title="Example", dpi=50))
    assert picture.shape[1] == 600
    assert 80 <= picture.shape[0] <= 1000


def test_a_figure_shows_image_mask_and_legend() -> None:
    """The colors of the image and of every class are on the page, whose background is white."""
    photo, found = example(3, 3)
    picture = drawn(figure(photo, found, VOC.table()))
    for color in ((90, 90, 90), *VOC.colors[:3], (255, 255, 255)):
        assert holds(picture, color), color


def test_the_third_panel_is_a_choice() -> None:
    """The third panel shows the confidence where it is requested and available, else the overlay."""
    photo, found = example(6, 8)
    without = Segmentation(found.labels, None, None, VOC)
    overlay = figure(photo, without, VOC.table(), dpi=40)
    assert figure(photo, without, VOC.table(), third="confidence", dpi=40) == overlay
    assert figure(photo, found, VOC.table(), third="confidence", dpi=40) != figure(
        photo, found, VOC.table(), dpi=40
    )


@pytest.mark.parametrize(("form", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_a_figure_is_the_same_each_time(form: Format, start: bytes) -> None:
    """PNG and PDF always have the same bytes and no date; SVG can be drawn too."""
    photo, found = example(6, 8)
    data = figure(photo, found, VOC.table(), form=form)
    assert data.startswith(start)
    assert form == "svg" or data == figure(photo, found, VOC.table(), form=form)


@pytest.mark.filterwarnings("ignore:Glyph")
def test_names_are_drawn_literally() -> None:
    """Names with characters special to matplotlib, long names and names that no font has are drawn literally."""
    photo, found = example(6, 8)
    names = Classes(("$\\frac{", "n" * 300, "空"), VOC.colors[:3])
    strange = Segmentation(found.labels, found.confidence, None, names)
    assert drawn(figure(photo, strange, names.table(), title="_^$ 100 %", dpi=40)).shape[1] == 480


def test_very_many_classes_fit_a_page() -> None:
    """Of 254 classes the largest are listed, the others are summed up."""
    photo = np.zeros((32, 32, 3), np.uint8)
    labels = (np.arange(1024).reshape(32, 32) % 254).astype(np.uint8)
    found = Segmentation(labels, None, None, Classes.numbered(254))
    assert drawn(figure(photo, found, VOC.table(), dpi=50)).shape[0] < 600


def test_figures_may_be_drawn_at_the_same_time() -> None:
    """Threads that draw at the same time get the same figures as alone."""
    photo, found = example(30, 40)
    alone = figure(photo, found, VOC.table(), dpi=40)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: figure(photo, found, VOC.table(), dpi=40), range(8))) == {alone}


def test_matplotlib_is_imported_at_the_first_figure_only() -> None:
    """Importing the renderers and the export does not import matplotlib, and drawing does not import pyplot."""
    program = (
        "import sys, numpy as np, core.inference.export, core.render.figures as f\n"
        "from core.imaging.classes import VOC\n"
        "from core.imaging.segmentation import Segmentation as S\n"
        "assert 'matplotlib' not in sys.modules\n"
        "f.figure(np.zeros((4,4,3),np.uint8), S(np.zeros((4,4),np.uint8),None,None,VOC), VOC.table())\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("with_confidence", [True, False])
def test_the_texts_of_the_legend_do_not_overlap(with_confidence: bool) -> None:
    """Long names of wide letters leave room for the share and the confidence of their class."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    confidence = 1.0 if with_confidence else None
    rows = tuple(
        ClassArea(i, f"WWmm {i} a very long name of a class", (0, 0, 0), 9, 1.0, confidence) for i in range(9)
    )
    page = figures._draw_page(["Image"] * 3, [(0.3, 0.6, 3.6, 2.7)] * 3, 3.5, rows, "")
    canvas = FigureCanvasAgg(page)
    canvas.draw()
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in page.axes[0].texts[3:]]
    clashes = [(a, b) for n, a in enumerate(boxes) for b in boxes[n + 1 :] if a.overlaps(b)]
    assert not clashes
