"""Measure how long a dropped image takes to its painted mask, in Chromium: `python -m bench.paint`.

A dashboard on its own sandbox, with the demo models. In each round, a new image of 800 x 600 pixels is

    dropped   on the Segment page of a new window: from the drop until the viewer shows the mask
    invoked   sent to the same endpoint by boto3, with the response type that the page uses

The difference of both is what the dashboard adds: the upload, the runs of the page, decoding and drawing. At the end,
24 images are dropped at once, until each is done. Browser, dashboard and endpoint share this machine, so
compare only within one run: `--against FOLDER` measures the dashboard of another checkout in turn with this one. The
browser's processor time depends less than the rest on what else this machine does.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import boto3
import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from bench.rerun import wait_until_up
from core.wire.decode import RECORDIO
from sandbox import launcher

ROOT = Path(__file__).resolve().parents[1]
SCENE = ROOT / "sandbox" / "demo" / "aerial" / "examples" / "river.jpg"
ENDPOINT = "aerial-land-cover"
SIZE = (800, 600)
MANY = 24
SECONDS = 120
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

DROP = """async ([name, text]) => {
    const transfer = new DataTransfer();
    const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
    transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
    const zone = document.querySelector("[data-testid=stFileUploaderDropzone]");
    const PARTS = "[data-testid^=stBidiComponent], [data-testid^=stBidiComponent] *";
    const viewer = () => {
        for (const host of document.querySelectorAll(PARTS)) {
            const root = host.shadowRoot?.querySelector(".viewer");
            if (root) return root;
        }
    };
    const begin = performance.now();
    zone.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true }));
    while (viewer()?.dataset.state !== "ready") await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
    const end = performance.now();
    const uploads = performance.getEntriesByType("resource").filter(({ name }) => name.includes("/upload_file/"));
    const uploaded = Math.max(...uploads.map(({ responseEnd }) => responseEnd));
    return [end - begin, uploaded - begin];
}"""
"""Drops a file; returns the milliseconds until the mask is painted, and until the file was uploaded."""


@dataclass(frozen=True)
class Round:
    """Seconds of one image.

    painted:  from the drop to the mask. uploaded: of it, to the end of the upload.
    invoked:  another image, sent to the endpoint without the dashboard.
    rendered: processor time of the page's process in the browser, until the mask.
    """

    painted: float
    uploaded: float
    invoked: float
    rendered: float


@dataclass(frozen=True)
class Batch:
    """Seconds of many images. painted: from the choice of all until each is done; invoked: one after the other."""

    painted: float
    invoked: float

    @property
    def added(self) -> float:
        """Return the seconds per image that the dashboard adds."""
        return (self.painted - self.invoked) / MANY


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--many", type=int, default=1, help="rounds of many images at once (default: 1)")
    parser.add_argument(
        "--against", type=Path, metavar="FOLDER", help="a checkout to measure in turn with this one"
    )
    given = parser.parse_args()
    roots = {"": ROOT} if given.against is None else {"before": given.against.resolve(), "now": ROOT}
    browser_path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    with ExitStack() as stack:
        running = {name: stack.enter_context(dashboard(root)) for name, root in roots.items()}
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        images = iter(scenes(len(roots) * (2 * (given.rounds + 1) + 2 * MANY * given.many)))
        took: dict[str, list[Round]] = {name: [] for name in roots}
        for _ in range(given.rounds + 1):
            for name, (url, runtime) in running.items():
                took[name].append(_round(browser, url, runtime, images))
        batches: dict[str, list[Batch]] = {name: [] for name in roots}
        for _ in range(given.many):
            for name, (url, runtime) in running.items():
                batches[name].append(_batch(browser, url, runtime, images))
        browser.close()
    print(f"{given.rounds} images of {SIZE[0]} x {SIZE[1]} pixels, milliseconds")
    for name in roots:
        _print_rounds(name, took[name][1:], batches[name])


def scenes(count: int) -> Iterator[bytes]:
    """Return JPEG files that differ, so that no response is reused."""
    random = np.random.default_rng(0)
    with Image.open(SCENE) as image:
        scene = np.asarray(image.convert("RGB").resize(SIZE))
    for _ in range(count):
        changed = scene.copy()
        changed[:8, :8] = random.integers(0, 256, (8, 8, 3))
        stream = io.BytesIO()
        Image.fromarray(changed).save(stream, "jpeg", quality=90)
        yield stream.getvalue()


def _round(browser: Browser, url: str, runtime: Any, images: Iterator[bytes]) -> Round:
    invoked = _invoke(runtime, next(images))
    with browser.new_context() as window:
        page = _segment_page(window.new_page(), url)
        before = _render_seconds(browser)
        painted, uploaded = page.evaluate(DROP, ["scene.jpg", base64.b64encode(next(images)).decode()])
        after = _render_seconds(browser)
        rendered = max(after.get(process, 0.0) - seconds for process, seconds in before.items())
    return Round(painted / 1000, uploaded / 1000, invoked, rendered)


def _render_seconds(browser: Browser) -> dict[int, float]:
    """Return the processor time of each process that renders a page, by its id."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return {each["id"]: each["cpuTime"] for each in processes if each["type"] == "renderer"}


