"""Results that stay, in a real browser: reload, Back, another page, another browser, without another call."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from sandbox.server import Sandbox
from tests.support.answers import HEIGHT, WIDTH, mask, probabilities, recordio
from tests.support.browser import LONG, drop, open_context, shown
from tests.support.endpoints import remove_endpoint

pytestmark = pytest.mark.browser


@pytest.fixture
def calls(faults: Any) -> Callable[[], int]:
    """calls() -> how many times an endpoint was invoked since the test began."""
    faults.add("delay", seconds=0, operation="InvokeEndpoint")
    return lambda: len(faults.hits)


def jpeg(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), (shade, shade, 200)).save(file, "JPEG")
    return file.getvalue()


def segmented(page: Page) -> None:
    """Wait until both images are on the page with their results, and the run is in the address."""
    shown(page.get_by_text("2 images done in"), timeout=LONG)
    tiles = page.get_by_role("group", name="Images").get_by_role("button")
    expect(tiles).to_have_count(2, timeout=LONG)
    shown(page.get_by_text("Class breakdown"), timeout=LONG)
    expect(page.locator(".viewer")).to_have_attribute("data-planes", re.compile(r"[1-9]"), timeout=LONG)


def test_results_stay(account_dashboard: str, coast: str, page: Page, browser: Browser, *, calls, ready):
    """Reload, another page, Back, and the link in another browser show both results; the images were sent once."""
    page.goto(f"{account_dashboard}/segment?endpoint={coast}")
    drop(page, {"bay.jpg": jpeg(1), "cove.jpg": jpeg(2)})
    segmented(page)
    expect(page).to_have_url(re.compile(r"[?&]run=[0-9a-f]{32}"), timeout=LONG)
    ready(page)
    assert calls() == 2

    page.reload()
    segmented(page)
    ready(page)

    page.get_by_test_id("stSidebar").get_by_role("link", name="Setup").click()
    shown(page.get_by_role("heading", name="Setup"), timeout=LONG)
    page.get_by_test_id("stSidebar").get_by_role("link", name="Segment").click()
    segmented(page)
    ready(page)

    page.get_by_test_id("stSidebar").get_by_role("link", name="Setup").click()
    shown(page.get_by_role("heading", name="Setup"), timeout=LONG)
    page.go_back()
    segmented(page)
    ready(page)

    page.get_by_role("link", name="Stored as a run").click()
    expect(page).to_have_url(re.compile(r"/runs\?run=[0-9a-f]{32}"), timeout=LONG)
    segmented(page)
    link = page.url
    with open_context(browser) as context:
        other = context.new_page()
        other.goto(link)
        segmented(other)
    assert calls() == 2


def test_an_evaluation_stays(
    account_dashboard: str, coast: str, page: Page, browser: Browser, *, calls, tmp_path: Path
):
    """A reload of Evaluate and the run's link in another browser show the scores; the image was sent once."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    (tmp_path / "images" / "calm.jpg").write_bytes(jpeg(3))
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(tmp_path / "masks" / "calm.png")
    query = f"endpoint={coast}&labelled=A+folder&part=All+of+it&folder={quote(str(tmp_path))}"
    page.goto(f"{account_dashboard}/evaluate?{query}")
    page.get_by_role("button", name="Evaluate", exact=True).click(timeout=LONG)
    title = f"{coast} on 1 image"
    shown(page.get_by_role("heading", name=title), timeout=LONG)
    expect(page).to_have_url(re.compile(r"[?&]run=[0-9a-f]{32}"), timeout=LONG)
    run_id = re.search(r"run=([0-9a-f]{32})", page.url)
    assert run_id

    page.reload()
    shown(page.get_by_role("heading", name=title), timeout=LONG)
    with open_context(browser) as context:
        other = context.new_page()
        other.goto(f"{account_dashboard}/runs?run={run_id[1]}")
        shown(other.get_by_role("heading", name=title), timeout=LONG)
        expect(other.locator(".viewer .result figcaption")).to_have_text("Errors", timeout=LONG)
    assert calls() == 1


def test_the_list_leads_to_a_run(account_dashboard: str, coast: str, page: Page, calls):
    """The list has the run of a segmentation; deleting it asks first, and then its address opens nothing."""
    page.goto(f"{account_dashboard}/segment?endpoint={coast}")
    drop(page, {"lake.jpg": jpeg(4), "pond.jpg": jpeg(5)})
    segmented(page)
    page.get_by_role("link", name="Stored as a run").click()
    expect(page).to_have_url(re.compile(r"/runs\?run=[0-9a-f]{32}"), timeout=LONG)
    address = page.url
    page.get_by_role("button", name="Delete", exact=True).click(timeout=LONG)
    dialog = page.get_by_role("dialog")
    shown(dialog.get_by_text("Links to it stop working"), timeout=LONG)
    dialog.get_by_role("button", name="Delete permanently").click()
    expect(dialog).to_have_count(0, timeout=LONG)
    expect(page).not_to_have_url(address, timeout=LONG)
    page.goto(address)
    shown(page.get_by_text("There is no run"), timeout=LONG)
    assert calls() == 2


def test_an_endpoint_that_is_not_there_yet(
    account_dashboard: str, account: Sandbox, make_endpoint: Callable[..., str], page: Page
):
    """The page of a link's endpoint that is created meanwhile becomes ready, and segments the dropped images."""
    page.goto(f"{account_dashboard}/segment?endpoint=tomorrow")
    shown(page.get_by_text('Endpoint "tomorrow" not found'), timeout=LONG)
    drop(page, {"lake.jpg": jpeg(6), "pond.jpg": jpeg(7)})
    make_endpoint(
        account, name="tomorrow", files={"answer.recordio": recordio(probabilities()), "answer.png": mask()}
    )
    try:
        segmented(page)
    finally:
        remove_endpoint(account, "tomorrow")
