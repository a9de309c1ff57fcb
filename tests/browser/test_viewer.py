"""Journeys through the mask viewer, in a real browser: hover, click, keyboard and touch.

`viewer_app.py` describes the image: 40 x 30 labels, road left, grass right, a car at x 8-11, y 10-13.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from playwright.sync_api import Browser, Error, FloatRect, Locator, Page, ViewportSize, expect

from tests.support.browser import LONG, eventually, open_context, press

LABELS = (40, 30)
DESK: ViewportSize = {"width": 1280, "height": 900}
SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")
LONG_NAME = "<b>a very long class name that does not fit into the legend</b>"
ROAD, GRASS, CAR = (128, 128, 128), (110, 190, 90), (230, 60, 60)

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Viewer:
    """The viewer on a page, by what a user can find on it."""

    page: Page
    root: Locator

    def canvas(self, pane: str = "result") -> Locator:
        return self.root.locator(f".{pane} canvas")

    def place(self, x: float, y: float, pane: str = "result") -> tuple[float, float]:
        """Return where the middle of a label pixel is on the page, while all of the image is shown."""
        box = self.canvas(pane).bounding_box()
        assert box
        scale = min(box["width"] / LABELS[0], box["height"] / LABELS[1])
        left = box["x"] + (box["width"] - scale * LABELS[0]) / 2
        top = box["y"] + (box["height"] - scale * LABELS[1]) / 2
        return left + (x + 0.5) * scale, top + (y + 0.5) * scale

    def point(self, x: int, y: int, pane: str = "result") -> None:
        self.settled()
        self.page.mouse.move(*self.place(x, y, pane))

    def color(self, x: int, y: int, pane: str = "result") -> tuple[int, ...]:
        """Return the color drawn at a label pixel, next to its middle, where the crosshair may be."""
        self.settled()
        canvas, (left, top) = self.canvas(pane), self.place(x - 0.3, y - 0.3, pane)
        rgba = canvas.evaluate(
            """(canvas, [left, top]) => {
                const box = canvas.getBoundingClientRect();
                const ratio = canvas.width / box.width;
                const [x, y] = [(left - box.left) * ratio, (top - box.top) * ratio];
                return [...canvas.getContext("2d").getImageData(x, y, 1, 1).data];
            }""",
            [left, top],
        )
        return tuple(rgba[:3])

    def settled(self) -> None:
        """Wait until the panes have their size on the page and show the last change."""
        self.root.evaluate(SETTLED, LONG, timeout=LONG)

    def pixels(self, pane: str) -> str:
        """Return all that is drawn in a pane."""
        self.settled()
        return str(self.canvas(pane).evaluate("(canvas) => canvas.toDataURL()"))

    def reads(self, text: str | re.Pattern[str]) -> None:
        """Wait until the readout shows this text."""
        expect(self.root.locator(".readout")).to_have_text(text, use_inner_text=True)

    def reads_first(self, text: str) -> None:
        """Wait until the readout begins with this text."""
        self.reads(re.compile("^" + re.escape(text).replace(r"\ ", r"\s+")))

    def reads_last(self, text: str) -> None:
        """Wait until the readout ends with this text."""
        self.reads(re.compile(re.escape(text) + "$"))

    def view(self) -> str:
        """Return zoom and center of what is drawn."""
        self.settled()
        return self.root.get_attribute("data-view") or ""

    def zoom(self) -> float:
        return float((self.view() or "nan").split()[0])

    def button(self, name: str) -> Locator:
        return self.root.get_by_role("button", name=name, exact=True)

    def entry(self, class_id: int) -> Locator:
        return self.root.locator(f".toggle[data-id='{class_id}']")

    def press(self, *keys: str) -> None:
        self.root.focus()
        for key in keys:
            self.page.keyboard.press(key)

    def set_opacity(self, percent: int) -> None:
        self.root.get_by_label("Opacity", exact=True).fill(str(percent))


@pytest.fixture(scope="module")
def address(parts: str) -> str:
    """The address of the page that `viewer_app.py` describes."""
    return f"{parts}/viewer"


@pytest.fixture
def open_viewer(address: str, ready: Callable[[Page], None]) -> Callable[[Page], Viewer]:
    """`open_viewer(page)` opens the page and waits until image and planes are there."""

    def open_at(page: Page) -> Viewer:
        page.goto(address)
        ready(page)
        viewer = Viewer(page, page.locator(".viewer"))
        expect(viewer.root).to_have_attribute("data-planes", "4")
        viewer.settled()
        return viewer

    return open_at


@pytest.fixture(scope="module")
def tab(browser: Browser, address: str, ready: Callable[[Page], None]) -> Iterator[Page]:
    """One tab for all journeys: to start Streamlit in a browser takes longer than any of them."""
    with open_context(browser, viewport=DESK, color_scheme="light") as context:
        page = context.new_page()
        page.goto(address)
        ready(page)
        yield page


@pytest.fixture
def viewer(tab: Page, ready: Callable[[Page], None]) -> Iterator[Viewer]:
    """A new viewer; at the end, no error may have reached the browser's console."""
    errors: list[Error] = []

    def note(error: Error) -> None:
        errors.append(error)

    tab.on("pageerror", note)
    tab.evaluate("() => sessionStorage.clear()")
    tab.set_viewport_size(DESK)
    tab.mouse.move(2, 2)
    turn = int(tab.get_by_text(re.compile("^round")).first.inner_text().split()[1])
    press(tab.get_by_role("button", name="Start over"))
    expect(tab.get_by_text(f"round {turn + 1} run 1")).to_be_visible()
    ready(tab)
    viewer = Viewer(tab, tab.locator(f".st-key-viewer-{turn + 1} .viewer"))
    expect(viewer.root).to_have_attribute("data-planes", "4")
    viewer.settled()
    yield viewer
    tab.remove_listener("pageerror", note)
    assert errors == []