def _invoke(runtime: Any, image: bytes) -> float:
    begin = time.perf_counter()
    response = runtime.invoke_endpoint(
        EndpointName=ENDPOINT, ContentType="image/jpeg", Accept=RECORDIO, Body=image
    )
    response["Body"].read()
    return time.perf_counter() - begin


def _batch(browser: Browser, url: str, runtime: Any, images: Iterator[bytes]) -> Batch:
    dropped = list(islice(images, MANY))
    painted = _many(browser, url, dropped)
    return Batch(painted, sum(_invoke(runtime, image) for image in islice(images, MANY)))


def _many(browser: Browser, url: str, images: Sequence[bytes]) -> float:
    """Return the seconds from the choice of all images until each is done."""
    with browser.new_context() as window:
        page = _segment_page(window.new_page(), url)
        files: list[Any] = [
            {"name": f"{number}.jpg", "mimeType": "image/jpeg", "buffer": image}
            for number, image in enumerate(images)
        ]
        begin = time.perf_counter()
        page.locator("input[type=file]").first.set_input_files(files)
        expect(page.locator(".row .tile[data-state=done]")).to_have_count(len(images), timeout=SECONDS * 1000)
        return time.perf_counter() - begin


def _segment_page(page: Page, url: str) -> Page:
    page.set_default_timeout(SECONDS * 1000)
    page.goto(f"{url}/segment?endpoint={ENDPOINT}")
    expect(page.get_by_test_id("stFileUploaderDropzone")).to_have_count(1, timeout=SECONDS * 1000)
    expect(page.get_by_test_id("stApp")).to_have_attribute(
        "data-test-script-state", "notRunning", timeout=SECONDS * 1000
    )
    page.wait_for_load_state("networkidle")
    return page


@contextmanager
def dashboard(root: Path) -> Iterator[tuple[str, Any]]:
    """Start the dashboard of a checkout with the demo models; give its URL and a client of its endpoints."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    url = f"http://127.0.0.1:{port}"
    command = [
        sys.executable, "-m", "streamlit", "run", "app.py", "--server.address=127.0.0.1", f"--server.port={port}",
        "--server.headless=true", "--server.fileWatcherType=none",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log:
        data = Path(folder) / "sandbox"
        environ = {
            **os.environ,
            "SEGDECK_MODE": "sandbox",
            "SEGDECK_SANDBOX_DIR": str(data),
            "SEGDECK_STATE_DIR": str(Path(folder) / "state"),
        }
        process = subprocess.Popen(command, cwd=root, env=environ, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until_up(f"{url}/_stcore/health", process)
            address = launcher.running(data)
            if address is None:
                raise SystemExit(f"The sandbox in {data} did not start.")
            session = boto3.Session(address.access_key, address.secret_key, region_name=address.region)
            _wait_in_service(session.client("sagemaker", endpoint_url=address.url))
            yield url, session.client("sagemaker-runtime", endpoint_url=address.url)
        finally:
            process.terminate()
            process.wait(60)


def _wait_in_service(sagemaker: Any) -> None:
    sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName=ENDPOINT, WaiterConfig={"Delay": 1, "MaxAttempts": SECONDS}
    )


def _print_rounds(name: str, took: Sequence[Round], batches: Sequence[Batch]) -> None:
    if name:
        print(name)
    _print("dropped to painted", [each.painted for each in took])
    _print("  of it, uploaded", [each.uploaded for each in took])
    _print("  browser's processor", [each.rendered for each in took])
    _print("invoked alone", [each.invoked for each in took])
    _print("the dashboard adds", [each.painted - each.invoked for each in took])
    for batch in batches:
        print(
            f"  {MANY} images at once: {batch.painted:.2f} s, invoked one by one {batch.invoked:.2f} s; "
            f"the dashboard adds {batch.added * 1000:.0f} ms per image"
        )


def _print(what: str, seconds: Sequence[float]) -> None:
    ordered = sorted(seconds)
    p95 = ordered[int(0.95 * (len(ordered) - 1))]
    print(
        f"  {what:21} min {ordered[0] * 1000:5.0f}  p50 {statistics.median(ordered) * 1000:5.0f}  "
        f"p95 {p95 * 1000:5.0f}"
    )


if __name__ == "__main__":
    main()
