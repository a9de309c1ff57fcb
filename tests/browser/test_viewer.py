"""Journeys through the mask viewer, in a real browser: what a person points at, presses and sees.

The picture is told in `viewer_app.py`: 40 x 30 labels, road left, grass right, a car at x 8-11, y 10-13.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Error, Locator, Page, ViewportSize, expect

APP = Path(__file__).with_name("viewer_app.py")
LABELS = (40, 30)
DESK: ViewportSize = {"width": 1280, "height": 900}
ROAD, GRASS, CAR = (128, 128, 128), (110, 190, 90), (230, 60, 60)

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Viewer:
    """The viewer on a page, by what a person can find on it."""

    page: Page
    root: Locator

    def canvas(self, pane: str = "result") -> Locator:
        return self.root.locator(f".{pane} canvas")

    def place(self, x: float, y: float, pane: str = "result") -> tuple[float, float]:
        """Where the middle of a label pixel is on the page; holds for the whole picture only."""
        box = self.canvas(pane).bounding_box()
        assert box
        scale = min(box["width"] / LABELS[0], box["height"] / LABELS[1])
        left = box["x"] + (box["width"] - scale * LABELS[0]) / 2
        top = box["y"] + (box["height"] - scale * LABELS[1]) / 2
        return left + (x + 0.5) * scale, top + (y + 0.5) * scale

    def point(self, x: int, y: int, pane: str = "result") -> None:
        self.page.mouse.move(*self.place(x, y, pane))

    def color(self, x: int, y: int, pane: str = "result") -> tuple[int, ...]:
        """The colour drawn at a label pixel of the whole picture, off its middle, where the crosshair may be."""
        canvas, (left, top) = self.canvas(pane), self.place(x - 0.3, y - 0.3, pane)
        self.drawn()
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

    def drawn(self) -> None:
        """Waits until what was asked for stands on the screen."""
        self.page.evaluate(
            "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def pixels(self, pane: str) -> str:
        """All that is drawn in a pane."""
        self.drawn()
        return str(self.canvas(pane).evaluate("(canvas) => canvas.toDataURL()"))

    def readout(self) -> str:
        return self.root.locator(".readout").inner_text().replace("\n", " ")

    def zoom(self) -> float:
        self.drawn()
        return float((self.root.get_attribute("data-view") or "nan").split()[0])

    def button(self, name: str) -> Locator:
        return self.root.get_by_role("button", name=name, exact=True)

    def chip(self, class_id: int) -> Locator:
        return self.root.locator(f".toggle[data-id='{class_id}']")

    def press(self, *keys: str) -> None:
        self.root.focus()
        for key in keys:
            self.page.keyboard.press(key)

    def set_opacity(self, percent: int) -> None:
        self.root.get_by_label("Opacity", exact=True).fill(str(percent))


@pytest.fixture(scope="module")
def address(streamlit_server: Callable[..., str]) -> str:
    return streamlit_server(APP)


@pytest.fixture
def open_viewer(address: str, ready: Callable[[Page], None]) -> Callable[[Page], Viewer]:
    """`open_viewer(page)` opens the page and waits until picture and planes are there."""

    def open_at(page: Page) -> Viewer:
        page.goto(address)
        ready(page)
        viewer = Viewer(page, page.locator(".viewer"))
        expect(viewer.root).to_have_attribute("data-planes", "4", timeout=15_000)
        return viewer

    return open_at


@pytest.fixture(scope="module")
def tab(browser: Browser, address: str, ready: Callable[[Page], None]) -> Iterator[Page]:
    """One tab for all journeys: to start Streamlit in a browser takes longer than any of them."""
    context = browser.new_context(viewport=DESK, color_scheme="light")
    page = context.new_page()
    page.goto(address)
    ready(page)
    yield page
    context.close()


@pytest.fixture
def viewer(tab: Page) -> Iterator[Viewer]:
    """A viewer that nobody touched; at the end, no error may have reached the browser's console."""
    errors: list[Error] = []

    def note(error: Error) -> None:
        errors.append(error)

    tab.on("pageerror", note)
    tab.evaluate("() => sessionStorage.clear()")
    tab.set_viewport_size(DESK)
    tab.mouse.move(2, 2)
    turn = int(tab.get_by_text(re.compile("^round")).inner_text().split()[1])
    tab.get_by_role("button", name="Start afresh").click()
    expect(tab.get_by_text(f"round {turn + 1} run 1")).to_be_visible()
    root = tab.locator(f".st-key-picture-{turn + 1} .viewer")
    expect(root).to_have_attribute("data-planes", "4", timeout=15_000)
    yield Viewer(tab, root)
    tab.remove_listener("pageerror", note)
    assert errors == []