def size(locator: Locator) -> tuple[float, float]:
    box = locator.bounding_box()
    return (box["width"], box["height"]) if box else (0, 0)


def stacked(boxes: list[FloatRect | None]) -> bool:
    """Return whether the second of two boxes is below the first."""
    image, result = boxes
    return bool(image and result and result["y"] >= image["y"] + image["height"])


def near(left: tuple[int, ...], right: tuple[float, ...], slack: int = 4) -> bool:
    return all(abs(a - b) <= slack for a, b in zip(left, right, strict=True))


def test_labels_reach_the_browser_exactly(viewer: Viewer) -> None:
    """The class ids in the browser are those of the segmentation, pixel for pixel."""
    values = viewer.root.evaluate("(root) => [...root.viewer.frame.labels.values]")
    expected = np.repeat([[0] * 20 + [1] * 20], 30, axis=0)
    expected[10:14, 8:12] = 2
    expected[-1] = 255
    assert np.array_equal(np.reshape(values, (30, 40)), expected)


@pytest.mark.parametrize(
    ("x", "y", "text"),
    [
        (3, 3, "road confidence 75% 2nd: grass 20% x 70, y 70"),
        (
            30,
            5,
            f"grass confidence 70% 2nd: {LONG_NAME} 18% x 610, y 110",
        ),
        (8, 10, "car confidence 90% 2nd: road 6% x 170, y 210"),
        (11, 13, "car confidence 90% 2nd: road 6% x 230, y 270"),
    ],
)
def test_readout_of_a_pixel(viewer: Viewer, x: int, y: int, text: str) -> None:
    """On either pane, the pixel under the mouse: class, confidence, second class, and position in the image."""
    for pane in ("image", "result"):
        viewer.point(x, y, pane)
        viewer.reads(text)
    viewer.page.mouse.move(2, 2)
    viewer.reads("Hover to inspect pixels")


