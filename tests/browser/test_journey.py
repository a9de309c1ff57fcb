"""The first steps of a user: the dashboard on its own sandbox, with the demo models, in a real browser."""

from __future__ import annotations

import json
import os
import re
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Error as BrowserError
from playwright.sync_api import Locator, Page, expect

from tests.support.browser import LONG, drop, eventually, fits, press, shown

ROOT = Path(__file__).parents[2]
AERIAL = ROOT / "sandbox" / "demo" / "aerial"

WINDOWS: tuple[tuple[int, int, Literal["light", "dark"]], ...] = (
    (1280, 900, "light"),
    (1280, 900, "dark"),
    (1920, 1080, "light"),
    (1920, 1080, "dark"),
    (480, 900, "light"),
    (480, 900, "dark"),
)
"""Width and height of a window in pixels, and its color scheme."""

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def data_dir(demo_dashboard: Any) -> Path:
    """Where the dashboard's sandbox keeps its state."""
    folder: Path = demo_dashboard.data_dir
    return folder


@pytest.fixture(scope="module")
def dashboard(demo_dashboard: Any) -> str:
    """The address of a dashboard with the demo models."""
    address: str = demo_dashboard.address
    return address


def river() -> Path:
    """Return an image for the aerial model with a lot of water."""
    return AERIAL / "examples" / "river.jpg"


def inner_point(name: str) -> tuple[float, float]:
    """Return where in `river()` this class is, far from its border: x and y as fractions of width and height."""
    ids = np.asarray(Image.open(river().with_name("river_truth.png")))
    names = [row["name"] for row in json.loads((AERIAL / "classes.json").read_text())["classes"]]
    inside = np.pad(ids == names.index(name), 1)
    last = inside
    while inside.any():
        last = inside
        inside = (
            inside[1:-1, 1:-1] & inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
        )
        inside = np.pad(inside, 1)
    row, column = np.argwhere(last)[0] - 1
    return (column + 0.5) / ids.shape[1], (row + 0.5) / ids.shape[0]


def viewer(page: Page) -> Locator:
    """Return the viewer, once its image is drawn."""
    root = page.locator(".viewer")
    expect(root).to_have_attribute("data-planes", re.compile(r"[1-9]"), timeout=LONG)
    return root


def point_at(page: Page, root: Locator, place: tuple[float, float]) -> None:
    """Move the mouse over the mask, to a point of the whole image."""
    canvas = root.locator(".result canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    with Image.open(river()) as image:
        scale = min(box["width"] / image.width, box["height"] / image.height)
        width, height = image.width * scale, image.height * scale
    left, top = box["x"] + (box["width"] - width) / 2, box["y"] + (box["height"] - height) / 2
    page.mouse.move(left + place[0] * width, top + place[1] * height)


def test_deep_link_on_a_fresh_server(dashboard, page: Page):
    """The first page that a new server shows, opened by its address, is inside the shell."""
    page.goto(f"{dashboard}/setup")
    shown(page.get_by_role("heading", name="Setup"), timeout=LONG)
    sidebar = page.get_by_test_id("stSidebar")
    expect(sidebar.get_by_text("Sandbox on this machine").first).to_be_visible()
    shown(sidebar.get_by_role("link", name="Segment"))
    shown(page.get_by_text("aerial-land-cover"))


def test_a_dropped_image_is_segmented(dashboard, page: Page, output_path, ready):
    """A dropped JPEG is shown next to its mask, and the readout over the river is `water`, in windows of any size."""
    page.goto(f"{dashboard}/segment?endpoint=aerial-land-cover")
    drop(page, {river().name: river().read_bytes()})
    root = viewer(page)
    ready(page)

    def read_river() -> str:  # what is still drawn above the viewer moves it away from the mouse
        point_at(page, root, inner_point("water"))
        return root.locator(".readout").inner_text()

    for width, height, scheme in WINDOWS:
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)
        page.mouse.move(0, 0)
        eventually(page, read_river, lambda text: "water" in text)
        page.screenshot(path=Path(output_path, f"painted-{scheme}-{width}.png"))
        fits(page, width)


