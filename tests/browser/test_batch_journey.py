"""Batch transform in a real browser: start a job, see its masks, open one in the viewer, download the areas."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from sandbox.server import Sandbox
from tests.support.batches import Store
from tests.support.browser import LONG, shown

pytestmark = pytest.mark.browser


@pytest.fixture
def store(account: Sandbox, model_archive: Callable[..., bytes]) -> Store:
    """The account's models and images."""
    return Store(account, model_archive)


def test_a_prefix_becomes_masks(
    store: Store, account_dashboard: str, page: Page, ready: Callable[[Page], None]
) -> None:
    """A prefix is checked and started by a plan; its masks appear, open in the viewer, and are measured as CSV."""
    source, out = store.images("a.jpg", "b.jpg", "c.jpg")
    page.goto(f"{account_dashboard}/launch_batch?model={store.model()}")
    for label, text in (("Images", source), ("Masks", out)):
        field = page.get_by_role("textbox", name=label, exact=True)
        expect(field).to_be_visible(timeout=LONG)
        ready(page)
        field.fill(text)
        field.press("Enter")
        ready(page)
    shown(page.get_by_text("Ready to start"), timeout=LONG)
    ready(page)
    page.get_by_role("button", name="Review and start").click()
    page.get_by_role("dialog").get_by_role("button", name="Start batch").click(timeout=LONG)
    expect(page).to_have_url(re.compile(r"/batch\?job="), timeout=LONG)
    expect(page.get_by_test_id("stMain").get_by_text("Completed").first).to_be_visible(timeout=LONG)

    tiles = page.locator(".row .tile img:visible")
    expect(tiles).to_have_count(3, timeout=LONG)
    ready(page)
    page.get_by_role("button", name=re.compile("^b.jpg")).click()
    expect(page).to_have_url(re.compile("image=b.jpg"), timeout=LONG)
    expect(page.locator("canvas").first).to_be_visible(timeout=LONG)

    page.get_by_role("button", name="Measure 3 masks").click()
    download_button = page.get_by_role("button", name="Download areas (CSV)")
    shown(download_button, timeout=LONG)
    ready(page)
    with page.expect_download(timeout=LONG) as download:
        download_button.click()
    rows = list(csv.DictReader(Path(download.value.path()).read_text("utf-8-sig").splitlines()))
    assert [(row["image"], row["class"]) for row in rows] == [
        (f"{name}.jpg", class_name) for name in "abc" for class_name in ("land", "sea")
    ]
