"""Every page under every fault of AWS: the frame first, then data or an error that says what to do."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest
from streamlit.testing.v1 import AppTest

from core.aws.connection import clients, connect
from core.settings import AWS_SECONDS, Settings
from pages.parts import shared_cache
from tests.support.apps import app_from_file
from tests.support.dashboard import SHELL, fresh_caches, plain_texts
from tests.support.fault_server import FAULTS, FaultServer

PAGES: dict[str, dict[str, str]] = {
    "overview": {},
    "segment": {},
    "evaluate": {},
    "datasets": {},
    "training_jobs": {},
    "training_job": {"job": "road-1"},
    "launch_training": {"clone": "road-1"},
    "endpoints": {},
    "endpoint": {"endpoint": "coast-1"},
    "deploy": {"endpoint": "coast-1"},
    "setup": {},
    "batches": {},
    "batch": {"job": "masks-1"},
    "launch_batch": {"clone": "masks-1"},
}
"""Page -> what its address names."""

FRAME_SECONDS, ANSWER_SECONDS = 2.0, 60.0
BUSY = 5
"""How many times slower a busy machine may be. A page that waited for AWS would take far longer in the slow one."""

WAITING, STILL_WAITING = "Waiting for", "Segdeck is still waiting"
WITHOUT_AWS = ("datasets",)
"""Pages that ask AWS for nothing before a button is pressed."""


@dataclass
class Opened:
    """A page after its first run: how long that took, and the limit."""

    app: AppTest
    seconds: float
    bound: float
    first: str


@dataclass
class Opening:
    """All pages of a dashboard whose AWS has this fault."""

    server: FaultServer
    pages: dict[str, Opened]


@pytest.fixture(scope="module", autouse=True)
def environ() -> Iterator[pytest.MonkeyPatch]:
    """The environment of a dashboard in mode aws, which waits a second for each answer of AWS."""
    main = sys.modules["__main__"]
    with pytest.MonkeyPatch.context() as patch:
        values = {
            "SEGDECK_MODE": "aws",
            "SEGDECK_AWS_SECONDS": "1",
            "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        for name, value in values.items():
            patch.setenv(name, value)
        yield patch
    sys.modules["__main__"] = main


@pytest.fixture(scope="module")
def own_seconds(environ: pytest.MonkeyPatch) -> dict[str, float]:
    """The time that each page takes without waiting for AWS, on a machine as busy as this one."""
    environ.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for _ in range(2):  # in the first round, what a process imports once comes on top
        fresh_caches(patience=0)
        seconds = {page: timed(page, query)[1] for page, query in PAGES.items()}
    return seconds


@pytest.fixture(scope="module", params=FAULTS)
def opening(
    request: pytest.FixtureRequest, environ: pytest.MonkeyPatch, own_seconds: dict[str, float]
) -> Iterator[Opening]:
    """All pages opened one after the other, so that they wait together. A slow AWS has the product's own timeouts."""
    server = FaultServer(request.param)
    environ.setenv("AWS_ENDPOINT_URL", server.url)
    environ.setenv("SEGDECK_AWS_SECONDS", str(AWS_SECONDS) if request.param == "slow" else "1")
    fresh_caches(patience=shared_cache.PATIENCE)
    make_clients()
    pages = {}
    for page, query in PAGES.items():
        app, seconds = timed(page, query)
        bound = BUSY * max(FRAME_SECONDS, FRAME_SECONDS / 2 + 2 * own_seconds[page])
        pages[page] = Opened(app, seconds, bound, everything(app))
    yield Opening(server, pages)
    server.stop()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_under_a_fault(opening: Opening, name: str):
    """Whatever fails, a page has its frame within 2 s, and within 60 s its data or an actionable error."""
    opened = opening.pages[name]
    assert opened.seconds < opened.bound
    assert has_frame(opened.app), opened.first
    if opening.server.fault == "slow":
        assert name in WITHOUT_AWS or WAITING in opened.first or STILL_WAITING in opened.first
        opening.server.end()
    deadline = time.monotonic() + ANSWER_SECONDS
    app = opened.app
    while WAITING in everything(app) or (opening.server.fault == "slow" and STILL_WAITING in everything(app)):
        assert time.monotonic() < deadline, everything(app)
        time.sleep(0.2)  # as the browser's timer does
        app.run()
    assert has_frame(app)
    assert "Unexpected error" not in everything(app)
    assert not app.exception
    assert name in WITHOUT_AWS or opening.server.fault == "slow" or has_answer(app), everything(app)


