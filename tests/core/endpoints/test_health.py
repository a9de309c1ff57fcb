"""Verdicts on endpoints."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from core.endpoints.endpoint import Endpoint, Variant
from core.endpoints.health import VERDICTS, Health, health
from core.endpoints.traffic import STEP, STEPS, ServiceQuality, Traffic

NOW = datetime(2026, 11, 25, 9, tzinfo=UTC)
BEGIN = datetime(2026, 10, 26, 6, tzinfo=UTC)
OLD = Endpoint("roads", "arn", "InService", NOW - timedelta(days=60), NOW - timedelta(days=59))
WELL = ServiceQuality(200, 120.0, 300.0, 0, 1)


def called(*days_ago: float) -> Traffic:
    """One call at each of these times."""
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
        (OLD, called(8), None, Health("idle", "The last call was 7 days ago, and it bills all the same.")),
        (OLD, called(), None, Health("idle", "No call in 30 days, and it bills all the same.")),
        (running(None), called(), None, Health("idle", "No call in 30 days, and it bills all the same.")),
        (
            running(0),
            called(),
            None,
            Health("healthy", "No call in 30 days; it has no instance that would bill."),
        ),
        (
            running(None, serverless=True),
            called(8),
            None,
            Health("healthy", "The last call was 7 days ago; it has no instance that would bill."),
        ),
        (made(24), called(), None, Health("idle", "No call in 24 hours, and it bills all the same.")),
        (made(23), called(), None, Health("new", "No call yet; it was created 23 hours ago.")),
        (OLD, None, None, Health("unknown", "CloudWatch tells nothing of its calls.")),
        (OLD, None, WELL, Health("unknown", "CloudWatch tells nothing of its calls.")),
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
            Health("slow", "A call takes long: p50 4,000 ms, p90 12,345 ms. AWS ends one after 60 s."),
        ),
        (
            replace(OLD, status="Updating", modified_at=NOW - timedelta(minutes=5)),
            called(),
            None,
            Health("changing", "It is being updated; AWS last told of it less than an hour ago."),
        ),
        (made(1, status="Failed", failure_reason="No ping."), None, None, Health("failed", "No ping.")),
        (
            made(1, status="OutOfService"),
            called(0),
            WELL,
            Health("failed", "It is out of service; AWS gives no reason."),
        ),
        (
            made(1, status="Dreaming"),
            called(0),
            WELL,
            Health("unknown", "AWS calls it Dreaming, which is no status known here."),
        ),
    ],
)
def test_a_verdict_has_its_reason(
    endpoint: Endpoint, traffic: Traffic | None, service: ServiceQuality | None, expected: Health
) -> None:
    """Each verdict comes with one sentence that holds the figures it rests on."""
    assert health(endpoint, traffic, service, NOW) == expected


def test_failed_calls_count_before_silence() -> None:
    """An endpoint that fails is erroring even where the thirty days' calls are not known."""
    assert health(OLD, None, ServiceQuality(10, None, None, 0, 9), NOW).verdict == "erroring"


def test_a_call_of_the_last_day_is_enough() -> None:
    """The finer figures of the last day show a call before the step of six hours does."""
    assert health(made(30), called(), WELL, NOW).verdict == "healthy"


def test_what_needs_a_hand_comes_first() -> None:
    """Sorted by rank, idle endpoints come first, failed ones then, healthy ones last."""
    ranks = [Health(verdict, "").rank for verdict in VERDICTS]
    assert ranks == sorted(ranks)
    assert (VERDICTS[0], VERDICTS[1], VERDICTS[-1]) == ("idle", "failed", "healthy")