def test_one_click_on_an_example(dashboard, page: Page):
    """A new user gets a mask with one click, and nothing is fetched from outside this machine."""
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(f"{dashboard}/segment")
    press(page.get_by_role("group", name="Examples").get_by_role("button").first)
    viewer(page)
    shown(page.get_by_text("Class breakdown"))
    eventually(page, lambda: any("inter.woff2" in url for url in requested), bool)
    outside = [url for url in requested if not url.startswith((dashboard, "data:", "blob:"))]
    assert outside == []


def test_the_first_mask_is_one_click_away(dashboard, page: Page, output_path):
    """On the first page of a new sandbox, one click on a sample image shows image and mask next to each other."""
    page.goto(dashboard)
    press(page.get_by_role("group", name="Sample images").get_by_role("button").first)
    root = viewer(page)
    expect(root.get_by_role("button", name="Side by side")).to_have_attribute("aria-pressed", "true")
    expect(root).to_contain_text("grass")
    page.screenshot(path=Path(output_path, "first-mask.png"))


def test_several_files_of_which_one_is_broken(dashboard, page: Page, ready, tmp_path, output_path):
    """Of several dropped files the broken one is reported with its reason; the others can be shown in turn."""
    broken = tmp_path / "survey 2026-03-14 north-east quadrant, second pass (corrected) 0047.jpg"
    broken.write_bytes(river().read_bytes()[:20_000])
    second = tmp_path / "second.jpg"
    Image.open(river()).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(second, quality=92)
    page.goto(f"{dashboard}/segment?endpoint=aerial-land-cover")
    drop(page, {file.name: file.read_bytes() for file in (river(), broken, second)})
    shown(page.get_by_text("2 images done in"), timeout=LONG)
    shown(page.get_by_test_id("stAlert").filter(has_text="damaged or truncated"))
    viewer(page)
    images = page.get_by_role("group", name="Images").get_by_role("button")
    press(images.filter(has_text="second.jpg"))
    expect(images.filter(has_text="second.jpg")).to_have_attribute("aria-pressed", "true", timeout=LONG)
    ready(page)  # its buttons are there too
    page.screenshot(path=Path(output_path, "several.png"), full_page=True)
    with page.expect_download(timeout=LONG) as download:
        press(page.get_by_role("button", name="Mask", exact=True))
    assert download.value.suggested_filename == "second_mask.png"
    saved = Image.open(download.value.path())
    assert saved.mode == "P"
    assert saved.size == Image.open(second).size


def test_killed_sandbox(dashboard, data_dir: Path, page: Page, tmp_path):
    """With the sandbox killed, a dropped image is segmented without a reload; where an error comes first, by a click.

    The dashboard restarts the sandbox within seconds: whether the page meets it dead is a matter of luck.
    """
    unsent = tmp_path / "unsent.jpg"  # the response to an image that was sent before is cached
    Image.open(river()).transpose(Image.Transpose.ROTATE_180).save(unsent, quality=92)
    page.goto(f"{dashboard}/segment?endpoint=aerial-land-cover")
    shown(page.get_by_role("group", name="Examples"), timeout=LONG)
    os.kill(json.loads((data_dir / "sandbox.json").read_text())["pid"], signal.SIGKILL)
    drop(page, {unsent.name: unsent.read_bytes()})
    page.evaluate("window.neverReloaded = true")
    again, drawn = page.get_by_role("button", name="Try again"), page.locator(".viewer[data-planes]")

    def recovers() -> int:
        if again.count():
            with suppress(BrowserError):  # the page may recover by itself just before the click
                again.first.click(timeout=1000)
        return drawn.count()

    eventually(page, recovers, bool)
    viewer(page)
    expect(page.get_by_test_id("stAlert")).to_have_count(0, timeout=LONG)
    assert page.evaluate("window.neverReloaded")
