"""Journeys through the map viewer in a real browser: zoom, pan, hover, classes, split view, and a tile that fails.

The map is that of tests/support/maps.py: grass, cropland, water and road in the four quarters of 1,000 x 700 pixels.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from operator import eq
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import StreamlitServer
from tests.support.axe import described, violations
from tests.support.browser import LONG, eventually, fits, press, set_theme
from tests.support.maps import CLASSES, UNNAMED, MapFolder, write_map

SETTLED = re.compile("settled")
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> MapFolder:
    """The files of the map."""
    return write_map(tmp_path_factory.mktemp("map"))


@pytest.fixture(scope="module")
def address(streamlit_server: StreamlitServer, folder: MapFolder) -> str:
    """The address of the page that `map_app.py` describes, behind the browser boundary."""
    script = Path(__file__).with_name("map_app.py")
    return streamlit_server(script, {"MAP_FOLDER": str(folder.scene.parent)})


@pytest.fixture
def shown(page: Page, address: str, ready: Callable[[Page], None]) -> Locator:
    """The map on its page, with all tiles of the first view."""
    page.goto(address)
    ready(page)
    root = page.locator(".viewer.map")
    expect(root).to_have_attribute("data-tiles", SETTLED, timeout=LONG)
    return root


def at_full_size(root: Locator) -> None:
    """Show the middle of the map with one pixel of the image per pixel of the screen."""
    root.focus()
    root.press("0")
    root.press("1")
    expect(root).to_have_attribute("data-scale", "1.00000")
    expect(root).to_have_attribute("data-view", re.compile(r" 0\.5000 0\.5000$"))
    expect(root).to_have_attribute("data-tiles", SETTLED, timeout=LONG)


def color(root: Locator, dx: int, dy: int, pane: str = "result") -> list[int]:
    """Return the color that is drawn so many pixels from the middle of a pane."""
    rgba: list[int] = root.locator(f".{pane} canvas").evaluate(
        """(canvas, [dx, dy]) => [...canvas.getContext("2d").getImageData(
            canvas.width / 2 + dx, canvas.height / 2 + dy, 1, 1).data]""",
        [dx, dy],
    )
    return rgba[:3]


def point(page: Page, root: Locator, dx: int, dy: int) -> None:
    """Move the mouse to so many pixels from the middle of the result."""
    box = root.locator(".result canvas").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2 + dx, box["y"] + box["height"] / 2 + dy)


def test_zoom_pan_and_the_pixel_under_the_mouse(page: Page, shown: Locator) -> None:
    """The map zooms and pans with wheel and keys, reads pixels, hides classes, and lists those without a name."""
    name, place = shown.locator(".readout .name"), shown.locator(".readout .place")
    for scheme in SCHEMES:
        set_theme(page, scheme)
        assert not (rows := violations(page)), described(rows)
    point(page, shown, -60, -60)
    expect(name).to_have_text("grass")
    expect(place).to_have_text(
        re.compile(r"^x \d+, y \d+ · EPSG:32632 50\d{4}\.0, 5299\d{3}\.0 · 47\.8\d+° N, 9\.0")
    )
    at_full_size(shown)
    expect(shown.locator(".ruler")).to_have_text("200 m")
    point(page, shown, 60, 60)
    expect(name).to_have_text("<b>road</b>")
    expect(shown.locator(".readout .percent")).to_have_text(re.compile(r"^confidence \d+%$"))
    page.mouse.move(5, 5)
    expect(name).to_have_text("Hover to inspect pixels")

    shown.get_by_label("Opacity", exact=True).fill("100")
    expect(shown.locator(".opacity output")).to_have_text("100%")
    expect(shown).to_have_attribute("data-tiles", SETTLED)
    quarters = ((-100, -100), (100, -100), (-100, 100), (100, 100))
    for (dx, dy), expected in zip(quarters, CLASSES.colors, strict=True):
        eventually(page, partial(color, shown, dx, dy), partial(eq, list(expected)))
    press(shown.locator(".toggle[data-id='0']"))
    expect(shown.locator(".toggle[data-id='0']")).to_have_attribute("aria-pressed", "false")
    eventually(page, lambda: color(shown, -100, -100), lambda rgb: rgb == color(shown, -100, -100, "image"))
    expect(shown.locator(".entry .label")).to_have_text([*CLASSES.names, f"class {UNNAMED}"])
    shown.focus()
    shown.press("ArrowRight")
    expect(shown).to_have_attribute("data-view", re.compile(r" 0\.5640 0\.5000$"))
    before = shown.get_attribute("data-scale")
    point(page, shown, 0, 0)
    page.mouse.wheel(0, -300)
    expect(shown).not_to_have_attribute("data-scale", str(before))
    shown.press("0")
    expect(shown.locator(".level")).to_have_text("Fit")
    page.set_viewport_size({"width": 390, "height": 844})
    fits(page, 390)


def test_split_view_renewed_links_and_tiles_that_cannot_be_read(
    page: Page, shown: Locator, address: str, folder: MapFolder
) -> None:
    """The divider moves by keys; an expired link is renewed unnoticed; a failed tile is reported and tried again."""
    press(shown.locator("[data-layout=slider]"))
    expect(shown).to_have_attribute("data-layout", "slider")
    divider = shown.locator(".divider")
    divider.press("Home")
    expect(divider).to_have_attribute("aria-valuenow", "0")
    divider.press("ArrowRight")
    expect(divider).to_have_attribute("aria-valuenow", "2")
    clip = shown.locator(".result").evaluate("(pane) => getComputedStyle(pane).clipPath")
    assert "2%" in clip

    locator, failure = shown.locator(".locator"), shown.locator(".failure")
    expect(locator).to_be_hidden()
    assert page.request.get(f"{address}/invalidate").ok
    shown.focus()
    with (
        page.expect_response(lambda reply: reply.status == 404 and "/map/" in reply.url, timeout=LONG),
        page.expect_response(lambda reply: reply.ok and "/mask/2/" in reply.url, timeout=LONG),
    ):
        for _ in range(4):
            shown.press("+")
    expect(shown).to_have_attribute("data-tiles", SETTLED, timeout=LONG)
    expect(shown.locator(".level")).not_to_have_text("Fit")
    expect(failure).to_be_hidden()
    locator.click(position={"x": 100, "y": 70})
    expect(shown).to_have_attribute("data-view", re.compile(r" 0\.7[5-7]\d\d 0\.[67]\d\d\d$"))

    status = folder.confidence.stat()
    os.utime(folder.confidence, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))
    try:
        press(shown.locator("[data-mode=confidence]"))
        expect(failure).to_contain_text("scene_confidence.tif was replaced", timeout=LONG)
        expect(shown).to_have_attribute("data-tiles", SETTLED, timeout=LONG)  # no request is under way
    finally:
        os.utime(folder.confidence, ns=(status.st_atime_ns, status.st_mtime_ns))
    press(failure.get_by_role("button", name="Try again"))
    expect(failure).to_be_hidden()
    expect(shown).to_have_attribute("data-tiles", SETTLED, timeout=LONG)
    expect(failure).to_be_hidden()
