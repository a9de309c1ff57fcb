"""The browser boundary in a real browser: everything of the dashboard works inside it, no other page reaches it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import LONG, choose_file, eventually, press, shown

ROOT = Path(__file__).parents[2]
AERIAL = ROOT / "sandbox" / "demo" / "aerial"
FOREIGN_PAGE = """<!doctype html><title>foreign</title><iframe src="ADDRESS"></iframe>
<script>
window.results = {};
const socket = new WebSocket("ADDRESS".replace("http", "ws") + "/_stcore/stream");
socket.onopen = () => { results.socket = "open"; };
socket.onerror = () => { results.socket = "refused"; };
fetch("ADDRESS/_stcore/host-config").then(
    () => { results.fetch = "read"; }, () => { results.fetch = "refused"; });
</script>"""

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def dashboard(demo_dashboard: Any) -> str:
    """The address of a dashboard with the demo models."""
    address: str = demo_dashboard.address
    return address


@pytest.fixture
def foreign_page(dashboard: str) -> Iterator[str]:
    """The address of a page on another port that frames and calls the dashboard."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = FOREIGN_PAGE.replace("ADDRESS", dashboard).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_upload_viewer_camera_and_download_work_under_the_policy(dashboard, page: Page, ready, complaints):
    """Upload, viewer, download and a camera image all work without a browser complaint."""
    page.goto(f"{dashboard}/segment?endpoint=aerial-land-cover")
    choose_file(page, AERIAL / "examples" / "river.jpg")
    viewer = page.locator(".viewer")
    expect(viewer).to_have_attribute("data-planes", re.compile(r"[1-9]"), timeout=LONG)
    with page.expect_download(timeout=LONG) as download:
        press(page.get_by_role("button", name="Mask", exact=True))
    assert download.value.path().read_bytes().startswith(b"\x89PNG")
    press(page.get_by_text("Camera", exact=True))
    video = page.get_by_test_id("stCameraInput").locator("video")
    expect(video).to_have_js_property("paused", False)
    eventually(page, lambda: video.evaluate("(video) => video.videoHeight"), bool)
    press(page.get_by_role("button", name="Take Photo"))  # before the first image of the video, it takes none
    shown(page.get_by_text("2 images done in"), timeout=LONG)
    ready(page)
    assert complaints() == []


def test_a_page_of_another_port_reaches_nothing(dashboard, page: Page, foreign_page):
    """A page of any other port of this machine cannot frame the dashboard, open its WebSocket or read a response."""
    page.goto(foreign_page)
    page.wait_for_function("window.results.socket && window.results.fetch")
    assert page.evaluate("window.results") == {"socket": "refused", "fetch": "refused"}
    framed = page.frames[1]
    assert framed.url != f"{dashboard}/"
    expect(page.frame_locator("iframe").get_by_test_id("stApp")).to_have_count(0)
