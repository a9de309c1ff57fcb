"""Every page while one of its reads is denied: the page shows everything else, and says what is missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from sandbox.server import Sandbox
from tests.support.batches import Store
from tests.support.batches import ended as wait_until_ended
from tests.support.dashboard import ended, open_page, plain_texts, put_data, start_job, wait_for
from tests.support.fleet import put_endpoint
from tests.support.roles import create_roles

JOB, ENDPOINT, BATCH = "road-1", "coast-1", "masks-1"
OF_EVERY_PAGE = ("GetCallerIdentity", "GetProducts")
"""Reads of the frame and of prices, which every page makes in the same way: denied on the overview alone."""


@dataclass(frozen=True)
class PageRow:
    """A page.

    query: its URL parameters.
    shown: texts, metrics or rows that it shows whichever read is denied.
    needs: reads without which the page cannot do its work, so that it shows the error in place of `shown`.
    """

    page: str
    query: dict[str, str]
    shown: tuple[str, ...]
    needs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return "-".join([self.page, *self.query])


ROWS = (
    PageRow("overview", {}, ("Jobs running: 0", "Failed in 24 h: ", "Endpoints in service: 1")),
    PageRow("segment", {}, ("in service", f"option {ENDPOINT}")),
    PageRow("evaluate", {}, ("Evaluate", f"option {ENDPOINT}", "option The job's validation data")),
    PageRow("datasets", {}, ("Datasets",)),
    PageRow("training_jobs", {}, (f"row {JOB}", "Running: 0", "Failed today: 1")),
    PageRow("training_job", {"job": JOB}, ("failed", "no memory left", "Cost: ", "ml.g4dn.xlarge")),
    PageRow(
        "launch_training", {"clone": "road-2"}, ("Hyperparameters", "Ready to launch", "Cost per hour: $0.74")
    ),
    PageRow("endpoints", {}, (f"row {ENDPOINT}", "1 endpoint")),
    PageRow("endpoint", {"endpoint": ENDPOINT}, ("in service", "created 60 d ago", "Last call: ")),
    PageRow("deploy", {}, ("Model", "option road-2")),
    PageRow("deploy", {"model": ENDPOINT}, ("Model", f"option {ENDPOINT}", "Pre-flight checks")),
    PageRow("deploy", {"endpoint": ENDPOINT}, ("Model", "option road-2"), needs=("DescribeEndpointConfig",)),
    PageRow("batches", {}, (f"row {BATCH}",), needs=("ListTransformJobs",)),
    PageRow("batch", {"job": BATCH}, (BATCH, "Completed", "Cost: "), needs=("DescribeTransformJob",)),
    PageRow(
        "launch_batch",
        {"clone": BATCH},
        ("Images and masks", "Pre-flight checks"),
        needs=("DescribeTransformJob",),
    ),
    PageRow("setup", {}, (f"{ENDPOINT} in service",)),
)


@pytest.fixture(scope="module")
def account(
    tmp_path_factory: pytest.TempPathFactory,
    stub_programs: dict[str, list[str]],
    stub_training_programs: dict[str, list[str]],
    model_archive: Callable[..., bytes],
) -> Iterator[Sandbox]:
    """A sandbox with a job that failed, one that left a model, an endpoint, and a transform job."""
    folder = tmp_path_factory.mktemp("account")
    with Sandbox(folder, programs=stub_programs, training_programs=stub_training_programs) as sandbox:
        create_roles(sandbox)
        sagemaker: Any = sandbox.loopback.client("sagemaker")
        put_data(sandbox.loopback.client("s3"))
        start_job(sagemaker, JOB, {"fail": "no memory left"})
        start_job(sagemaker, "road-2")
        for name in (JOB, "road-2"):
            wait_for(sagemaker, name, ended)
        put_endpoint(sandbox, ENDPOINT, daily=[3] * 10)
        store = Store(sandbox, model_archive)
        source, out = store.images("a.jpg", "b.jpg")
        store.start(BATCH, store.model(), source, out)
        wait_until_ended(store, BATCH, "Completed")
        yield sandbox


@pytest.fixture
def open_row(
    account: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[PageRow], AppTest]]:
    """open_row(row) -> the page after its first run, with empty caches."""
    environ = {**account.address.environ(), "SEGDECK_STATE_DIR": str(tmp_path_factory.mktemp("state"))}
    for name, value in {"SEGDECK_MODE": "aws", **environ}.items():
        monkeypatch.setenv(name, value)
    yield lambda row: open_page(row.page, account, **row.query)
    account.faults.clear()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_one_denied_read_empties_no_page(
    row: PageRow, account: Sandbox, open_row: Callable[[PageRow], AppTest]
) -> None:
    """Whichever read of a page is denied, the page shows what the other reads return, and no unexpected error."""
    account.faults.add("delay", seconds=0)  # changes nothing, and records the operations
    assert missing(open_row(row), row.shown) == []
    operations = sorted({operation for _, operation in account.faults.hits})
    failures = {}
    for operation in operations:
        if operation in OF_EVERY_PAGE and row.page != "overview":
            continue
        deny(account, operation)
        app = open_row(row)
        shown = (operation,) if operation in row.needs else row.shown
        if problems := missing(app, shown):
            failures[operation] = problems
    assert failures == {}
    assert row.page == "datasets" or len(operations) > 1


@pytest.mark.parametrize(
    ("row", "operation"),
    [(row, "Search") for row in ROWS if row.page in ("overview", "training_jobs", "deploy") and not row.query]
    + [(row, "ListEndpoints") for row in ROWS if row.page == "segment"]
    + [(row, "DescribeTrainingJob") for row in ROWS if row.page == "training_job"]
    + [(row, "DescribeEndpoint") for row in ROWS if row.page in ("segment", "endpoint")],
    ids=lambda value: value.name if isinstance(value, PageRow) else value,
)
def test_a_page_says_which_read_was_denied(
    row: PageRow, operation: str, account: Sandbox, open_row: Callable[[PageRow], AppTest]
) -> None:
    """A page that reads something from another source names the operation that was denied."""
    deny(account, operation)
    assert f"not allowed to {operation}" in plain_texts(open_row(row))


def deny(sandbox: Sandbox, operation: str) -> None:
    sandbox.faults.clear()
    message = f"User is not authorized to perform: {operation}"
    code = "AccessDeniedException"
    sandbox.faults.add("error", operation=re.escape(operation), code=code, message=message, status=403)


def missing(app: AppTest, shown: tuple[str, ...]) -> list[str]:
    """Return the texts that the page does not show, and what it should not show."""
    rows = [f"row {name}" for table in app.dataframe for name in table.value.get("name", ())]
    options = [
        f"option {option}"
        for widget in [*app.selectbox, *app.get("button_group")]
        for option in getattr(widget, "options", ())
    ]
    text = "\n".join([plain_texts(app), *rows, *options])
    crashed = app.exception or any(words in text for words in ("did not foresee", "Unexpected error"))
    unexpected = ["an unexpected error"] if crashed else []
    return [*unexpected, *(part for part in shown if part not in text)]