def near(left: tuple[int, ...], right: tuple[float, ...], slack: int = 4) -> bool:
    return all(abs(a - b) <= slack for a, b in zip(left, right, strict=True))


def test_labels_reach_the_browser_exactly(viewer: Viewer) -> None:
    """The class ids in the browser are those of the answer, pixel for pixel."""
    values = viewer.root.evaluate("(root) => [...root.viewer.picture.labels.values]")
    expected = np.repeat([[0] * 20 + [1] * 20], 30, axis=0)
    expected[10:14, 8:12] = 2
    expected[-1] = 255
    assert np.array_equal(np.reshape(values, (30, 40)), expected)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (3, 3, "road 75% then grass (20%) x 70, y 70"),
        (
            30,
            5,
            "grass 70% then <b>a very long class name that nobody wants to read to its end</b> (18%) x 610, y 110",
        ),
        (8, 10, "car 90% then road (6%) x 170, y 210"),
        (11, 13, "car 90% then road (6%) x 230, y 270"),
    ],
)
def test_pointing_reads_class_and_probability(viewer: Viewer, x: int, y: int, words: str) -> None:
    """Under the mouse, on either picture: class, probability, runner-up, and the place in the photo's pixels."""
    for pane in ("photo", "result"):
        viewer.point(x, y, pane)
        assert viewer.readout() == words
    viewer.page.mouse.move(2, 2)
    assert viewer.readout() == "Point at a picture to read it"


def test_ignored_pixels_are_called_so(viewer: Viewer) -> None:
    """Pixels of id 255 read "ignore"."""
    viewer.point(5, 29)
    assert viewer.readout().startswith("ignore")


def test_classes_are_drawn_over_the_photo(viewer: Viewer) -> None:
    """At 55% the mask is mixed with the photo, at 100% it stands alone, at 0% the photo does."""
    photo = viewer.color(30, 15, "photo")
    mixed = tuple(0.55 * color + 0.45 * under for color, under in zip(GRASS, photo, strict=True))
    assert near(viewer.color(30, 15), mixed)
    viewer.set_opacity(100)
    assert near(viewer.color(30, 15), GRASS, 0)
    assert near(viewer.color(9, 11), CAR, 0)
    viewer.set_opacity(0)
    assert near(viewer.color(30, 15), photo, 0)


def test_zoom_and_pan_keep_both_pictures_in_step(viewer: Viewer) -> None:
    """The wheel zooms at the pointer and a drag moves, on both pictures alike; a double click shows the whole."""
    viewer.set_opacity(0)  # so that both panes draw the same
    viewer.point(10, 12)
    viewer.page.mouse.wheel(0, -900)
    zoomed = "(root) => Number(root.dataset.view.split(' ')[0]) > 3"
    viewer.page.wait_for_function(zoomed, arg=viewer.root.element_handle())
    viewer.page.mouse.move(2, 2)
    viewer.point(10, 12)
    assert viewer.readout().startswith("car 90%"), "what was under the mouse is still there"
    assert viewer.readout().endswith("x 210, y 250")
    assert viewer.pixels("photo") == viewer.pixels("result")

    before = viewer.root.get_attribute("data-view")
    x, y = viewer.place(20, 15, "photo")
    viewer.page.mouse.move(x, y)
    viewer.page.mouse.down()
    viewer.page.mouse.move(x - 60, y - 30, steps=4)
    viewer.page.mouse.up()
    viewer.drawn()
    assert viewer.root.get_attribute("data-view") != before
    assert viewer.pixels("photo") == viewer.pixels("result")

    viewer.canvas("photo").dblclick()
    assert viewer.zoom() == 1


