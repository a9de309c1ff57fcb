"""The list of training jobs in a real browser: selecting, opening, and refreshing automatically."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from bench.support.jobs_server import JobsServer, many, record
from tests.support.browser import shown

APP = Path(__file__).parents[2] / "app.py"
HEADER, ROW = 39, 37
"""Pixels of the table's header and of each row."""

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server() -> Iterator[JobsServer]:
    with JobsServer(many(40)) as running:
        yield running


@pytest.fixture(scope="module")
def address(server: JobsServer, streamlit_server: Callable[..., str]) -> str:
    return streamlit_server(APP, server.environ()) + "/training_jobs"


@pytest.fixture
def jobs(server: JobsServer, address: str, page: Page, ready: Callable[[Page], None]) -> Page:
    """The page with forty jobs, the two newest running."""
    server.jobs = many(40)
    page.goto(address)
    ready(page)
    refresh(page, ready)
    return page


def refresh(page: Page, ready: Callable[[Page], None]) -> None:
    """Read everything again: the dashboard shares what it read for another test."""
    page.get_by_role("button", name="Refresh").click()
    ready(page)
    expect(page.get_by_test_id("stDataFrame").first).to_be_visible(timeout=90_000)
    expect(page.get_by_test_id("stMetricValue").first).to_be_visible(timeout=90_000)
    ready(page)  # what is drawn after the table, including the row above it, has its place


def click(page: Page, row: int, x: int) -> None:
    """Click into a row of the list, x pixels from its left."""
    canvas = page.get_by_test_id("stDataFrame").first
    canvas.click(position={"x": x, "y": HEADER + ROW * (row + 0.5)})


def test_selected_rows_are_compared(jobs: Page, ready: Callable[[Page], None]) -> None:
    """Two selected rows are in the URL and their curves are in one chart; deselecting one ends the comparison."""
    for row in (0, 2):
        click(jobs, row, 16)
        ready(jobs)
    expect(jobs).to_have_url(re.compile("compare=aerial-0040%2Caerial-0038"))
    expect(jobs.get_by_test_id("stVegaLiteChart")).to_have_count(2)
    click(jobs, 0, 16)
    shown(jobs.get_by_text("Select a second job to compare."), timeout=90_000)
    expect(jobs).to_have_url(re.compile("compare=aerial-0038$"))


def test_a_selection_stays_with_its_job(
    server: JobsServer, jobs: Page, ready: Callable[[Page], None]
) -> None:
    """When a new job appears at the top of the list, the selected job stays selected, not the one now in its row."""
    click(jobs, 1, 16)
    expect(jobs).to_have_url(re.compile("compare=aerial-0039"))
    server.jobs.insert(0, record("newcomer", "InProgress", created=datetime.now(UTC)))
    refresh(jobs, ready)
    expect(jobs.get_by_test_id("stMetricValue").first).to_have_text("3", timeout=90_000)
    ready(jobs)  # the metrics row arrives before the table
    click(jobs, 0, 16)
    expect(jobs).to_have_url(re.compile(r"compare=(newcomer%2Caerial-0039|aerial-0039%2Cnewcomer)$"))


def test_a_name_opens_its_job(server: JobsServer, jobs: Page, ready: Callable[[Page], None]) -> None:
    """A click on a job's name opens that job's page."""
    server.jobs = many(40, running=0)
    refresh(jobs, ready)
    expect(jobs.get_by_test_id("stMetricValue").first).to_have_text("0", timeout=90_000)
    ready(jobs)  # without a running job, no refresh replaces the table under the click
    click(jobs, 3, 90)
    expect(jobs).to_have_url(re.compile(r"/training_job\?job=aerial-0037$"), timeout=90_000)
    expect(jobs.get_by_text("aerial-0037").first).to_be_visible(timeout=90_000)


def test_the_browser_tab_names_the_page(jobs: Page) -> None:
    """The browser tab shows the page's name, and on a job's page the job's name."""
    expect(jobs).to_have_title("Training jobs · Segdeck", timeout=90_000)
    expect(jobs.get_by_test_id("stSidebar")).to_have_css(
        "width", "240px"
    )  # the title must not change its width
    click(jobs, 3, 90)
    expect(jobs).to_have_title("aerial-0037 · Segdeck", timeout=90_000)


def test_the_list_refreshes_while_a_job_runs(
    server: JobsServer, jobs: Page, comes_to_rest: Callable[[], None]
) -> None:
    """A job that ends is shown as ended without a click; once no job runs, the page stops refreshing."""
    expect(jobs.get_by_test_id("stMetricValue").first).to_have_text("2")
    for row in server.jobs[:2]:
        ended = {"TrainingEndTime": datetime.now(UTC) - timedelta(hours=1), "SecondaryStatus": "Completed"}
        row.update({"TrainingJobStatus": "Completed", **ended})
    expect(jobs.get_by_test_id("stMetricValue").first).to_have_text("0", timeout=90_000)
    jobs.reload()
    expect(jobs.get_by_test_id("stMetricValue").first).to_have_text("0", timeout=90_000)
    comes_to_rest()


def test_typing_is_not_interrupted(jobs: Page) -> None:
    """A half-typed filter is still there after an automatic refresh."""
    field = jobs.get_by_label("Name contains")
    field.press_sequentially("aerial-00")
    before = jobs.get_by_text(re.compile("^Updated ")).inner_text()
    expect(jobs.get_by_text(re.compile("^Updated "))).not_to_have_text(before, timeout=90_000)
    expect(field).to_have_value("aerial-00")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_window_does_not_scroll_sideways(
    browser: Browser, server: JobsServer, address: str, scheme: str, ready: Callable[[Page], None]
) -> None:
    """In a narrow window, with a job name as long as AWS allows, only the table scrolls sideways, never the page."""
    long = "a" + "-very-long-name" * 4 + "-1"
    server.jobs = [record(long, "Failed", created=datetime.now(UTC)), *many(3)]
    context = browser.new_context(color_scheme=scheme, viewport={"width": 480, "height": 900})
    page = context.new_page()
    page.goto(f"{address}?compare={long},aerial-0003")
    ready(page)
    refresh(page, ready)
    expect(page.get_by_test_id("stVegaLiteChart").first).to_be_visible(timeout=90_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 480
    context.close()
