"""Take docs/segment.png again, from a dashboard that runs on the sandbox: `python tools/screenshot.py [URL]`.

`make run` serves the URL that is used without an argument. The Segment page is opened with the aerial demo endpoint,
one of its examples is uploaded, and the mouse rests on the image, so that the readout shows. Chromium is the one that
`make test` uses.
"""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, Position, ViewportSize, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "segment.png"
EXAMPLE = ROOT / "sandbox" / "demo" / "aerial" / "examples" / "lake_village.jpg"
ADDRESS = "http://localhost:8501"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SIZE: ViewportSize = {"width": 1366, "height": 810}
POINT: Position = {"x": 252, "y": 253}
"""Where the mouse rests, in pixels of the mask."""

COLORS = 256
MAX_BYTES = 300_000
SECONDS = 120


def main(address: str) -> None:
    """Write the screenshot. Raises SystemExit where it is too large to keep in the repository."""
    browser_path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.set_default_timeout(SECONDS * 1000)
        page.goto(f"{address}/segment?endpoint=aerial-land-cover")
        _drop(page, EXAMPLE)
        viewer = page.locator(".viewer")
        expect(viewer).to_have_attribute("data-planes", re.compile(r"[1-9]"), timeout=SECONDS * 1000)
        page.wait_for_load_state("networkidle")
        viewer.locator(".result canvas").hover(position=POINT)
        expect(viewer.locator(".readout")).to_contain_text("%")
        shot = page.screenshot()
        browser.close()
    with Image.open(io.BytesIO(shot)) as image:
        image.convert("RGB").quantize(COLORS).save(TARGET, optimize=True)
    size = TARGET.stat().st_size
    sys.stdout.write(f"{TARGET}: {image.width} x {image.height}, {size:,} bytes\n")
    if size > MAX_BYTES:
        raise SystemExit(f"More than {MAX_BYTES:,} bytes: lower COLORS.")


def _drop(page: Page, path: Path) -> None:
    """Drag a file onto the upload zone, as a person would."""
    zone = page.get_by_test_id("stFileUploaderDropzone")
    zone.wait_for()
    transfer = page.evaluate_handle(
        """([name, text]) => {
            const transfer = new DataTransfer();
            const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
            transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
            return transfer;
        }""",
        [path.name, base64.b64encode(path.read_bytes()).decode()],
    )
    zone.dispatch_event("drop", {"dataTransfer": transfer})


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ADDRESS)
