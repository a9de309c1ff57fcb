"""The health of endpoints."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from core.endpoints.endpoint import Endpoint, Variant
from core.endpoints.health import HEALTH_STATUSES, Health, health
from core.endpoints.traffic import STEP, STEPS, ServiceQuality, Traffic

NOW = datetime(2026, 11, 25, 9, tzinfo=UTC)
BEGIN = datetime(2026, 10, 26, 6, tzinfo=UTC)
OLD = Endpoint("roads", "arn", "InService", NOW - timedelta(days=60), NOW - timedelta(days=59))
WELL = ServiceQuality(200, 120.0, 300.0, 0, 1)


def called(*days_ago: float) -> Traffic:
    """Return the traffic of one call at each of these times."""
    steps = [0] * STEPS
    for days in days_ago:
        steps[int((NOW - timedelta(days=days) - BEGIN) / STEP)] += 1
    return Traffic(BEGIN, tuple(steps))


def running(count: int | None, *, serverless: bool = False) -> Endpoint:
    variant = Variant("AllTraffic", "", count, "", serverless=serverless)
    return replace(OLD, variants=(variant,))


def made(hours_ago: float, **values: str) -> Endpoint:
    return replace(OLD, created_at=NOW - timedelta(hours=hours_ago), **values)


@pytest.mark.parametrize(
    ("endpoint", "traffic", "service", "expected"),
    [
        (OLD, called(0, 1), WELL, Health("healthy", "2 calls in 7 days, p90 300 ms.")),
        (OLD, called(6), None, Health("healthy", "1 call in 7 days.")),
        (OLD, called(8), None, Health("idle", "The last call was 7 days ago, but it is still billed.")),
        (OLD, called(), None, Health("idle", "No calls in 30 days, but it is still billed.")),
        (running(None), called(), None, Health("idle", "No calls in 30 days, but it is still billed.")),
        (
            running(0),
            called(),
            None,
            Health("healthy", "No calls in 30 days; it has no billed instances."),
        ),
        (
            running(None, serverless=True),
            called(8),
            None,
            Health("healthy", "The last call was 7 days ago; it has no billed instances."),
        ),
        (made(24), called(), None, Health("idle", "No calls in 24 hours, but it is still billed.")),
        (made(23), called(), None, Health("new", "No calls yet; created 23 hours ago.")),
        (OLD, None, None, Health("unknown", "CloudWatch has no data on its calls.")),
        (OLD, None, WELL, Health("unknown", "CloudWatch has no data on its calls.")),
        (
            OLD,
            called(0),
            ServiceQuality(200, 120.0, 300.0, 4, 6),
            Health("erroring", "5% of 200 calls in 24 hours failed (4 4xx, 6 5xx)."),
        ),
        (
            OLD,
            called(0),
            ServiceQuality(9, 4_000.0, 12_345.0, 0, 0),
            Health("slow", "Calls are slow: p50 4,000 ms, p90 12,345 ms. AWS ends a call after 60 s."),
        ),
        (
            replace(OLD, status="Updating", modified_at=NOW - timedelta(minutes=5)),
            called(),
            None,
            Health("changing", "It is being updated; last update from AWS less than an hour ago."),
        ),
        (made(1, status="Failed", failure_reason="No ping."), None, None, Health("failed", "No ping.")),
        (
            made(1, status="OutOfService"),
            called(0),
            WELL,
            Health("failed", "It is out of service; AWS gave no reason."),
        ),
        (
            made(1, status="Dreaming"),
            called(0),
            WELL,
            Health("unknown", "AWS reports the status Dreaming, which Segdeck does not know."),
        ),
    ],
)
def test_a_status_has_its_reason(
    endpoint: Endpoint, traffic: Traffic | None, service: ServiceQuality | None, expected: Health
) -> None:
    """Each status comes with one sentence with the numbers that it is based on."""
    assert health(endpoint, traffic, service, NOW) == expected


def test_failed_calls_count_before_silence() -> None:
    """An endpoint with failed calls is erroring even if its calls of thirty days are unknown."""
    assert health(OLD, None, ServiceQuality(10, None, None, 0, 9), NOW).status == "erroring"


def test_a_call_of_the_last_day_is_enough() -> None:
    """The hourly metrics of the last day show a call earlier than the six-hour steps do."""
    assert health(made(30), called(), WELL, NOW).status == "healthy"


def test_what_needs_attention_comes_first() -> None:
    """Sorted by rank, idle endpoints come first, then failed ones, and healthy ones last."""
    ranks = [Health(verdict, "").rank for verdict in HEALTH_STATUSES]
    assert ranks == sorted(ranks)
    assert (HEALTH_STATUSES[0], HEALTH_STATUSES[1], HEALTH_STATUSES[-1]) == ("idle", "failed", "healthy")