def test_a_fault_that_is_over_leaves_no_card(environ: pytest.MonkeyPatch, own_seconds: dict[str, float]):
    """Within 12 s after a fault has ended, its card disappears from the pages that refresh.

    The pages take turns here: what they take themselves comes on top, on a busy machine much of it.
    """
    fresh_caches(patience=shared_cache.PATIENCE)
    environ.setenv("SEGDECK_AWS_SECONDS", "1")
    servers = [FaultServer(fault) for fault in FAULTS if fault != "missing resource"]
    pages = {}
    for server in servers:
        environ.setenv("AWS_ENDPOINT_URL", server.url)
        for page in ("training_jobs", "endpoints"):
            pages[server.fault, page] = server, open_page(page)
    for server, app in pages.values():
        environ.setenv("AWS_ENDPOINT_URL", server.url)
        until(app, lambda app: len(app.error) > 0)
    for server in servers:
        server.end()
    ended = time.monotonic()
    late = {}
    while pages and time.monotonic() < ended + ANSWER_SECONDS:
        for key, (server, app) in list(pages.items()):
            environ.setenv("AWS_ENDPOINT_URL", server.url)
            if not app.run().error and WAITING not in everything(app):
                late[key] = time.monotonic() - ended
                del pages[key]
    for server in servers:
        server.stop()
    assert not pages
    turns = BUSY * sum(own_seconds[page] for page in ("training_jobs", "endpoints")) * len(servers)
    assert {key: seconds for key, seconds in late.items() if seconds > 12 + turns} == {}


def make_clients() -> None:
    """Make the clients that pages use first: a dashboard that has run for a minute has them."""
    made = clients(connect(Settings.from_environ(os.environ)))
    assert all((made.sagemaker, made.lists, made.sts, made.s3, made.cloudwatch, made.pricing))


def open_page(page: str, **query: str) -> AppTest:
    """The page after its first run."""
    app = app_from_file(SHELL, default_timeout=60)
    for key, value in query.items():
        app.query_params[key] = value
    return (app if page == "overview" else app.switch_page(f"../{page}.py")).run()


def timed(page: str, query: Mapping[str, str]) -> tuple[AppTest, float]:
    """The same, and the seconds that it took."""
    began = time.monotonic()
    app = open_page(page, **query)
    return app, time.monotonic() - began


def until(app: AppTest, holds: Callable[[AppTest], bool], seconds: float = ANSWER_SECONDS) -> None:
    """Run the page again until the condition holds."""
    deadline = time.monotonic() + seconds
    while not holds(app):
        assert time.monotonic() < deadline, everything(app)
        time.sleep(0.1)
        app.run()


def everything(app: AppTest) -> str:
    """Return all text on the page, without the sidebar."""
    return plain_texts(app)


def has_frame(app: AppTest) -> bool:
    """Whether the sidebar shows the backend, and the page has its title."""
    return any("eu-west-1" in caption.value.replace("\\", "") for caption in app.sidebar.caption) and bool(
        app.title
    )


def has_answer(app: AppTest) -> bool:
    """Whether the page shows its state: a card, or a line of the setup page."""
    cards = [*app.error, *app.warning, *app.info]
    return bool(cards) or ":material/error:" in everything(app)
