"""Every page works inside the browser boundary, and is accessible: by the rules of axe-core, and by keyboard."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from sandbox.server import Sandbox
from tests.support.answers import NAMES, mask, probabilities, recordio
from tests.support.axe import OF_COLORS, described, violations
from tests.support.browser import LONG, drop, set_theme, shown
from tests.support.dashboard import ended, put_data, start_job, wait_for
from tests.support.fleet import put_endpoint
from tests.support.roles import create_roles

APP = Path(__file__).parents[2] / "app.py"
ENDPOINT = "coast"

pytestmark = pytest.mark.browser

PAGES = {
    "overview": ("", "Overview"),
    "overview-address": ("overview", "Overview"),
    "segment": (f"segment?endpoint={ENDPOINT}", "Segment images"),
    "evaluate": (f"evaluate?endpoint={ENDPOINT}", "Evaluate"),
    "datasets": ("datasets", "Datasets"),
    "jobs": ("training_jobs?compare=done,failed", "Training jobs"),
    "job": ("training_job?job=done", "done"),
    "failed-job": ("training_job?job=failed", "failed"),
    "launch": ("launch_training?clone=done", "Launch training"),
    "endpoints": ("endpoints", "Endpoints"),
    "endpoint": (f"endpoint?endpoint={ENDPOINT}", ENDPOINT),
    "deploy": ("deploy?job=done", "Deploy a model"),
    "setup": ("setup", "Setup"),
    "runs": ("runs", "Runs"),
    "batches": ("batches", "Batch transform"),
    "launch-batch": ("launch_batch", "Start a batch"),
}
"""Name -> address, and the heading that shows that the page is there."""
FONT_LOADED = """async () => {
    while (!(await document.fonts.load("15px Inter")).length) await new Promise(requestAnimationFrame);
}"""


@pytest.fixture(scope="module")
def account(
    tmp_path_factory: pytest.TempPathFactory,
    stub_programs: dict[str, list[str]],
    stub_training_programs: dict[str, list[str]],
    make_client: Callable[..., Any],
    model_archive: Callable[..., bytes],
) -> Iterator[Sandbox]:
    """An account with jobs that completed and failed, an endpoint that responds, and one that is idle."""
    folder = tmp_path_factory.mktemp("account")
    with Sandbox(folder, programs=stub_programs, training_programs=stub_training_programs) as sandbox:
        create_roles(sandbox)
        s3, sagemaker = make_client(sandbox, "s3"), make_client(sandbox, "sagemaker")
        put_data(s3)
        start_job(sagemaker, "done")
        start_job(sagemaker, "failed", {"fail": "ClientError: no images"})
        put_endpoint(sandbox, "forgotten", daily=[9] * 5 + [0] * 20)
        s3.create_bucket(Bucket="served")
        archive = model_archive({"answer.recordio": recordio(probabilities()), "answer.png": mask()})
        s3.put_object(Bucket="served", Key="coast/model.tar.gz", Body=archive)
        s3.put_object(Bucket="served", Key="coast/classes.json", Body=json.dumps(NAMES).encode())
        image = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"
        container = {"Image": image, "ModelDataUrl": "s3://served/coast/model.tar.gz"}
        sagemaker.create_model(ModelName=ENDPOINT, PrimaryContainer=container)
        variant = {"VariantName": "AllTraffic", "ModelName": ENDPOINT, "InstanceType": "ml.c5.xlarge"}
        sagemaker.create_endpoint_config(
            EndpointConfigName=ENDPOINT, ProductionVariants=[{**variant, "InitialInstanceCount": 1}]
        )
        sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=ENDPOINT)
        waits = {"WaiterConfig": {"Delay": 0.1, "MaxAttempts": 600}}
        sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=ENDPOINT, **waits)
        for name in ("done", "failed"):
            wait_for(sagemaker, name, ended)
        yield sandbox


@pytest.fixture(scope="module")
def address(
    account: Sandbox, streamlit_server: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> str:
    environ = {"SEGDECK_MODE": "aws", "SEGDECK_STATE_DIR": str(tmp_path_factory.mktemp("state"))}
    return streamlit_server(APP, {**environ, **account.address.environ()})


def settled(page: Page, ready: Callable[[Page], None]) -> None:
    """Wait until the page has all that it reads, and nothing of it is about to be replaced."""
    ready(page)
    for pending in ("stSkeleton", "stSpinner"):
        expect(page.get_by_test_id(pending)).to_have_count(0, timeout=LONG)
    expect(page.get_by_text("appears here automatically")).to_have_count(0, timeout=LONG)
    expect(page.locator("[data-stale=true]")).to_have_count(0, timeout=LONG)


def assert_accessible(page: Page, ready: Callable[[Page], None]) -> None:
    """Fail with every violation, in both themes; the rules that are not about colors hold in both or in neither."""
    texts = []
    for scheme, rules in (("light", ()), ("dark", OF_COLORS)):
        set_theme(page, scheme)
        settled(page, ready)
        if rows := violations(page, rules):
            texts.append(f"In the {scheme} theme:\n{described(rows)}")
    assert not texts, "\n\n".join(texts)


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_accessible_and_works_under_the_policy(
    page: Page, address: str, ready: Callable[[Page], None], complaints: Callable[[], list[str]], name: str
) -> None:
    """A page is drawn in the shell at its address, with fonts and charts, without a complaint of the browser.

    It has no serious violation of axe's rules, and its headings and table headers are right.
    """
    path, title = PAGES[name]
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{address}/{path}")
    shown(page.get_by_role("heading", name=title, exact=True), timeout=LONG)
    shown(page.get_by_test_id("stSidebar").get_by_role("link", name="Segment"))
    expect(page.get_by_role("dialog")).to_have_count(0)
    settled(page, ready)
    if name == "job":
        expect(page.get_by_test_id("stVegaLiteChart").first.locator("canvas, svg").first).to_be_visible()
    # Not by wait_for_function, whose polling the policy forbids: it evaluates a string in the page.
    page.evaluate(FONT_LOADED)
    assert complaints() == []
    assert_accessible(page, ready)


def picture(folder: Path, name: str, gray: int) -> Path:
    """Write a JPEG of the size that the endpoint responds with."""
    path = folder / name
    Image.new("RGB", (40, 30), (gray, gray, gray)).save(path, quality=92)
    return path


def focused(page: Page) -> Locator:
    """Return the element that has the focus, inside of components too."""
    return page.locator("*:focus").last


def tab_to(page: Page, wanted: Locator, most: int = 80) -> None:
    """Press Tab until this element has the focus."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element.getRootNode().activeElement === element"):
            return
    raise AssertionError(f"{wanted} cannot be reached by the Tab key")


