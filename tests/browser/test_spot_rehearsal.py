"""Rehearse spot training in a real browser: launched, interrupted, resumed from its checkpoint, finished."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from sandbox.common.limits import SandboxLimits
from sandbox.rehearse import call
from sandbox.server import Sandbox
from tests.support.browser import LONG, shown
from tests.support.dashboard import ended, put_data, start_job, wait_for
from tests.support.roles import create_roles

ROOT = Path(__file__).parents[2]
STUB = ROOT / "tests" / "support" / "stub_training.py"
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox with data and one finished job; a job with checkpoints waits after its first epoch."""
    programs = {"semantic-segmentation": [sys.executable, str(STUB), "hold=0"]}
    limits = SandboxLimits(spot_restart_seconds=1)
    with Sandbox(tmp_path_factory.mktemp("spot"), training_programs=programs, limits=limits) as running:
        create_roles(running)
        put_data(running.loopback.client("s3"))
        sagemaker = running.loopback.client("sagemaker")
        wait_for(sagemaker, start_job(sagemaker, "before"), ended)
        running.announce()
        yield running
        running.withdraw()


@pytest.fixture(scope="module")
def dashboard(
    sandbox: Sandbox, streamlit_server: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The URL of a dashboard on that sandbox."""
    return streamlit_server(
        ROOT / "app.py",
        {
            "SEGDECK_MODE": "sandbox",
            "SEGDECK_SANDBOX_DIR": str(sandbox._state_dir.folder),
            "SEGDECK_STATE_DIR": str(tmp_path_factory.mktemp("state")),
        },
    )


def test_a_spot_job_is_rehearsed(
    page: Page, dashboard: str, sandbox: Sandbox, ready: Callable[[Page], None]
) -> None:
    """The form forecasts saving and delay; the job's page shows the interruption, the checkpoint and the saving."""
    page.set_viewport_size({"width": 1280, "height": 1400})
    page.goto(f"{dashboard}/launch_training?clone=before")
    review = page.get_by_role("button", name="Review and launch")
    shown(review, timeout=LONG)
    ready(page)
    page.get_by_test_id("stCheckbox").filter(has_text="Managed spot training").locator("label").click()
    shown(page.get_by_text("Spot forecast"), timeout=LONG)
    shown(page.get_by_text("up to 90%: "))
    page.get_by_role("button", name="Save checkpoints next to the model").click()
    shown(page.get_by_text("plus at most one epoch"), timeout=LONG)
    ready(page)
    review.click()
    dialog = page.get_by_role("dialog")
    shown(dialog.get_by_text("To undo"), timeout=LONG)
    dialog.get_by_role("button", name="Launch job").click()
    page.wait_for_url(re.compile(r"/training_job\?job="), timeout=LONG)
    name = page.url.rpartition("=")[2]
    call(sandbox.address, "InterruptTrainingJob", {"TrainingJobName": name, "AfterCheckpoint": True})
    shown(
        page.get_by_text(re.compile("without training, resumed from epoch-0000.json at epoch 1")),
        timeout=LONG,
    )
    badge = page.get_by_test_id("stMain").locator(".stMarkdownBadge").filter(has_text="completed")
    shown(badge, timeout=LONG)
    shown(page.get_by_text("Interrupted: AWS reclaimed the spot instance ·"))
    shown(page.get_by_text("Training from epoch 1 ·"))
    shown(page.get_by_text(re.compile(r"^spot saved \d\d% \(\$[\d.]+\)$")), timeout=LONG)