def test_the_wheel_scrolls_on_where_it_cannot_zoom_out(viewer: Viewer) -> None:
    """With the whole picture shown, turning the wheel down is left to the page."""
    viewer.point(20, 15)
    prevented = viewer.canvas().evaluate(
        """(canvas) => [120, -120].map((deltaY) => {
            const event = new WheelEvent("wheel", { deltaY, bubbles: true, cancelable: true });
            canvas.dispatchEvent(event);
            return event.defaultPrevented;
        })"""
    )
    assert prevented == [False, True]


def test_chips_show_hide_and_isolate(viewer: Viewer) -> None:
    """A chip hides its class; "only" leaves it alone, and once more shows all again; so does Alt with the chip."""
    viewer.set_opacity(100)
    photo = viewer.color(9, 11, "photo")
    viewer.chip(2).click()
    assert near(viewer.color(9, 11), photo)
    assert near(viewer.color(30, 15), GRASS)
    expect(viewer.chip(2)).to_have_attribute("aria-pressed", "false")

    viewer.button("Show car alone").click()
    assert near(viewer.color(9, 11), CAR)
    assert near(viewer.color(3, 3), viewer.color(3, 3, "photo"))
    viewer.chip(0).click(modifiers=["Alt"])
    assert near(viewer.color(3, 3), ROAD)
    assert near(viewer.color(9, 11), photo)
    viewer.chip(0).click(modifiers=["Shift"])
    assert near(viewer.color(9, 11), CAR)

    viewer.chip(2).click()
    viewer.button("Show all").click()
    assert near(viewer.color(9, 11), CAR)


def test_chips_tell_name_and_share_as_text(viewer: Viewer) -> None:
    """Chips come largest first with their share; a name is text, never HTML, and its whole stands in the tooltip."""
    chips = viewer.root.locator(".toggle")
    assert [" ".join(text.split()) for text in chips.all_inner_texts()] == [
        "grass 48.3%",
        "road 47.0%",
        "ignore 3.3%",
        "car 1.3%",
        "<b>a very long class name that nobody wants to read to its end</b> 0%",
    ]
    assert viewer.root.locator("b").count() == 1, "the marker of the colour scale, and none from a name"
    assert "to its end</b>" in (chips.last.get_attribute("title") or "")
    box = viewer.root.locator(".chip").last.bounding_box()
    assert box
    assert box["width"] <= 250


def test_confidence_map(viewer: Viewer) -> None:
    """The confidence map draws equal probabilities in equal colours of the scale, and leaves hidden classes out."""
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
    viewer.chip(2).click()
    assert near(viewer.color(9, 11), viewer.color(9, 11, "photo"))


def test_probability_map_of_a_chosen_class(viewer: Viewer) -> None:
    """The map of a class shows its probability everywhere; the class is chosen from the list or by its chip."""
    viewer.button("Probability").click()
    viewer.set_opacity(100)
    viewer.root.get_by_label("Class whose probability is shown").select_option(label="road")
    scale = viewer.root.evaluate(
        "(root) => [...root.viewer.scale].map((p) => [p & 255, p >> 8 & 255, p >> 16 & 255])"
    )
    assert [near(viewer.color(x, 11), scale[p]) for x, p in ((3, 75), (9, 6), (30, 10))] == [True] * 3
    viewer.point(30, 11)
    assert viewer.readout() == "grass 70% road (10%) x 610, y 230"
    viewer.chip(2).click()
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
    """Another palette repaints mask and chips."""
    viewer.set_opacity(100)
    viewer.root.get_by_label("Colours of the classes").select_option(label="Pascal VOC")
    assert near(viewer.color(30, 15), (128, 0, 0), 0)
    swatch = viewer.chip(1).locator(".swatch")
    assert swatch.evaluate("(swatch) => getComputedStyle(swatch).backgroundColor") == "rgb(128, 0, 0)"


