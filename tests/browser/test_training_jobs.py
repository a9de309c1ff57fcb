"""The list of training jobs in a real browser: selecting, opening, and refreshing automatically."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from bench.support.jobs_server import JobsServer, many, record
from tests.support.browser import click_row, fits_in_both_themes, press, shown

APP = Path(__file__).parents[2] / "app.py"
SELECT, OPEN = 16, 90
"""Pixels from the left of the table to what selects a row, and to the name that opens its job."""

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
    press(page.get_by_role("button", name="Refresh"))
    ready(page)
    expect(page.get_by_test_id("stDataFrame").first).to_be_visible()
    expect(page.get_by_test_id("stMetricValue").first).to_be_visible()
    ready(page)  # what is drawn after the table, including the row above it, has its place


def test_selected_rows_are_compared(jobs: Page, ready: Callable[[Page], None]) -> None:
    """Two selected rows are in the URL and their curves are in one chart; deselecting one ends the comparison."""
    click_row(jobs, 0, SELECT, "aerial-0040")
    expect(jobs).to_have_url(re.compile("compare=aerial-0040$"))
    ready(jobs)
    click_row(jobs, 2, SELECT, "aerial-0038")
    expect(jobs).to_have_url(re.compile("compare=aerial-0040%2Caerial-0038"))
    expect(jobs.get_by_test_id("stVegaLiteChart")).to_have_count(2)
    ready(jobs)
    click_row(jobs, 0, SELECT, "aerial-0040")
    shown(jobs.get_by_text("Select a second job to compare."))
    expect(jobs).to_have_url(re.compile("compare=aerial-0038$"))


def test_a_selection_stays_with_its_job(
    server: JobsServer, jobs: Page, ready: Callable[[Page], None]
) -> None:
    """When a new job appears at the top of the list, the selected job stays selected, not the one now in its row."""
    click_row(jobs, 1, SELECT, "aerial-0039")
    expect(jobs).to_have_url(re.compile("compare=aerial-0039"))
    server.jobs.insert(0, record("newcomer", "InProgress", created=datetime.now(UTC)))
    refresh(jobs, ready)
    expect(jobs.get_by_test_id("stMetricValue").first).to_have_text("3")
    ready(jobs)
    click_row(jobs, 0, SELECT, "newcomer")
    expect(jobs).to_have_url(re.compile(r"compare=(newcomer%2Caerial-0039|aerial-0039%2Cnewcomer)$"))


def test_a_name_opens_its_job(server: JobsServer, jobs: Page, ready: Callable[[Page], None]) -> None:
    """A click on a job's name opens that job's page."""
    server.jobs = many(40, running=0)
    refresh(jobs, ready)
    expect(jobs.get_by_test_id("stMetricValue").first).to_have_text("0")
    ready(jobs)  # without a running job, no refresh replaces the table under the click
    click_row(jobs, 3, OPEN, "aerial-0037")
    expect(jobs).to_have_url(re.compile(r"/training_job\?job=aerial-0037$"))
    expect(jobs.get_by_text("aerial-0037").first).to_be_visible()


def test_back_keeps_filters_and_comparison(
    server: JobsServer, address: str, page: Page, ready: Callable[[Page], None]
) -> None:
    """The browser's Back button leads from a job to the list with the filters and the comparison it had."""
    server.jobs = many(40, running=0)
    page.goto(f"{address}?text=aerial-00&compare=aerial-0040,aerial-0038")
    ready(page)
    shown(page.get_by_role("heading", name="Comparison"))
    page.get_by_text("Links to these").press("Enter")
    page.get_by_role("link", name="aerial-0037", exact=True).press("Enter")
    expect(page).to_have_url(re.compile(r"/training_job\?job=aerial-0037$"))
    shown(page.get_by_role("heading", name="aerial-0037"))
    ready(page)
    page.go_back()
    shown(page.get_by_role("heading", name="Comparison"))
    expect(page).to_have_url(re.compile(r"/training_jobs\?.*compare=aerial-0040%2Caerial-0038"))
    expect(page.get_by_label("Name contains")).to_have_value("aerial-00")


def test_the_browser_tab_names_the_page(jobs: Page) -> None:
    """The browser tab shows the page's name, and on a job's page the job's name."""
    expect(jobs).to_have_title("Training jobs · Segdeck")
    expect(jobs.get_by_test_id("stSidebar")).to_have_css(
        "width", "240px"
    )  # the title must not change its width
    click_row(jobs, 3, OPEN, "aerial-0037")
    expect(jobs).to_have_title("aerial-0037 · Segdeck")


def test_the_list_refreshes_while_a_job_runs(
    server: JobsServer, jobs: Page, comes_to_rest: Callable[[], None]
) -> None:
    """A job that ends is shown as ended without a click; once no job runs, the page stops refreshing."""
    expect(jobs.get_by_test_id("stMetricValue").first).to_have_text("2")
    for row in server.jobs[:2]:
        ended = {"TrainingEndTime": datetime.now(UTC) - timedelta(hours=1), "SecondaryStatus": "Completed"}
        row.update({"TrainingJobStatus": "Completed", **ended})
    expect(jobs.get_by_test_id("stMetricValue").first).to_have_text("0")
    jobs.reload()
    expect(jobs.get_by_test_id("stMetricValue").first).to_have_text("0")
    comes_to_rest()


def test_typing_is_not_interrupted(jobs: Page) -> None:
    """A half-typed filter is still there after an automatic refresh."""
    field = jobs.get_by_label("Name contains")
    field.press_sequentially("aerial-00")
    updated = jobs.get_by_text(re.compile("^Updated ")).first
    before = updated.inner_text()
    expect(updated).not_to_have_text(before)
    expect(field).to_have_value("aerial-00")


def test_a_narrow_window_does_not_scroll_sideways(
    server: JobsServer, address: str, page: Page, ready: Callable[[Page], None]
) -> None:
    """In a narrow window, with a job name as long as AWS allows, only the table scrolls sideways, never the page."""
    long = "a" + "-very-long-name" * 4 + "-1"
    server.jobs = [record(long, "Failed", created=datetime.now(UTC)), *many(3)]
    page.set_viewport_size({"width": 480, "height": 900})
    page.goto(f"{address}?compare={long},aerial-0003")
    ready(page)
    refresh(page, ready)
    expect(page.get_by_test_id("stVegaLiteChart").first).to_be_visible()
    fits_in_both_themes(page, 480)
