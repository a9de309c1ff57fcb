"""Pages whose AWS takes half a minute for each answer: what they wait for is shown, and arrives in place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import LONG, eventually, shown
from tests.support.fault_server import FaultServer

ROOT = Path(__file__).parents[2]

PAGES = {
    "": ("Overview", "No endpoint is in service"),
    "training_jobs": ("Training jobs", "No training jobs yet."),
    "endpoint?endpoint=coast-1": ("coast-1", "it does not exist"),
}
"""Address -> the title, and what is shown once AWS has answered."""

WAITING, NO_ACCOUNT = (
    re.compile("Waiting for|Segdeck is still waiting"),
    re.compile("account (pending|unknown)"),
)
"""What a page shows before that: first what is pending, and after half a minute that it is late."""

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def slow_aws() -> Iterator[FaultServer]:
    """An AWS that responds once it is released."""
    server = FaultServer("slow")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def dashboard(streamlit_server: Callable[..., str], slow_aws: FaultServer) -> str:
    """A dashboard in mode aws, whose every call waits."""
    environ = {
        "SEGDECK_MODE": "aws",
        "SEGDECK_AWS_SECONDS": "600",
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_ENDPOINT_URL": slow_aws.url,
    }
    return streamlit_server(ROOT / "app.py", environ)


def test_a_slow_aws_is_awaited_in_place(dashboard: str, slow_aws: FaultServer, page: Page):
    """Sidebar, title and waiting states are shown while AWS is silent; its response then replaces them.

    The page is neither loaded again nor moved by that.
    """
    page.set_viewport_size({"width": 1440, "height": 900})
    tabs = {}
    for address, (title, _) in PAGES.items():
        tab = tabs[address] = page.context.new_page()
        tab.goto(f"{dashboard}/{address}")
        shown(tab.get_by_role("heading", name=title), timeout=LONG)
        expect(tab.get_by_text(WAITING).first).to_be_visible(timeout=LONG)
        expect(tab.get_by_test_id("stSidebar")).to_contain_text(NO_ACCOUNT)
        tab.evaluate("window.neverReloaded = true")
        # Another font has another height.
        eventually(
            tab, lambda tab=tab: tab.evaluate("document.fonts.status"), lambda status: status == "loaded"
        )
    boxes = {address: settled(tab, address) for address, tab in tabs.items()}
    slow_aws.end()
    for address, (_, answer) in PAGES.items():
        tab = tabs[address]
        expect(tab.get_by_text(answer).first).to_be_visible(timeout=LONG)
        expect(tab.get_by_text(WAITING)).to_have_count(0, timeout=LONG)
        expect(tab.get_by_test_id("stSidebar")).to_contain_text("account 123456789012", timeout=LONG)
        assert settled(tab, address) == boxes[address]
        assert tab.evaluate("window.neverReloaded")


def settled(tab: Page, address: str) -> object:
    """Return where the page's title is, once it is the same in two looks."""
    looks: list[object] = [None]

    def look() -> bool:
        looks.append(tab.get_by_role("heading", name=PAGES[address][0]).first.bounding_box())
        tab.wait_for_timeout(200)
        return looks[-1] is not None and looks[-1] == looks[-2]

    eventually(tab, look, bool)
    return looks[-1]