def test_borders_of_the_classes(viewer: Viewer) -> None:
    """Borders are drawn at the edges of classes, and nowhere inside."""
    viewer.set_opacity(100)
    viewer.button("Borders of the classes").click()
    assert near(viewer.color(3, 3), ROAD)
    assert sum(viewer.color(19, 3)) > sum(ROAD) + 60
    assert sum(viewer.color(20, 3)) > sum(GRASS) + 60


def test_keys(viewer: Viewer) -> None:
    """Zoom, move, opacity, classes, mode, layout and help have keys that work wherever the focus is in the viewer."""
    viewer.press("+", "+")
    assert viewer.zoom() == pytest.approx(1.25**2, abs=0.001)
    before = viewer.root.get_attribute("data-view")
    viewer.press("ArrowRight", "ArrowDown")
    viewer.drawn()
    zoom, x, y = (float(part) for part in (viewer.root.get_attribute("data-view") or "").split())
    assert (zoom, x > 0.5, y > 0.5) == (pytest.approx(1.5625, abs=0.001), True, True)
    assert viewer.root.get_attribute("data-view") != before
    viewer.press("-")
    assert viewer.zoom() == pytest.approx(1.25, abs=0.001)
    viewer.press("0")
    assert viewer.zoom() == 1

    viewer.press("]", "]", "[")
    expect(viewer.root.locator(".opacity output")).to_have_text("60%")
    viewer.press("2")
    expect(viewer.chip(0)).to_have_attribute("aria-pressed", "false")
    viewer.press("Alt+4")
    assert [viewer.chip(i).get_attribute("aria-pressed") for i in (0, 1, 2)] == ["false", "false", "true"]
    viewer.press("a", "m")
    expect(viewer.chip(0)).to_have_attribute("aria-pressed", "true")
    expect(viewer.root).to_have_attribute("data-mode", "confidence")
    viewer.press("l")
    expect(viewer.root).to_have_attribute("data-layout", "slider")
    viewer.press("o")
    expect(viewer.button("Borders of the classes")).to_have_attribute("aria-pressed", "true")
    viewer.press("?")
    expect(viewer.root.get_by_role("dialog")).to_be_visible()
    viewer.page.keyboard.press("Escape")
    expect(viewer.root.get_by_role("dialog")).to_be_hidden()


def test_the_crosshair_moves_by_keyboard(viewer: Viewer) -> None:
    """Shift and arrows move the crosshair a label pixel at a time: the picture can be read without a mouse."""
    viewer.press("Shift+ArrowRight")
    assert viewer.readout().endswith("x 430, y 310")
    viewer.press("Shift+ArrowUp", "Shift+ArrowLeft")
    assert viewer.readout().endswith("x 410, y 290")


def test_space_moves_the_picture_with_the_mouse(viewer: Viewer) -> None:
    """While Space is held, the picture follows the mouse without a button."""
    viewer.press("+", "+", "+")
    viewer.point(20, 15)
    viewer.drawn()
    before = viewer.root.get_attribute("data-view")
    viewer.page.keyboard.down(" ")
    viewer.point(15, 12)
    viewer.page.keyboard.up(" ")
    viewer.drawn()
    moved = viewer.root.get_attribute("data-view")
    assert moved != before
    viewer.point(20, 15)
    viewer.drawn()
    assert viewer.root.get_attribute("data-view") == moved


def test_fullscreen(viewer: Viewer) -> None:
    """The button gives the viewer the whole screen, and takes it back."""
    viewer.button("Full screen").click()
    inside = "(root) => root.getRootNode().fullscreenElement === root"
    viewer.page.wait_for_function(inside, arg=viewer.root.element_handle())
    box = viewer.root.bounding_box()
    assert box
    assert (box["width"], box["height"]) == (1280, 900)
    viewer.point(9, 11)
    assert viewer.readout().startswith("car")
    viewer.press("f")
    viewer.page.wait_for_function("() => !document.fullscreenElement")