def choose_files(page: Page, upload: Locator, files: list[Path]) -> None:
    """Open the file dialog with the Enter key, as often as a busy machine needs, and choose these files."""
    for _ in range(6):
        try:
            with page.expect_file_chooser(timeout=10_000) as chooser:
                upload.press("Enter")
        except PlaywrightTimeoutError:
            continue
        chooser.value.set_files(files)
        return
    raise AssertionError("the Enter key does not open the file dialog")


def test_an_image_is_segmented_by_keyboard(
    address: str, page: Page, ready: Callable[[Page], None], tmp_path: Path
) -> None:
    """Images are added, chosen, inspected and downloaded with the keyboard alone, and the result breaks no rule."""
    files = [picture(tmp_path, f"{name}.jpg", gray) for name, gray in (("first", 60), ("second", 120))]
    page.goto(f"{address}/segment?endpoint={ENDPOINT}")
    shown(page.get_by_text("2 classes"), timeout=LONG)
    settled(page, ready)
    upload = page.get_by_test_id("stFileUploaderDropzone").locator("button")
    shown(upload, timeout=LONG)
    tab_to(page, upload)
    expect(upload).to_be_focused()
    choose_files(page, upload, files)
    strip = page.get_by_role("group", name="Images", exact=True)
    first, second = (strip.get_by_role("button", name=f"{name}.jpg") for name in ("first", "second"))
    shown(page.get_by_text("2 images done in"), timeout=LONG)
    settled(page, ready)

    second.focus()  # either of them may be shown: the one that was done first
    page.keyboard.press("Home")
    expect(first).to_have_attribute("aria-pressed", "true", timeout=LONG)
    expect(first).to_be_focused()
    ready(page)
    page.keyboard.press("ArrowRight")
    expect(second).to_have_attribute("aria-pressed", "true", timeout=LONG)
    expect(second).to_be_focused()
    ready(page)

    root = page.locator(".viewer")
    expect(root).to_have_attribute("data-planes", re.compile("[0-9]"), timeout=LONG)
    tab_to(page, root)
    page.keyboard.press("Shift+ArrowRight")
    expect(root).to_have_attribute("data-pointing", "")
    page.keyboard.press("?")
    expect(root.get_by_role("dialog")).to_be_visible()
    assert_accessible(page, ready)
    page.keyboard.press("Escape")
    expect(root).to_be_focused()

    mask = page.get_by_role("button", name="Mask", exact=True)
    tab_to(page, mask)
    with page.expect_download(timeout=LONG) as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "second_mask.png"


@pytest.mark.parametrize(
    ("place", "opened", "name"),
    [
        ("training_jobs", "training_job?job=done", "done"),
        ("endpoints", f"endpoint?endpoint={ENDPOINT}", ENDPOINT),
    ],
)
def test_a_row_opens_by_keyboard_and_in_a_new_tab(
    address: str, page: Page, ready: Callable[[Page], None], *, place: str, opened: str, name: str
) -> None:
    """A row of a list is a link: Enter opens it in this tab, and with Ctrl in a new one."""
    page.goto(f"{address}/{place}?text={name}")
    settled(page, ready)
    summary = page.get_by_text("Link to this")
    expect(summary).to_be_visible(timeout=LONG)
    tab_to(page, summary)
    page.keyboard.press("Enter")
    link = page.get_by_role("link", name=name, exact=True)
    expect(link).to_be_visible()
    tab_to(page, link, most=1)
    with page.context.expect_page() as another:
        page.keyboard.press("Control+Enter")
    expect(another.value).to_have_url(f"{address}/{opened}", timeout=LONG)
    another.value.close()
    link.press("Enter")
    expect(page).to_have_url(f"{address}/{opened}", timeout=LONG)
    shown(page.get_by_role("heading", name=name, exact=True), timeout=LONG)


def test_a_drop_next_to_the_drop_zone_is_taken(
    address: str, page: Page, ready: Callable[[Page], None], tmp_path: Path
) -> None:
    """Files dropped anywhere on the page are uploaded; one that is too large is reported with what to do."""
    page.goto(f"{address}/segment?endpoint={ENDPOINT}")
    shown(page.get_by_text("2 classes"), timeout=LONG)
    settled(page, ready)
    files = {"bay.jpg": picture(tmp_path, "bay.jpg", 90).read_bytes(), "huge.jpg": 27_000_000}
    drop(page, files, onto=page.get_by_role("heading", name="Segment images"))
    expect(page.locator(".viewer")).to_have_attribute("data-planes", re.compile("[0-9]"), timeout=LONG)
    refused = page.get_by_role("alert").filter(has_text="huge.jpg (27.0 MB)")
    expect(refused).to_contain_text("SEGDECK_MAX_UPLOAD_MB")
    expect(refused).to_contain_text("segdeck segment")