def test_ignored_pixels(viewer: Viewer) -> None:
    """Pixels of id 255 read "ignore"."""
    viewer.point(5, 29)
    viewer.reads_first("ignore")


def test_classes_are_drawn_over_the_image(viewer: Viewer) -> None:
    """At 55% opacity the mask is mixed with the image, at 100% only the mask is drawn, at 0% only the image."""
    image = viewer.color(30, 15, "image")
    mixed = tuple(0.55 * color + 0.45 * under for color, under in zip(GRASS, image, strict=True))
    assert near(viewer.color(30, 15), mixed)
    viewer.set_opacity(100)
    assert near(viewer.color(30, 15), GRASS, 0)
    assert near(viewer.color(9, 11), CAR, 0)
    viewer.set_opacity(0)
    assert near(viewer.color(30, 15), image, 0)


def test_zoom_and_pan_keep_both_panes_in_sync(viewer: Viewer) -> None:
    """The wheel zooms at the pointer and a drag pans, in both panes alike; a double-click shows the whole image."""
    viewer.set_opacity(0)  # so that both panes draw the same
    viewer.point(10, 12)
    viewer.page.mouse.wheel(0, -900)
    zoomed = "(root) => Number(root.dataset.view.split(' ')[0]) > 3"
    viewer.page.wait_for_function(zoomed, arg=viewer.root.element_handle())
    viewer.page.mouse.move(2, 2)
    viewer.point(10, 12)
    viewer.reads_first("car confidence 90%")  # what was under the mouse is still there
    viewer.reads_last("x 210, y 250")
    assert viewer.pixels("image") == viewer.pixels("result")

    before = viewer.view()
    x, y = viewer.place(20, 15, "image")
    viewer.page.mouse.move(x, y)
    viewer.page.mouse.down()
    viewer.page.mouse.move(x - 60, y - 30, steps=4)
    viewer.page.mouse.up()
    assert viewer.view() != before
    assert viewer.pixels("image") == viewer.pixels("result")

    viewer.canvas("image").dblclick()
    assert viewer.zoom() == 1


def test_the_wheel_scrolls_the_page_where_it_cannot_zoom_out(viewer: Viewer) -> None:
    """With the whole image shown, the page gets the wheel that would zoom out."""
    viewer.point(20, 15)
    prevented = viewer.canvas().evaluate(
        """(canvas) => [120, -120].map((deltaY) => {
            const event = new WheelEvent("wheel", { deltaY, bubbles: true, cancelable: true });
            canvas.dispatchEvent(event);
            return event.defaultPrevented;
        })"""
    )
    assert prevented == [False, True]


def test_legend_entries_show_hide_and_isolate(viewer: Viewer) -> None:
    """An entry hides its class; "only", or Alt with the entry, shows its class alone; once more shows all again."""
    viewer.set_opacity(100)
    image = viewer.color(9, 11, "image")
    viewer.entry(2).click()
    assert near(viewer.color(9, 11), image)
    assert near(viewer.color(30, 15), GRASS)
    expect(viewer.entry(2)).to_have_attribute("aria-pressed", "false")

    viewer.button("Show only car").click()
    assert near(viewer.color(9, 11), CAR)
    assert near(viewer.color(3, 3), viewer.color(3, 3, "image"))
    viewer.entry(0).click(modifiers=["Alt"])
    assert near(viewer.color(3, 3), ROAD)
    assert near(viewer.color(9, 11), image)
    viewer.entry(0).click(modifiers=["Shift"])
    assert near(viewer.color(9, 11), CAR)

    viewer.entry(2).click()
    viewer.button("Show all").click()
    assert near(viewer.color(9, 11), CAR)


