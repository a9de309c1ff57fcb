"""The dashboard reports what ended to a webhook."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from core.notifications.store import WatchStore
from core.notifications.webhook import RefusedError
from pages.parts import cached, webhook
from sandbox.server import Sandbox
from tests.support.dashboard import connection_of, ended, put_data, start_job, wait_for
from tests.support.fleet import put_endpoint


class Sent:
    """Collects what is sent. refuse: whether the receiver is down."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.refuse = False

    def __call__(self, body: bytes) -> None:
        if self.refuse:
            raise RefusedError("It responded with HTTP status 503.", again=True)
        self.bodies.append(json.loads(body))


@pytest.fixture
def store(tmp_path: Path) -> WatchStore:
    return WatchStore(tmp_path)


def test_a_job_that_ends_is_reported_once_over_restarts(
    sandbox_server: Sandbox, make_client: Any, tmp_path: Path
) -> None:
    """A job that ends between two starts of the dashboard is reported by the second, and by no later one."""
    connection, sent, problems = connection_of(sandbox_server), Sent(), webhook.Problems(pytest.fail)
    sagemaker = make_client(sandbox_server, "sagemaker")
    put_data(make_client(sandbox_server, "s3"))

    def dashboard() -> None:
        store = WatchStore(tmp_path)
        assert store.own()
        webhook.report(store, sent, connection, problems)
        store.close()

    dashboard()
    name = start_job(sagemaker, f"hooked-{datetime.now(UTC):%H%M%S%f}")
    wait_for(sagemaker, name, ended)
    for _ in range(3):
        dashboard()
    reported = [body for body in sent.bodies if body["name"] == name]
    assert [body["event"] for body in reported] == ["training_job.completed"]
    assert reported[0]["details"]["status"] == "Completed"


def test_an_endpoint_that_turns_idle_is_reported(sandbox_server: Sandbox, store: WatchStore) -> None:
    """An endpoint that is idle from now on is reported, and one that was idle before is not."""
    connection, sent, problems = connection_of(sandbox_server), Sent(), webhook.Problems(pytest.fail)
    put_endpoint(sandbox_server, "idle-before")
    cached.forget_aws()
    webhook.report(store, sent, connection, problems)
    put_endpoint(sandbox_server, "idle-since")
    sent.refuse = True
    cached.shelf().expire()
    webhook.report(store, sent, connection, problems)
    waiting = [delivery.event.name for delivery in store.read().waiting]
    assert "idle-since" in waiting
    assert "idle-before" not in waiting


def test_a_problem_is_reported_once() -> None:
    """A problem that lasts is logged once, and again after it was solved in between."""
    said: list[str] = []
    problems = webhook.Problems(said.append)
    for problem in ("denied", "denied", "", "denied"):
        problems.report("jobs", problem)
    assert said == ["Notifications: denied", "Notifications: denied"]
