"""From a finished job to masks, in a real browser: deploy, segment, update under calls, share out, delete."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from playwright.sync_api import Browser, Locator, Page, expect

from sandbox import launcher
from tests.support.browser import LONG, choose_file, open_context, press, set_slider, shown

ROOT = Path(__file__).parents[2]
AERIAL = ROOT / "sandbox" / "demo" / "aerial"
JOB = "demo-aerial-six-classes"
NAME = "journey"
COASTLINES = "s3://segdeck-sandbox/models/coastlines/model.tar.gz"
MODEL = "s3://segdeck-sandbox/models/aerial/model.tar.gz"

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def data_dir(demo_dashboard: Any) -> Path:
    """Where the dashboard's sandbox keeps its state."""
    folder: Path = demo_dashboard.data_dir
    return folder


@pytest.fixture(scope="module")
def dashboard(demo_dashboard: Any) -> str:
    """The address of a dashboard with the demo models."""
    address: str = demo_dashboard.address
    return address


@pytest.fixture(scope="module")
def make(dashboard: str, data_dir: Path) -> Callable[[str], Any]:
    """make(service) -> a client of the dashboard's sandbox that tries once."""
    address = launcher.running(data_dir)
    assert address is not None, dashboard
    session = boto3.session.Session(address.access_key, address.secret_key, region_name=address.region)
    settings = Config(retries={"total_max_attempts": 1}, read_timeout=60)
    return lambda service: session.client(service, endpoint_url=address.url, config=settings)


@pytest.fixture(scope="module")
def page(browser: Browser, dashboard: str) -> Iterator[Page]:
    """One tab for the whole journey."""
    with open_context(browser, viewport={"width": 1280, "height": 1000}) as context:
        yield context.new_page()


class Caller:
    """A client that calls without a pause.

    sizes: of the answers, in bytes. failures: what went wrong.
    """

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime
        self._photo = (AERIAL / "examples" / "river.jpg").read_bytes()
        self._over = threading.Event()
        self.sizes: list[int] = []
        self.failures: list[str] = []

    def run(self) -> None:
        while not self._over.is_set():
            try:
                answer = self._runtime.invoke_endpoint(
                    EndpointName=NAME,
                    ContentType="image/jpeg",
                    Accept="application/x-recordio-protobuf",
                    Body=self._photo,
                )
                self.sizes.append(len(answer["Body"].read()))
            except Exception as error:  # noqa: BLE001  # whatever a client may meet is a failed call
                self.failures.append(repr(error))

    @contextmanager
    def calling(self) -> Iterator[None]:
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()


def review(page: Page, button: str) -> Locator:
    """Review the plan of a form without problems, and confirm it."""
    shown(page.get_by_text("Ready to deploy"), timeout=LONG)
    press(page.get_by_role("button", name="Review plan"))
    dialog = page.get_by_role("dialog")
    shown(dialog.get_by_text("To undo"), timeout=LONG)
    press(dialog.get_by_role("button", name=button, exact=True))
    page.wait_for_url(re.compile(rf"/endpoint\?endpoint={NAME}"), timeout=LONG)
    return dialog


def status(page: Page, words: str | re.Pattern[str]) -> None:
    """Wait until the endpoint's page shows this status."""
    badge = page.get_by_test_id("stMain").locator(".stMarkdownBadge").filter(has_text=words)
    expect(badge.first).to_be_visible(timeout=LONG)


def updated(page: Page, make: Callable[[str], Any], screenshot: Path | None = None) -> None:
    """Wait until an update is complete, and until the page shows that.

    The page may or may not show the update in progress: models may load at once.
    """
    status(page, re.compile("being updated|in service"))
    if screenshot:
        page.screenshot(path=screenshot, full_page=True)
    waiter = make("sagemaker").get_waiter("endpoint_in_service")
    waiter.wait(EndpointName=NAME, WaiterConfig={"Delay": 0.2, "MaxAttempts": 600})
    status(page, "in service")