def test_legend_entries_show_name_and_share_as_text(viewer: Viewer) -> None:
    """Entries are sorted by their share; a name is text, never HTML, and the tooltip has all of it."""
    entries = viewer.root.locator(".toggle")
    assert [" ".join(text.split()) for text in entries.all_inner_texts()] == [
        "grass 48.3%",
        "road 47.0%",
        "ignore 3.3%",
        "car 1.3%",
        f"{LONG_NAME} 0%",
    ]
    assert viewer.root.locator("b").count() == 1, "the marker of the color scale, and none from a name"
    assert "into the legend</b>" in (entries.last.get_attribute("title") or "")
    box = viewer.root.locator(".entry").last.bounding_box()
    assert box
    assert box["width"] <= 250


def test_confidence_map(viewer: Viewer) -> None:
    """The confidence map draws equal probabilities in equal colors of the scale, and leaves hidden classes out."""
    viewer.button("Confidence").click()
    viewer.set_opacity(100)
    scale = viewer.root.evaluate(
        "(root) => [...root.viewer.scale].map((p) => [p & 255, p >> 8 & 255, p >> 16 & 255])"
    )
    assert near(viewer.color(3, 3), scale[75])
    assert near(viewer.color(30, 15), scale[70])
    assert near(viewer.color(9, 11), scale[90])
    expect(viewer.root.locator(".result figcaption")).to_have_text("Confidence")
    expect(viewer.root.locator(".scale")).to_be_visible()
    viewer.entry(2).click()
    assert near(viewer.color(9, 11), viewer.color(9, 11, "image"))


def test_probability_map_of_a_chosen_class(viewer: Viewer) -> None:
    """The map of a class shows its probability everywhere; the class is chosen in the list or by its entry."""
    viewer.button("Probability").click()
    viewer.set_opacity(100)
    viewer.root.get_by_label("Class whose probability is shown").select_option(label="road")
    scale = viewer.root.evaluate(
        "(root) => [...root.viewer.scale].map((p) => [p & 255, p >> 8 & 255, p >> 16 & 255])"
    )
    assert [near(viewer.color(x, 11), scale[p]) for x, p in ((3, 75), (9, 6), (30, 10))] == [True] * 3
    viewer.point(30, 11)
    viewer.reads("grass confidence 70% road: 10% x 610, y 230")
    viewer.entry(2).click()
    expect(viewer.root.locator(".result figcaption")).to_have_text("Probability of car")
    assert near(viewer.color(9, 11), scale[90])


def test_the_scale_rises_evenly_in_lightness(viewer: Viewer) -> None:
    """Equal steps of probability look equal: lightness rises from 0% to 100%, no step more than twice another's."""
    scale = np.array(
        viewer.root.evaluate(
            "(root) => [...root.viewer.scale].map((p) => [p & 255, p >> 8 & 255, p >> 16 & 255])"
        )
    )
    linear = np.where(scale / 255 <= 0.04045, scale / 255 / 12.92, ((scale / 255 + 0.055) / 1.055) ** 2.4)
    lightness = np.cbrt(linear @ [0.2126, 0.7152, 0.0722])
    steps = lightness[10::10] - lightness[:-10:10]
    assert steps.min() > 0
    assert steps.max() < 2 * steps.min()


def test_palettes_change_in_the_browser(viewer: Viewer) -> None:
    """Another palette repaints mask and legend."""
    viewer.set_opacity(100)
    viewer.root.get_by_label("Palette").select_option(label="Pascal VOC")
    assert near(viewer.color(30, 15), (128, 0, 0), 0)
    swatch = viewer.entry(1).locator(".swatch")
    assert swatch.evaluate("(swatch) => getComputedStyle(swatch).backgroundColor") == "rgb(128, 0, 0)"


def test_class_borders(viewer: Viewer) -> None:
    """Borders are drawn at the edges of classes, and nowhere inside."""
    viewer.set_opacity(100)
    viewer.button("Class borders").click()
    assert near(viewer.color(3, 3), ROAD)
    assert sum(viewer.color(19, 3)) > sum(ROAD) + 60
    assert sum(viewer.color(20, 3)) > sum(GRASS) + 60


