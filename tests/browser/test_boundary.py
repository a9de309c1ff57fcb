"""The browser boundary in a real browser: everything of the dashboard works inside it, no other page reaches it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import ConsoleMessage, Page, expect

from tests.support.browser import LONG, choose_file, eventually, press, shown

ROOT = Path(__file__).parents[2]
AERIAL = ROOT / "sandbox" / "demo" / "aerial"
JOB = "demo-aerial-six-classes"
PAGES = {
    "": "Overview",
    "overview": "Overview",
    "segment": "Segment images",
    "segment?endpoint=coastlines": "Segment images",
    "datasets": "Datasets",
    "training_jobs": "Training jobs",
    f"training_job?job={JOB}": JOB,
    "launch_training": "Launch training",
    "endpoints": "Endpoints",
    "endpoint?endpoint=aerial-land-cover": "aerial-land-cover",
    "deploy": "Deploy a model",
    "evaluate": "Evaluate",
    "setup": "Setup",
    "batches": "Batch transform",
    "launch_batch": "Start a batch",
}
"""Address -> the title of the page."""
HARMLESS = (
    r"_stcore/(health|host-config)",  # Streamlit tries a deep link's own folder before the root
    r"WARN .*(Infinite extent|Scale bindings)",  # Vega, about a chart without data
    r"'?wasm-eval'?|WebAssembly",  # an optional fast path of Streamlit's protobuf bundle
)
FONT_LOADED = """async () => {
    while (!(await document.fonts.load("15px Inter")).length) await new Promise(requestAnimationFrame);
}"""
WATCH = """
    window.violations = [];
    addEventListener("securitypolicyviolation", (event) =>
        window.violations.push(`${event.effectiveDirective} ${event.blockedURI}`));
"""
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
def complaints(page: Page) -> Iterator[Callable[[], list[str]]]:
    """`complaints()` returns what the console and the policy complained about, without what is known and harmless."""
    messages: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            messages.append(f"{message.text} {message.location.get('url', '')}")

    page.on("console", note)
    page.on("pageerror", lambda error: messages.append(f"page error: {error}"))
    page.add_init_script(WATCH)

    def read() -> list[str]:
        messages.extend(page.evaluate("window.violations"))
        return [text for text in messages if not any(re.search(known, text) for known in HARMLESS)]

    yield read
    page.remove_listener("console", note)


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


@pytest.mark.parametrize("address", PAGES)
def test_every_page_has_an_address_and_works_under_the_policy(
    dashboard, page: Page, ready, complaints, address
):
    """Each page is drawn in the shell at its address, with fonts and charts, without a complaint of the browser."""
    page.goto(f"{dashboard}/{address}")
    shown(page.get_by_role("heading", name=PAGES[address], exact=True, level=1), timeout=LONG)
    shown(page.get_by_test_id("stSidebar").get_by_role("link", name="Segment"))
    expect(page.get_by_role("dialog")).to_have_count(0)
    ready(page)
    if address.startswith("training_job?"):
        expect(page.get_by_test_id("stVegaLiteChart").first.locator("canvas, svg").first).to_be_visible()
    # Not by wait_for_function, whose polling the policy forbids: it evaluates a string in the page.
    page.evaluate(FONT_LOADED)
    assert complaints() == []


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
