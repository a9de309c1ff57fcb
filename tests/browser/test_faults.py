"""The Segment page while AWS is slow, throttles or interrupts responses: reported, usable, and fixed by a button."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.support.answers import HEIGHT, WIDTH
from tests.support.browser import LONG, choose_file, press, shown

pytestmark = pytest.mark.browser

IMAGES = itertools.count()


@pytest.fixture
def drop(account_dashboard: str, coast: str, page: Page, tmp_path: Path) -> Callable[[], None]:
    """drop(): open the page and upload an image."""
    file = tmp_path / "bay.jpg"
    shade = 25 * next(IMAGES)  # a new image each time: the response to one that was sent before is cached
    Image.new("RGB", (WIDTH, HEIGHT), (shade, 60, 180)).save(file)

    def give() -> None:
        page.goto(f"{account_dashboard}/segment?endpoint={coast}")
        page.evaluate("window.neverReloaded = true")
        choose_file(page, file)

    return give


def retry(page: Page) -> None:
    """Click the button: the mask is shown, the message is gone, and the page was not reloaded."""
    press(page.get_by_role("button", name="Try again"))
    expect(page.locator(".viewer")).to_have_attribute("data-planes", "2", timeout=LONG)
    expect(page.get_by_test_id("stAlert")).to_have_count(0)
    assert page.evaluate("window.neverReloaded")


def test_throttled(drop, faults, page: Page):
    """Throttling is reported with what to do, and the button tries again."""
    faults.add("error", operation="InvokeEndpoint", code="ThrottlingException", status=400, times=1)
    drop()
    shown(page.get_by_test_id("stAlert").filter(has_text="too many calls"), timeout=LONG)
    shown(page.get_by_test_id("stAlert").filter(has_text="Wait a few seconds"))
    retry(page)


def test_an_interrupted_response(drop, faults, page: Page):
    """A response that stops before its end is reported, and the button tries again."""
    faults.add("truncate", operation="InvokeEndpoint", times=1)
    drop()
    shown(page.get_by_test_id("stAlert").filter(has_text="ended early"), timeout=LONG)
    retry(page)


def test_a_slow_endpoint(drop, faults, page: Page):
    """While an endpoint is slow, the image's line shows that and the page stays usable; then the mask is shown."""
    faults.add("delay", seconds=60, operation="InvokeEndpoint", times=1)
    drop()
    shown(page.get_by_test_id("stExpander").filter(has_text="invoking the endpoint"), timeout=LONG)
    press(page.get_by_text("Camera", exact=True))
    shown(page.get_by_test_id("stCameraInput"), timeout=LONG)
    shown(page.get_by_test_id("stExpander").filter(has_text="invoking the endpoint"))
    faults.clear()
    expect(page.locator(".viewer")).to_have_attribute("data-planes", "2", timeout=LONG)