def test_keys(viewer: Viewer) -> None:
    """Zoom, pan, opacity, classes, mode, layout and help have keys that work wherever the focus is in the viewer."""
    viewer.press("+", "+")
    assert viewer.zoom() == pytest.approx(1.25**2, abs=0.001)
    before = viewer.view()
    viewer.press("ArrowRight", "ArrowDown")
    zoom, x, y = (float(part) for part in viewer.view().split())
    assert (zoom, x > 0.5, y > 0.5) == (pytest.approx(1.5625, abs=0.001), True, True)
    assert viewer.view() != before
    viewer.press("-")
    assert viewer.zoom() == pytest.approx(1.25, abs=0.001)
    viewer.press("0")
    assert viewer.zoom() == 1

    viewer.press("]", "]", "[")
    expect(viewer.root.locator(".opacity output")).to_have_text("60%")
    viewer.press("2")
    expect(viewer.entry(0)).to_have_attribute("aria-pressed", "false")
    viewer.press("Alt+4")
    for class_id, pressed in enumerate(("false", "false", "true")):
        expect(viewer.entry(class_id)).to_have_attribute("aria-pressed", pressed)
    viewer.press("a", "m")
    expect(viewer.entry(0)).to_have_attribute("aria-pressed", "true")
    expect(viewer.root).to_have_attribute("data-mode", "confidence")
    viewer.press("l")
    expect(viewer.root).to_have_attribute("data-layout", "slider")
    viewer.press("o")
    expect(viewer.button("Class borders")).to_have_attribute("aria-pressed", "true")
    viewer.press("?")
    expect(viewer.root.get_by_role("dialog")).to_be_visible()
    viewer.page.keyboard.press("Escape")
    expect(viewer.root.get_by_role("dialog")).to_be_hidden()


def test_the_crosshair_moves_by_keyboard(viewer: Viewer) -> None:
    """Shift and arrows move the crosshair a label pixel at a time: pixels can be inspected without a mouse."""
    viewer.press("Shift+ArrowRight")
    viewer.reads_last("x 430, y 310")
    viewer.press("Shift+ArrowUp", "Shift+ArrowLeft")
    viewer.reads_last("x 410, y 290")


def test_space_pans_with_the_mouse(viewer: Viewer) -> None:
    """While Space is held, the image follows the mouse without a button."""
    viewer.press("+", "+", "+")
    viewer.point(20, 15)
    before = viewer.view()
    viewer.page.keyboard.down(" ")
    viewer.point(15, 12)
    viewer.page.keyboard.up(" ")
    moved = viewer.view()
    assert moved != before
    viewer.point(20, 15)
    assert viewer.view() == moved


def test_fullscreen(viewer: Viewer) -> None:
    """The button shows the viewer in full screen, and the key ends that."""
    viewer.button("Full screen").click()
    inside = "(root) => root.getRootNode().fullscreenElement === root"
    viewer.page.wait_for_function(inside, arg=viewer.root.element_handle())
    eventually(viewer.page, lambda: size(viewer.root), lambda box: box == (1280, 900))
    viewer.point(9, 11)
    viewer.reads_first("car")
    viewer.press("f")
    viewer.page.wait_for_function("() => !document.fullscreenElement")


def test_split_view(viewer: Viewer) -> None:
    """In the split view both panes are in the same place; the divider is dragged or moved by keys."""
    viewer.button("Split view").click()
    viewer.settled()
    image, result = viewer.canvas("image").bounding_box(), viewer.canvas("result").bounding_box()
    assert image == result
    divider = viewer.root.get_by_role("slider", name=re.compile("Divider"))
    box = divider.bounding_box()
    assert box
    assert result
    viewer.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    viewer.page.mouse.down()
    viewer.page.mouse.move(result["x"] + result["width"] * 0.25, box["y"] + 40, steps=3)
    viewer.page.mouse.up()
    expect(divider).to_have_attribute("aria-valuenow", "25")
    divider.focus()
    viewer.page.keyboard.press("ArrowRight")
    expect(divider).to_have_attribute("aria-valuenow", "27")
    viewer.page.keyboard.press("End")
    expect(divider).to_have_attribute("aria-valuenow", "100")
    viewer.point(9, 11)
    viewer.reads_first("car")  # the image under it can be inspected too


