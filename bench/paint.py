"""Measure how long a dropped image takes to its painted mask, in Chromium: `python -m bench.paint`.

A dashboard on its own sandbox, with the demo models. In each round, a new image of 800 x 600 pixels is

    dropped   on the Segment page of a new window: from the drop until the viewer shows the mask
    invoked   sent to the same endpoint by boto3, with the response type that the page uses

The difference of both is what the dashboard adds: the upload, the runs of the page, decoding and drawing. At the end,
24 images are dropped at once, until each is done. Browser, dashboard and endpoint share this machine, so
compare only within one run.
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
from contextlib import contextmanager
from dataclasses import dataclass
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
    const viewer = () => {
        for (const host of document.querySelectorAll("*")) {
            const root = (host.shadowRoot ?? host).querySelector(".viewer");
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
    """Seconds of one image. painted: from the drop to the mask. uploaded: of it, to the end of the upload."""

    painted: float
    uploaded: float
    invoked: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    browser_path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    with dashboard() as (url, runtime), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        images = iter(scenes(2 * (rounds + 1) + 2 * MANY))
        took = [_round(browser, url, runtime, images) for _ in range(rounds + 1)][1:]
        many = _many(browser, url, [next(images) for _ in range(MANY)])
        alone = [_invoke(runtime, next(images)) for _ in range(MANY)]
        browser.close()
    print(f"{rounds} images of {SIZE[0]} x {SIZE[1]} pixels, milliseconds")
    _print("dropped to painted", [each.painted for each in took])
    _print("  of it, uploaded", [each.uploaded for each in took])
    _print("invoked alone", [each.invoked for each in took])
    _print("the dashboard adds", [each.painted - each.invoked for each in took])
    added = (many - sum(alone)) / MANY
    print(f"{MANY} images at once: {many:.2f} s, invoked one by one {sum(alone):.2f} s")
    print(f"  the dashboard adds {added * 1000:.0f} ms per image")


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
        painted, uploaded = page.evaluate(DROP, ["scene.jpg", base64.b64encode(next(images)).decode()])
    return Round(painted / 1000, uploaded / 1000, invoked)


def _invoke(runtime: Any, image: bytes) -> float:
    begin = time.perf_counter()
    response = runtime.invoke_endpoint(
        EndpointName=ENDPOINT, ContentType="image/jpeg", Accept=RECORDIO, Body=image
    )
    response["Body"].read()
    return time.perf_counter() - begin


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
def dashboard() -> Iterator[tuple[str, Any]]:
    """Start a dashboard with the demo models; give its URL and a client of its endpoints."""
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
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=subprocess.STDOUT)
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


def _print(what: str, seconds: Sequence[float]) -> None:
    ordered = sorted(seconds)
    p95 = ordered[int(0.95 * (len(ordered) - 1))]
    print(f"  {what:20} p50 {statistics.median(ordered) * 1000:5.0f}  p95 {p95 * 1000:5.0f}")


if __name__ == "__main__":
    main()
