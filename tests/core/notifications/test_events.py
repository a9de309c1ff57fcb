"""Which events a webhook reports, and how often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bench.support.jobs_server import record
from core.endpoints.endpoint import Endpoint, endpoint_from
from core.endpoints.health import Health, HealthStatus
from core.notifications.events import REMEMBERED, Watch, document, observe, without
from core.training.job import TrainingJob, from_description

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def job(name: str, status: str, *, ended: datetime = NOW + HOUR, **more: Any) -> TrainingJob:
    end = {} if status == "InProgress" else {"TrainingEndTime": ended, "LastModifiedTime": ended}
    return from_description(record(name, status, created=NOW - HOUR, **{**end, **more}))


def endpoint(name: str = "roads", status: HealthStatus = "idle") -> tuple[Endpoint, Health]:
    row = {"EndpointName": name, "CreationTime": NOW - HOUR, "EndpointStatus": "InService"}
    return endpoint_from(row), Health(status, "No calls in 8 days, but it is still billed.")


def kinds(watch: Watch) -> list[tuple[str, str]]:
    return [(delivery.event.kind, delivery.event.name) for delivery in watch.waiting]


def test_the_first_look_reports_nothing() -> None:
    """What had ended or was idle before the first look is not news."""
    watch = observe(Watch(), [job("old", "Failed", ended=NOW - HOUR)], [endpoint()], NOW)
    assert kinds(watch) == []
    assert kinds(observe(watch, [job("old", "Failed", ended=NOW - HOUR)], [endpoint()], NOW + HOUR)) == []


def test_each_end_of_a_job_is_reported_once() -> None:
    """A job that ends is reported with its kind, and not again at the next look."""
    watch = observe(Watch(), [job("a", "InProgress")], [], NOW)
    ended = [job("a", "Completed"), job("b", "Failed"), job("c", "Stopped"), job("d", "InProgress")]
    watch = observe(watch, ended, [], NOW + 2 * HOUR)
    expected = [("training_job.completed", "a"), ("training_job.failed", "b"), ("training_job.stopped", "c")]
    assert kinds(watch) == expected
    assert kinds(observe(watch, ended, [], NOW + 3 * HOUR)) == expected


def test_a_delivered_event_does_not_come_back() -> None:
    """After its delivery, an event is not reported again, however long its job stays in the list."""
    watch = observe(observe(Watch(), [], [], NOW), [job("a", "Completed")], [], NOW + 2 * HOUR)
    watch = without(watch, watch.waiting[0].event)
    for days in (1, REMEMBERED.days - 1, REMEMBERED.days + 1, 2 * REMEMBERED.days):
        watch = observe(watch, [job("a", "Completed")], [], NOW + timedelta(days=days))
        assert kinds(watch) == []
    assert watch.seen == {}


def test_an_endpoint_is_reported_each_time_it_becomes_idle() -> None:
    """An idle endpoint is reported once, and again only after it was in use; unknown health changes nothing."""
    watch = observe(Watch(), [], [endpoint(status="healthy")], NOW)
    for hours, status, count in (
        (1, "idle", 1),
        (2, "idle", 1),
        (3, "unknown", 1),
        (4, "idle", 1),
        (5, "healthy", 1),
        (6, "idle", 2),
    ):
        watch = observe(watch, [], [endpoint(status=status)], NOW + hours * HOUR)  # type: ignore[arg-type]
        assert len(watch.waiting) == count
    assert len({delivery.event.id for delivery in watch.waiting}) == 2


def test_what_cannot_be_read_changes_nothing() -> None:
    """A look without jobs or endpoints keeps what is known."""
    watch = observe(Watch(), [], [endpoint()], NOW)
    assert observe(watch, None, None, NOW + HOUR) == watch


@pytest.mark.parametrize("sandbox", [True, False])
def test_the_document(sandbox: bool) -> None:
    """The JSON document has what docs/notifications.md describes; the chat text has no text from a log."""
    failed = job("a", "Failed", FailureReason="ClientError: <!channel> bad data")
    event = observe(observe(Watch(), [], [], NOW), [failed], [], NOW + 2 * HOUR).waiting[0].event
    body = document(event, region="us-east-1", sandbox=sandbox)
    assert body["text"] == "Training job a failed."
    assert body["details"]["failure_reason"] == "ClientError: <!channel> bad data"
    assert (body["event"], body["name"], body["backend"]) == (
        "training_job.failed",
        "a",
        "sandbox" if sandbox else "aws",
    )
    assert set(body) == {
        *("version", "id", "event", "at", "name", "region", "backend", "text", "details"),
    }
