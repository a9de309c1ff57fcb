"""From the form to a model: launch, watch, clone and stop training jobs in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from playwright.sync_api import Browser, Page, expect

from sandbox import launcher
from sandbox.demo.dataset import write
from tests.support.browser import open_context, press, shown

ROOT = Path(__file__).parents[2]
BUCKET = "segdeck-sandbox"
LONG = 240_000
"""Milliseconds for steps that really train, on two busy cores."""

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def data_dir(demo_dashboard: Any) -> Path:
    """The folder with the state of the dashboard's sandbox."""
    folder: Path = demo_dashboard.data_dir
    return folder


@pytest.fixture(scope="module")
def dashboard(demo_dashboard: Any) -> str:
    """The URL of a dashboard with the demo models."""
    address: str = demo_dashboard.address
    return address


@pytest.fixture(scope="module")
def data(dashboard: str, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The S3 prefix of a few demo images; generating all of them takes minutes."""
    folder = tmp_path_factory.mktemp("images")
    write(folder, training=16, validation=8)
    address = launcher.running(data_dir)
    assert address is not None, dashboard
    s3 = boto3.session.Session(address.access_key, address.secret_key, region_name=address.region).client(
        "s3", endpoint_url=address.url
    )
    for path in folder.glob("*/*"):
        s3.upload_file(str(path), BUCKET, f"journey/{path.parent.name}/{path.name}")
    return f"s3://{BUCKET}/journey/"


@pytest.fixture(scope="module")
def page(browser: Browser, dashboard: str) -> Iterator[Page]:
    """One tab for the whole journey."""
    with open_context(browser, viewport={"width": 1280, "height": 1000}) as context:
        yield context.new_page()


def fill(page: Page, label: str, value: str) -> None:
    """Type into a field of the form and leave it."""
    box = page.get_by_label(re.compile(rf"^{label}( \*)?$")).first
    box.fill(value)
    box.press("Tab")


def launch(page: Page) -> str:
    """Review, confirm, wait for the job's page, and return the job's name."""
    shown(page.get_by_text("Ready to launch"))
    press(page.get_by_role("button", name="Review and launch"))
    dialog = page.get_by_role("dialog")
    shown(dialog.get_by_text("To undo"))
    press(dialog.get_by_role("button", name="Launch job"))
    page.wait_for_url(re.compile(r"/training_job\?job="))
    return page.url.rpartition("=")[2]


def wait_for_status(page: Page, status: str) -> None:
    """Wait until the job's status badge shows this status."""
    badge = page.get_by_test_id("stMain").locator(".stMarkdownBadge").filter(has_text=status)
    shown(badge, timeout=LONG)


def test_launch_and_watch(page, dashboard, data, ready: Callable[[Page], None]):
    """A click fixes what the pre-flight check reports; the job then runs to its end, with its metrics shown live."""
    page.goto(f"{dashboard}/launch_training")
    shown(page.get_by_role("button", name="Review and launch"))
    fill(page, "Data", data)
    shown(page.get_by_text("train_annotation 16"))
    press(page.get_by_role("button", name="Set to 8"))
    expect(page.get_by_role("button", name="Set to 8")).to_have_count(0)
    ready(page)
    fill(page, "epochs", "12")
    name = launch(page)
    shown(page.get_by_role("heading", name=name))
    page.evaluate("window.neverReloaded = true")
    # What is awaited stays on the page once it is there: how fast the job trains is the machine's affair.
    shown(page.get_by_text("Training ·"), timeout=LONG)
    expect(page.get_by_text("epoch=0").first).to_be_visible(timeout=LONG)
    shown(page.get_by_text("Best mean IoU, epoch"), timeout=LONG)
    wait_for_status(page, "completed")
    shown(page.get_by_text("12 of 12"))
    shown(page.get_by_text("Uploading the model ·"))
    assert page.evaluate("window.neverReloaded")
    expect(page.get_by_text("Refreshes every")).to_have_count(0)
    expect(page.locator("[data-testid=stVegaLiteChart]")).to_have_count(2)


def test_clone_and_stop(page):
    """A clone with more epochs is stopped by a confirmed plan, and its model is kept."""
    press(page.get_by_role("button", name="Clone"))
    shown(page.get_by_text("Edit anything before launch."))
    fill(page, "epochs", "300")
    launch(page)
    shown(page.get_by_text("Best mean IoU, epoch"), timeout=LONG)
    press(page.get_by_role("button", name="Stop"))
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Stop the training job").first).to_be_visible()
    press(dialog.get_by_role("button", name="Stop job"))
    wait_for_status(page, "stopped")
    press(page.get_by_role("tab", name="Data and model"))
    shown(page.get_by_text("/output/model.tar.gz"))


def test_read_why_it_failed(page):
    """A job whose masks have more classes than num_classes fails, and its page shows why and what to do."""
    press(page.get_by_role("button", name="Clone"))
    shown(page.get_by_text("Edit anything before launch."))
    fill(page, "epochs", "1")
    fill(page, "num_classes", "2")
    launch(page)
    wait_for_status(page, "failed")
    shown(page.get_by_text("Label out of range"))
    shown(page.get_by_text("raise num_classes"))
    press(page.get_by_role("tab", name="Log"))
    shown(page.get_by_role("button", name="Jump to first error"))