def test_segmentation_only(viewer: Viewer) -> None:
    """In the layout "Mask only" the segmentation has the whole width."""
    viewer.button("Mask only").click()
    expect(viewer.canvas("image")).to_be_hidden()
    viewer.settled()
    box, root = viewer.canvas().bounding_box(), viewer.root.bounding_box()
    assert box
    assert root
    assert box["width"] > root["width"] - 4
    viewer.point(9, 11)
    viewer.reads_first("car")


def test_narrow_windows_stack_the_panes(viewer: Viewer) -> None:
    """On a narrow screen one pane is below the other, and nothing is wider than the screen."""
    viewer.page.set_viewport_size({"width": 480, "height": 900})
    viewer.page.wait_for_function(
        "(canvas) => canvas.getBoundingClientRect().width < 480", arg=viewer.canvas().element_handle()
    )
    eventually(
        viewer.page, lambda: [viewer.canvas(pane).bounding_box() for pane in ("image", "result")], stacked
    )
    viewer.page.wait_for_function(
        "(root) => root.scrollWidth <= root.clientWidth", arg=viewer.root.element_handle()
    )
    viewer.canvas().scroll_into_view_if_needed()
    viewer.point(9, 11)
    viewer.reads_first("car")


def test_nothing_runs_the_script_again(viewer: Viewer) -> None:
    """Whatever a user does in the viewer, Python does not run again."""
    viewer.press("+", "m", "m", "m", "l", "o", "1", "a", "]")
    viewer.set_opacity(30)
    viewer.root.get_by_label("Palette").select_option(label="Color-blind safe")
    viewer.point(30, 15)
    viewer.page.mouse.click(*viewer.place(30, 15))
    viewer.entry(1).click()
    press(viewer.page.get_by_role("button", name="Run again"))
    expect(viewer.page.get_by_text(re.compile("run 2$"))).to_be_visible()


def test_a_rerun_or_another_theme_changes_nothing(viewer: Viewer) -> None:
    """When the page runs again with the same image, or the theme changes, zoom, mode and hidden classes stay."""
    viewer.press("+", "+", "m", "1")
    before = viewer.view()
    press(viewer.page.get_by_role("button", name="Run again"))
    expect(viewer.page.get_by_text(re.compile("run 2$"))).to_be_visible()
    viewer.root.evaluate(
        """({ viewer }) => {
            const { show } = viewer;
            viewer.show = (bytes) => show.call(viewer, bytes, (viewer.shownAgain = true));
        }"""
    )
    viewer.page.emulate_media(color_scheme="dark")
    viewer.page.wait_for_function("(root) => root.viewer.shownAgain", arg=viewer.root.element_handle())
    viewer.settled()
    viewer.page.emulate_media(color_scheme="light")
    assert viewer.view() == before
    expect(viewer.root).to_have_attribute("data-mode", "confidence")
    expect(viewer.entry(1)).to_have_attribute("aria-pressed", "false")