def test_slider_layout(viewer: Viewer) -> None:
    """In the slider layout both pictures lie on one another; the divider is dragged or moved by keys."""
    viewer.button("Slider").click()
    photo, result = viewer.canvas("photo").bounding_box(), viewer.canvas("result").bounding_box()
    assert photo == result
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
    assert viewer.readout().startswith("car"), "the photo under it can be read too"


def test_single_layout(viewer: Viewer) -> None:
    """In the single layout the right picture has the whole width."""
    viewer.button("Single").click()
    expect(viewer.canvas("photo")).to_be_hidden()
    box, root = viewer.canvas().bounding_box(), viewer.root.bounding_box()
    assert box
    assert root
    assert box["width"] > root["width"] - 4
    viewer.point(9, 11)
    assert viewer.readout().startswith("car")


def test_narrow_windows_stack_the_pictures(viewer: Viewer) -> None:
    """On a narrow screen the pictures stand one below the other, and nothing is wider than the screen."""
    viewer.page.set_viewport_size({"width": 480, "height": 900})
    viewer.page.wait_for_function(
        "(canvas) => canvas.getBoundingClientRect().width < 480", arg=viewer.canvas().element_handle()
    )
    photo, result = viewer.canvas("photo").bounding_box(), viewer.canvas("result").bounding_box()
    assert photo
    assert result
    assert result["y"] >= photo["y"] + photo["height"]
    assert viewer.root.evaluate("(root) => root.scrollWidth <= root.clientWidth")
    viewer.canvas().scroll_into_view_if_needed()
    viewer.point(9, 11)
    assert viewer.readout().startswith("car")


def test_nothing_runs_the_script_again(viewer: Viewer) -> None:
    """Whatever a person does in the viewer, Python runs no second time."""
    viewer.press("+", "m", "m", "m", "l", "o", "1", "a", "]")
    viewer.set_opacity(30)
    viewer.root.get_by_label("Colours of the classes").select_option(label="Colour-blind safe")
    viewer.point(30, 15)
    viewer.page.mouse.click(*viewer.place(30, 15))
    viewer.chip(1).click()
    viewer.page.get_by_role("button", name="Run again").click()
    expect(viewer.page.get_by_text(re.compile("run 2$"))).to_be_visible()


def test_a_rerun_or_another_theme_changes_nothing(viewer: Viewer) -> None:
    """When the page runs again with the same picture, or the theme changes, zoom, mode and hidden classes stay."""
    viewer.press("+", "+", "m", "1")
    viewer.drawn()
    before = viewer.root.get_attribute("data-view")
    viewer.page.get_by_role("button", name="Run again").click()
    expect(viewer.page.get_by_text(re.compile("run 2$"))).to_be_visible()
    shown = viewer.root.evaluate("(root) => root.viewer.turn")
    viewer.page.emulate_media(color_scheme="dark")
    told_again = "([root, shown]) => root.viewer.turn > shown"
    viewer.page.wait_for_function(told_again, arg=[viewer.root.element_handle(), shown])
    for _ in range(10):
        viewer.drawn()
    viewer.page.emulate_media(color_scheme="light")
    assert viewer.root.get_attribute("data-view") == before
    expect(viewer.root).to_have_attribute("data-mode", "confidence")
    expect(viewer.chip(1)).to_have_attribute("aria-pressed", "false")


def test_a_new_picture_starts_whole_and_keeps_the_settings(viewer: Viewer) -> None:
    """Another picture is shown whole, in the mode, layout, colours and opacity a person had."""
    first = viewer.root.get_attribute("data-picture")
    viewer.press("+", "+", "l")
    viewer.set_opacity(100)
    viewer.page.get_by_text("Move the car").click()
    expect(viewer.root).not_to_have_attribute("data-picture", first or "")
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


