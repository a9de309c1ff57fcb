"""The Segment page while AWS is slow, throttles or interrupts responses: reported, usable, and fixed by a button."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from sandbox.server import Sandbox
from tests.support.answers import HEIGHT, NAMES, WIDTH, probabilities, recordio
from tests.support.browser import LONG, press, shown

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.browser

IMAGES = itertools.count()


@pytest.fixture(scope="module")
def coast(sandbox_server: Sandbox, make_endpoint: Callable[..., str]) -> Iterator[str]:
    """An endpoint of two classes, behind it a stub."""
    name = make_endpoint(sandbox_server, files={"answer.recordio": recordio(probabilities())})
    s3 = sandbox_server.loopback.client("s3")
    s3.put_object(Bucket="stub-models", Key=f"{name}/classes.json", Body=json.dumps(NAMES).encode())
    yield name
    sandbox_server.loopback.client("sagemaker").delete_endpoint(EndpointName=name)
    assert sandbox_server.wait_settled(90)


@pytest.fixture(scope="module")
def dashboard(streamlit_server: Callable[..., str], aws_environ: dict[str, str]) -> str:
    """A dashboard in mode aws, at the address of the test's sandbox."""
    return streamlit_server(ROOT / "app.py", {**aws_environ, "SEGDECK_MODE": "aws"})


@pytest.fixture
def drop(dashboard: str, coast: str, page: Page, tmp_path: Path) -> Callable[[], None]:
    """drop(): open the page and upload an image."""
    file = tmp_path / "bay.jpg"
    shade = 25 * next(IMAGES)  # a new image each time: the response to one that was sent before is cached
    Image.new("RGB", (WIDTH, HEIGHT), (shade, 60, 180)).save(file)

    def give() -> None:
        page.goto(f"{dashboard}/segment?endpoint={coast}")
        page.evaluate("window.neverReloaded = true")
        page.locator("input[type=file]").first.set_input_files(file, timeout=LONG)

    return give


def retry(page: Page) -> None:
    """Click the button: the mask is shown, the message is gone, and the page was not reloaded."""
    press(page.get_by_role("button", name="Try again"))
    expect(page.locator(".viewer")).to_have_attribute("data-planes", "2", timeout=LONG)
    expect(page.get_by_test_id("stAlert")).to_have_count(0)
    assert page.evaluate("window.neverReloaded")


def test_throttled(drop, faults, page: Page):
    """Throttling is reported with what to do, and the button tries again."""
    faults.add("error", operation="InvokeEndpoint", code="ThrottlingException", status=400, times=1)
    drop()
    shown(page.get_by_test_id("stAlert").filter(has_text="too many calls"), timeout=LONG)
    shown(page.get_by_test_id("stAlert").filter(has_text="Wait a few seconds"))
    retry(page)


def test_an_interrupted_response(drop, faults, page: Page):
    """A response that stops before its end is reported, and the button tries again."""
    faults.add("truncate", operation="InvokeEndpoint", times=1)
    drop()
    shown(page.get_by_test_id("stAlert").filter(has_text="ended early"), timeout=LONG)
    retry(page)


def test_a_slow_endpoint(drop, faults, page: Page):
    """While an endpoint is slow, the image's line shows that and the page stays usable; then the mask is shown."""
    faults.add("delay", seconds=60, operation="InvokeEndpoint", times=1)
    drop()
    shown(page.get_by_test_id("stExpander").filter(has_text="invoking the endpoint"), timeout=LONG)
    press(page.get_by_text("Camera", exact=True))
    shown(page.get_by_test_id("stCameraInput"), timeout=LONG)
    shown(page.get_by_test_id("stExpander").filter(has_text="invoking the endpoint"))
    faults.clear()
    expect(page.locator(".viewer")).to_have_attribute("data-planes", "2", timeout=LONG)