def test_a_rerun_in_the_middle_of_decoding_loses_no_probabilities(viewer: Viewer) -> None:
    """A frame given again while its probabilities are decoded is shown with all of them."""
    before = str(viewer.root.get_attribute("data-frame"))
    viewer.root.evaluate(
        """({ viewer }) => {
            const { show, decodeProbabilities } = viewer;
            let frame;
            viewer.show = (bytes) => show.call(viewer, (frame = bytes));
            viewer.decodeProbabilities = (...args) => {
                const decoding = decodeProbabilities.apply(viewer, args);
                show.call(viewer, frame);
                return decoding;
            };
        }"""
    )
    viewer.page.get_by_text("Move the car").click()
    expect(viewer.root).not_to_have_attribute("data-frame", before)
    expect(viewer.root).to_have_attribute("data-planes", "4")
    assert viewer.root.evaluate("({ viewer }) => viewer.frame.planes.size") == 4
    expect(viewer.root).to_have_attribute("data-state", "ready")


def test_planes_may_follow_their_frame(viewer: Viewer) -> None:
    """A frame whose planes are in another message is shown before them; then each pixel has its probabilities."""
    first = viewer.root.get_attribute("data-frame") or ""
    viewer.page.get_by_text("Planes later").click()
    viewer.page.get_by_text("Move the car").click()
    expect(viewer.root).not_to_have_attribute("data-frame", first, timeout=LONG)
    expect(viewer.root).to_have_attribute("data-state", "ready")
    expect(viewer.root).not_to_have_attribute("data-planes", "4")
    viewer.page.get_by_text("Send planes").click()
    expect(viewer.root).to_have_attribute("data-planes", "4", timeout=LONG)
    viewer.point(13, 11)
    viewer.reads_first("car confidence 90% 2nd: road 6%")
    moved = viewer.root.get_attribute("data-frame") or ""
    viewer.page.get_by_text("Move the car").click()  # now both messages come together
    expect(viewer.root).not_to_have_attribute("data-frame", moved, timeout=LONG)
    expect(viewer.root).to_have_attribute("data-planes", "4", timeout=LONG)


def test_a_new_image_is_shown_whole_with_the_same_settings(viewer: Viewer) -> None:
    """Another image is shown whole, in the mode, layout, palette and opacity that were set."""
    first = viewer.root.get_attribute("data-frame")
    viewer.press("+", "+", "l")
    viewer.set_opacity(100)
    viewer.page.get_by_text("Move the car").click()
    expect(viewer.root).not_to_have_attribute("data-frame", first or "")
    assert viewer.zoom() == 1
    expect(viewer.root).to_have_attribute("data-layout", "slider")
    expect(viewer.root.locator(".opacity output")).to_have_text("100%")
    assert near(viewer.color(15, 11), CAR)
    assert near(viewer.color(9, 11), ROAD)


def test_settings_outlive_a_reload(viewer: Viewer, open_viewer: Callable[[Page], Viewer]) -> None:
    """Mode, layout and opacity come back when the page is loaded again in the same tab."""
    viewer.press("m", "l", "[")
    again = open_viewer(viewer.page)
    expect(again.root).to_have_attribute("data-mode", "confidence")
    expect(again.root).to_have_attribute("data-layout", "slider")
    expect(again.root.locator(".opacity output")).to_have_text("80%")


def test_a_mask_alone_shows_why_there_are_no_maps(viewer: Viewer) -> None:
    """Without probabilities the maps cannot be chosen, the tooltip says why, and the readout has no percentage."""
    viewer.press("m")
    viewer.page.get_by_text("Mask only", exact=True).click()
    expect(viewer.root).to_have_attribute("data-mask-only", "")
    expect(viewer.root).to_have_attribute("data-mode", "classes")
    for name in ("Confidence", "Probability"):
        expect(viewer.button(name)).to_have_attribute("aria-disabled", "true")
        expect(viewer.button(name)).to_have_attribute("title", re.compile("this mask has labels only"))
        viewer.button(name).click(force=True)
    expect(viewer.root).to_have_attribute("data-mode", "classes")
    viewer.point(9, 11)
    viewer.reads("car x 190, y 230")
    viewer.page.get_by_text("Mask only", exact=True).click()
    expect(viewer.root).to_have_attribute("data-mode", "confidence")