def test_deploy_from_a_finished_job(page: Page, dashboard: str, output_path: str):
    """A completed job's page leads to a filled form; once confirmed, its endpoint comes into service."""
    page.goto(f"{dashboard}/training_job?job={JOB}")
    press(page.get_by_role("button", name="Deploy", exact=True))
    shown(page.get_by_text("6 classes"), timeout=LONG)
    shown(page.get_by_text("grass · cropland · forest"), timeout=LONG)
    name = page.get_by_label("Endpoint name", exact=True)
    expect(name).to_have_value(JOB, timeout=LONG)
    name.fill(NAME)
    name.press("Tab")
    shown(page.get_by_text("Ready to deploy"), timeout=LONG)
    page.screenshot(path=Path(output_path, "deploy.png"), full_page=True)
    review(page, "Deploy endpoint")
    shown(page.get_by_role("heading", name=NAME), timeout=LONG)
    status(page, "in service")
    page.screenshot(path=Path(output_path, "in-service.png"), full_page=True)


def test_try_in_segment(page: Page, output_path: str):
    """A click on its page opens Segment with this endpoint chosen, and an image gets its mask."""
    press(page.get_by_role("button", name="Try in Segment"))
    page.wait_for_url(re.compile(rf"/segment\?endpoint={NAME}"), timeout=LONG)
    choose_file(page, AERIAL / "examples" / "river.jpg")
    expect(page.locator(".viewer")).to_have_attribute("data-planes", re.compile(r"[1-9]"), timeout=LONG)
    expect(page.locator(".viewer")).to_contain_text("water", timeout=LONG)
    page.screenshot(path=Path(output_path, "segmented.png"), full_page=True)
    press(page.get_by_role("link", name="Endpoint", exact=True))
    page.wait_for_url(re.compile(rf"/endpoint\?endpoint={NAME}"), timeout=LONG)


def test_update_while_a_client_calls(
    page: Page, dashboard: str, make: Callable[[str], Any], output_path: str
):
    """The endpoint switches to another model while a client calls without a pause, and no call fails."""
    caller = Caller(make("sagemaker-runtime"))
    with caller.calling():
        page.goto(f"{dashboard}/deploy?endpoint={NAME}&artifact={COASTLINES}")
        review(page, "Update endpoint")
        updated(page, make, Path(output_path, "updating.png"))
        until = len(caller.sizes) + 2
        while len(caller.sizes) < until and not caller.failures:
            page.wait_for_timeout(50)
    assert caller.failures == []
    assert caller.sizes[0] > 2 * caller.sizes[-1]  # six classes before, two classes after


def test_a_second_variant_gets_its_share(
    page: Page, dashboard: str, make: Callable[[str], Any], output_path: str
):
    """A second model is added as a variant; a slider and a confirmation change the traffic shares."""
    page.goto(f"{dashboard}/deploy?endpoint={NAME}&artifact={MODEL}")
    press(page.get_by_text("Add another variant"))
    expect(page.get_by_role("textbox", name="Variant name")).to_have_value("challenger", timeout=LONG)
    page.screenshot(path=Path(output_path, "variant.png"), full_page=True)
    review(page, "Update endpoint")
    updated(page, make)
    press(page.get_by_role("button", name="Scale"))
    set_slider(page.get_by_role("slider"), 70)
    shown(
        page.get_by_text("AllTraffic 70% · challenger 30%"), timeout=LONG
    )  # the page has the slider's last value
    press(page.get_by_role("button", name="Review change"))
    press(page.get_by_role("dialog").get_by_role("button", name="Apply"))
    expect(page.get_by_role("dialog")).to_have_count(0, timeout=LONG)
    expect(page.get_by_text("AllTraffic 70% · challenger 30%").first).to_be_visible(timeout=LONG)
    rows = make("sagemaker").describe_endpoint(EndpointName=NAME)["ProductionVariants"]
    assert [row["CurrentWeight"] for row in rows] == pytest.approx([0.7, 0.3])


def test_delete_all_of_it(page: Page, make: Callable[[str], Any], output_path: str):
    """With its name typed, the endpoint is deleted with its configurations and models; the artifacts stay."""
    press(page.get_by_role("button", name="Delete", exact=True))
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("to confirm").fill(NAME, timeout=LONG)
    page.screenshot(path=Path(output_path, "delete.png"))
    press(dialog.get_by_role("button", name="Delete permanently"))
    expect(page).to_have_url(re.compile(r"/endpoints$"), timeout=LONG)
    sagemaker = make("sagemaker")
    assert not sagemaker.list_endpoints(NameContains=NAME)["Endpoints"]
    assert not sagemaker.list_endpoint_configs(NameContains=NAME)["EndpointConfigs"]
    assert not sagemaker.list_models(NameContains=NAME)["Models"]
    assert make("s3").head_object(Bucket="segdeck-sandbox", Key=f"jobs/{JOB}/output/model.tar.gz")
