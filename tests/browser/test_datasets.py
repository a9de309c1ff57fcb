"""The datasets page in a real browser: a folder with an issue is validated, fixed, validated again and uploaded."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from sandbox.server import Sandbox
from tests.support.browser import press, shown
from tests.support.dataset import digests, make_voc, photo, write

BUCKET = "browser-datasets"

pytestmark = pytest.mark.browser


@pytest.fixture
def address(account: Sandbox, account_dashboard: str) -> str:
    """The page, in an account with a bucket for the upload."""
    account.loopback.client("s3").create_bucket(Bucket=BUCKET)
    return f"{account_dashboard}/datasets"


def test_from_a_folder_to_the_launch_form(
    page: Page, address: str, ready: Callable[[Page], None], tmp_path: Path
) -> None:
    """Validate, fix, validate, upload, launch: one button and a confirmation each, and the original is unchanged."""
    voc = make_voc(tmp_path / "voc")
    write(voc / "JPEGImages/tile_0.jpg", photo(70, "PNG"))
    before = digests(voc)
    page.goto(address)
    ready(page)
    field = page.get_by_label("Folder, ZIP file or S3 prefix", exact=True)
    field.fill(str(voc))
    field.press("Enter")
    press(page.get_by_role("button", name="Validate", exact=True))
    shown(page.get_by_role("heading", name="Issues"))
    expect(page.locator("canvas").first).to_be_visible()
    ready(page)
    press(page.get_by_role("button", name="Review and export"))
    dialog = page.get_by_role("dialog")
    shown(dialog.filter(has_text="Images converted to JPEG or rotated upright: 1"))
    press(dialog.get_by_role("button", name="Export", exact=True))
    press(page.get_by_role("button", name="Validate the copy"))
    shown(page.get_by_text("No issues found."))
    ready(page)  # until then, the old page may still be shown
    expect(page).to_have_url(re.compile("voc-channels"))
    uri = page.get_by_label("S3 prefix", exact=True)
    uri.fill(f"s3://{BUCKET}/walked/")
    uri.press("Enter")
    press(page.get_by_role("button", name="Review and upload"))
    dialog = page.get_by_role("dialog")
    shown(dialog.filter(has_text="Upload 17 files"))
    press(dialog.get_by_role("button", name="Upload", exact=True))
    shown(page.get_by_text("17 files in S3, all verified."))
    press(page.get_by_role("link", name="Train on this dataset"))
    expect(page.get_by_label("Data", exact=True).first).to_have_value(f"s3://{BUCKET}/walked/")
    assert digests(voc) == before