def test_a_broken_frame(viewer: Viewer) -> None:
    """A broken frame shows what is wrong in place of the image; the next good one is drawn again."""
    viewer.page.get_by_text("Broken frame").click()
    alert = viewer.root.get_by_role("alert")
    expect(alert).to_contain_text("Cannot draw the image: the frame has")
    expect(viewer.canvas()).to_be_hidden()
    viewer.page.get_by_text("Broken frame").click()
    expect(viewer.root).to_have_attribute("data-state", "ready")
    expect(viewer.canvas()).to_be_visible()


def test_the_view_can_be_saved(viewer: Viewer) -> None:
    """The save button downloads what both panes show, as one PNG."""
    with viewer.page.expect_download() as download:
        viewer.button("Save this view as PNG").click()
    assert download.value.suggested_filename == "segmentation.png"
    head = Path(download.value.path()).read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    box = viewer.root.locator(".panes").bounding_box()
    assert box
    assert abs(int.from_bytes(head[16:20], "big") - box["width"]) <= 2


def test_texts_can_be_read_in_both_themes(page: Page, open_viewer: Callable[[Page], Viewer]) -> None:
    """In either theme all texts of the viewer have a contrast of at least 4.5 to their background."""
    page.set_viewport_size(DESK)
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        viewer = open_viewer(page)
        viewer.point(9, 11)
        viewer.reads_first("car")
        contrasts = viewer.root.evaluate(CONTRASTS)
        assert len(contrasts) > 15
        assert {text: value for text, value in contrasts if value < 4.5} == {}


def test_a_tap_inspects_a_pixel(browser: Browser, open_viewer: Callable[[Page], Viewer]) -> None:
    """On a touch screen a tap inspects the pixel under the finger, and two fingers zoom."""
    options = {"has_touch": True, "is_mobile": True, "viewport": {"width": 800, "height": 900}}
    with open_context(browser, **options) as context:
        viewer = open_viewer(context.new_page())
        viewer.reads("Tap to inspect pixels")
        viewer.page.touchscreen.tap(*viewer.place(9, 11))
        viewer.reads_first("car confidence 90%")
        touch = context.new_cdp_session(viewer.page)
        x, y = viewer.place(20, 15)
        for kind, spread in (("touchStart", 20), ("touchMove", 40), ("touchMove", 80)):
            fingers = [{"x": x - spread, "y": y, "id": 1}, {"x": x + spread, "y": y, "id": 2}]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        eventually(viewer.page, viewer.zoom, lambda zoom: zoom > 2)


SETTLED = """async (root, milliseconds) => {
    const sized = (canvas) => {
        const box = canvas.getBoundingClientRect();
        const pixels = (side) => Math.max(1, Math.round(box[side] * devicePixelRatio));
        return canvas.width === pixels("width") && canvas.height === pixels("height");
    };
    const settled = ({ viewer }) => viewer?.frame && root.dataset.view && viewer.request == null &&
        sized(viewer.imageCanvas) && sized(viewer.resultCanvas);
    const end = performance.now() + milliseconds;
    await document.fonts.ready;
    while (!settled(root)) {
        if (performance.now() > end) throw new Error("the viewer does not come to rest");
        await new Promise(requestAnimationFrame);
    }
}"""


CONTRASTS = """(root) => {
    // Contrast as WCAG 2 defines it, of every visible text on a plain background.
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const rgba = (css) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = css;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const luminance = (rgb) => {
        const [r, g, b] = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const background = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const color = rgba(getComputedStyle(at).backgroundColor);
            if (color[3] === 255) return color.slice(0, 3);
        }
    };
    const texts = [...root.querySelectorAll("button, label span, output, .readout *, .entry span")].filter(
        (element) => element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) &&
            [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()));
    return texts.map((element) => {
        const [a, b] = [rgba(getComputedStyle(element).color).slice(0, 3), background(element)].map(luminance);
        return [element.textContent.trim(), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
    });
}"""
