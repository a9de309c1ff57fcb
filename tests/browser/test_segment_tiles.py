"""A large image in tiles, in a real browser: dropped, planned, confirmed, and found again after a reload."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from sandbox.server import Sandbox
from tests.support.browser import LONG, press, shown
from tests.support.endpoints import remove_endpoint
from tests.support.scenes import blobs, write_scene

pytestmark = pytest.mark.browser


@pytest.fixture
def bright(account: Sandbox, make_endpoint: Any) -> Iterator[str]:
    """Return the name of an endpoint that labels bright pixels 1, and others 0."""
    name: str = make_endpoint(account, behavior={"bright": True})
    yield name
    remove_endpoint(account, name)


def test_a_large_image_becomes_a_map(
    account_dashboard: str, bright: str, page: Page, tmp_path: Path, *, faults: Any
) -> None:
    """A GeoTIFF is sent in tiles once its plan is confirmed; a reload shows the map without another call."""
    faults.add("delay", seconds=0, operation="InvokeEndpoint")
    path = write_scene(tmp_path / "field.tif", blobs(800, 1000))
    page.goto(f"{account_dashboard}/segment?endpoint={bright}&size=Tiles")
    shown(page.get_by_test_id("stFileUploaderDropzone"), timeout=LONG)
    page.locator("input[type=file]").first.set_input_files(path)
    start = page.get_by_role("button", name=re.compile(r"^.*Segment: 6 requests"))
    shown(start, timeout=LONG)
    assert not faults.hits
    press(start)
    expect(page).to_have_url(re.compile(r"[?&]run=[0-9a-f]{32}"), timeout=LONG)
    shown(page.get_by_role("heading", name="Downloads"), timeout=LONG)
    shown(page.locator(".viewer"), timeout=LONG)
    assert len(faults.hits) == 6

    page.reload()
    shown(page.get_by_role("heading", name="Downloads"), timeout=LONG)
    shown(page.locator(".viewer"), timeout=LONG)
    assert len(faults.hits) == 6