def test_a_mask_alone_says_why_there_are_no_maps(viewer: Viewer) -> None:
    """Without probabilities the maps cannot be chosen, the tooltip says why, and the readout has no percentage."""
    viewer.press("m")
    viewer.page.get_by_text("Mask only").click()
    expect(viewer.root).to_have_attribute("data-mask-only", "")
    expect(viewer.root).to_have_attribute("data-mode", "classes")
    for name in ("Confidence", "Probability"):
        expect(viewer.button(name)).to_have_attribute("aria-disabled", "true")
        expect(viewer.button(name)).to_have_attribute("title", re.compile("mask alone"))
        viewer.button(name).click(force=True)
    expect(viewer.root).to_have_attribute("data-mode", "classes")
    viewer.point(9, 11)
    assert viewer.readout() == "car x 190, y 230"
    viewer.page.get_by_text("Mask only").click()
    expect(viewer.root).to_have_attribute("data-mode", "confidence")


def test_a_frame_that_cannot_be_read_says_so(viewer: Viewer) -> None:
    """A broken frame shows what is wrong in place of the picture; the next good one is drawn again."""
    viewer.page.get_by_text("Broken frame").click()
    alert = viewer.root.get_by_role("alert")
    expect(alert).to_contain_text("The picture cannot be drawn: the frame has")
    expect(viewer.canvas()).to_be_hidden()
    viewer.page.get_by_text("Broken frame").click()
    expect(viewer.root).to_have_attribute("data-state", "ready")
    expect(viewer.canvas()).to_be_visible()


def test_the_view_can_be_saved(viewer: Viewer) -> None:
    """The save button downloads what both panes show, as one PNG."""
    with viewer.page.expect_download() as download:
        viewer.button("Save what is seen as PNG").click()
    assert download.value.suggested_filename == "segmentation.png"
    head = Path(download.value.path()).read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    box = viewer.root.locator(".panes").bounding_box()
    assert box
    assert abs(int.from_bytes(head[16:20], "big") - box["width"]) <= 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_read_in_both_themes(
    browser: Browser, scheme: str, open_viewer: Callable[[Page], Viewer]
) -> None:
    """In either theme all texts of the viewer have a contrast of at least 4.5 to their background."""
    context = browser.new_context(color_scheme=scheme, viewport=DESK)
    viewer = open_viewer(context.new_page())
    viewer.point(9, 11)
    contrasts = viewer.root.evaluate(CONTRASTS)
    context.close()
    assert len(contrasts) > 15
    assert {text: value for text, value in contrasts if value < 4.5} == {}


def test_a_tap_reads_the_picture(browser: Browser, open_viewer: Callable[[Page], Viewer]) -> None:
    """On a touch screen a tap reads what is under the finger, and two fingers zoom."""
    context = browser.new_context(has_touch=True, is_mobile=True, viewport={"width": 800, "height": 900})
    viewer = open_viewer(context.new_page())
    assert viewer.readout() == "Tap a picture to read it"
    viewer.page.touchscreen.tap(*viewer.place(9, 11))
    assert viewer.readout().startswith("car 90%")
    touch = context.new_cdp_session(viewer.page)
    x, y = viewer.place(20, 15)
    for kind, spread in (("touchStart", 20), ("touchMove", 40), ("touchMove", 80)):
        fingers = [{"x": x - spread, "y": y, "id": 1}, {"x": x + spread, "y": y, "id": 2}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert viewer.zoom() > 2
    context.close()


CONTRASTS = """(root) => {
    // Contrast as WCAG 2 defines it, of every text that is seen and that lies on a plain background.
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
    const texts = [...root.querySelectorAll("button, label span, output, .readout *, .chip span")].filter(
        (element) => element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) &&
            [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()));
    return texts.map((element) => {
        const [a, b] = [rgba(getComputedStyle(element).color).slice(0, 3), background(element)].map(luminance);
        return [element.textContent.trim(), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
    });
}"""
