"""Wait for elements in a real browser, and act on them, whatever part of the page is swapped at that moment.

Every wait here has a bound for a loaded machine. It is a bound, not a pause: each ends as soon as its state is there.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeVar

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

LONG = 120_000
"""Milliseconds that a state may take on a machine whose cores are busy."""

T = TypeVar("T")


def shown(locator: Locator, timeout: float | None = None) -> None:
    """Wait until exactly one element matches and can be seen.

    While Streamlit swaps a part of a page, an element may be there twice for a moment. Playwright's own expectation
    on one element fails at that moment; a count waits until the old copy is gone.
    """
    expect(locator.filter(visible=True)).to_have_count(1, timeout=timeout)


def press(locator: Locator, timeout: float = LONG) -> None:
    """Click an element once it is there alone; a copy that a swap adds later does not fail the click."""
    shown(locator, timeout)
    locator.filter(visible=True).first.click(timeout=timeout)


def eventually(page: Page, read: Callable[[], T], holds: Callable[[T], bool], timeout: float = LONG) -> T:
    """Read a value that no expectation of Playwright covers until it meets a condition, and return it."""
    deadline = time.monotonic() + timeout / 1000
    while not holds(value := read()):
        assert time.monotonic() < deadline, f"still {value!r} after {timeout / 1000:.0f} s"
        page.wait_for_timeout(50)
    return value


def fits(page: Page, width: int) -> None:
    """Wait until no part of the page is wider than its window."""
    eventually(
        page, lambda: page.evaluate("document.documentElement.scrollWidth"), lambda wide: wide <= width
    )


def set_theme(page: Page, scheme: Literal["light", "dark"]) -> None:
    """Choose the system's color scheme, and wait until the page has its colors."""
    page.emulate_media(color_scheme=scheme)
    bright = "([r, g, b]) => (Number(r) + Number(g) + Number(b)) > 384"
    color = "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor.match(/[0-9]+/g)"
    eventually(
        page, lambda: page.evaluate(f"({bright})({color})"), lambda light: light is (scheme == "light")
    )


def fits_in_both_themes(page: Page, width: int) -> None:
    """Wait until no part of the page is wider than its window, in the light theme and in the dark one."""
    fits(page, width)
    set_theme(page, "dark")
    fits(page, width)


def set_slider(slider: Locator, value: int) -> None:
    """Move a slider to the right with the keyboard, and wait until it has the value."""
    for _ in range(value - int(slider.input_value(timeout=LONG))):
        slider.press("ArrowRight")
    expect(slider).to_have_value(str(value))


def click_row(page: Page, row: int, x: int, text: str) -> None:
    """Click into a row of the page's first table, x pixels from its left, once the row has this text.

    A table is drawn on a canvas. What it shows is also in a hidden table for screen readers, which follows it.
    """
    table = page.get_by_test_id("stDataFrame").first
    cells = table.locator(f"canvas [role=row][aria-rowindex='{row + 2}']")
    expect(cells).to_contain_text(text, timeout=LONG)
    table.click(position={"x": x, "y": HEADER + ROW * (row + 0.5)}, timeout=LONG)


HEADER, ROW = 39, 37
"""Pixels of a table's header and of each row."""


def at_rest(page: Page) -> None:
    """Wait until the script has run to its end, and nothing on the page waits for what it reads."""
    expect(page.get_by_test_id("stApp")).to_have_attribute(
        "data-test-script-state", "notRunning", timeout=LONG
    )
    expect(page.get_by_text("appears here automatically")).to_have_count(0, timeout=LONG)


def drop(page: Page, files: Mapping[str, bytes | int], onto: Locator | None = None) -> None:
    """Drop files onto the drop zone or another element, once the page is complete.

    files: name -> content; a number stands for so many bytes of zeros.
    """
    zone = page.get_by_test_id("stFileUploaderDropzone")
    shown(zone, timeout=LONG)
    at_rest(page)
    transfer = page.evaluate_handle(
        """(items) => {
            const transfer = new DataTransfer();
            for (const [name, data] of items) {
                const bytes = typeof data === "number" ? new Uint8Array(data)
                    : Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
                transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
            }
            return transfer;
        }""",
        [
            (name, data if isinstance(data, int) else base64.b64encode(data).decode())
            for name, data in files.items()
        ],
    )
    (zone if onto is None else onto).dispatch_event("drop", {"dataTransfer": transfer}, timeout=LONG)


def choose_file(page: Page, file: Path) -> None:
    """Give a file to the drop zone as its file dialog does, once the page is complete."""
    upload = page.get_by_test_id("stFileUploader").locator("input[type=file]")
    expect(upload).to_have_count(1, timeout=LONG)
    at_rest(page)
    upload.set_input_files(file, timeout=LONG)


@contextmanager
def open_context(browser: Browser, **options: object) -> Iterator[BrowserContext]:
    """Open a window of its own, whose actions have the long bound; close it at the end, whatever happens."""
    context = browser.new_context(**options)  # type: ignore[arg-type]
    context.set_default_timeout(LONG)
    try:
        yield context
    finally:
        context.close()
