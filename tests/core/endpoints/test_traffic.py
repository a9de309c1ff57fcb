"""The traffic of an endpoint."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from core.endpoints.traffic import STEP, STEPS, ServiceQuality, Traffic

BEGIN = datetime(2026, 10, 26, tzinfo=UTC)


def calls(**by_age: int) -> Traffic:
    """Return calls(s0=3, s5=1): that many in the current step, and in the fifth before it."""
    steps = [0] * STEPS
    for age, number in by_age.items():
        steps[-1 - int(age[1:])] = number
    return Traffic(BEGIN, tuple(steps))


@pytest.mark.parametrize(
    ("traffic", "expected"),
    [
        (calls(), (0, 0, 0)),
        (calls(s0=1, s4=10, s5=100), (11, 111, 111)),
        (calls(s28=1, s29=10, s120=100), (0, 1, 111)),
    ],
)
def test_calls_of_a_day_a_week_and_a_month(traffic: Traffic, expected: tuple[int, int, int]) -> None:
    """24 hours are the current step and four before it, seven days 28 before it, and thirty days all steps."""
    assert (traffic.day, traffic.week, traffic.month) == expected


def test_the_last_call_is_the_end_of_its_step() -> None:
    """The last call is the end of its six-hour step, so that an endpoint is never called idle too early."""
    assert calls().last_call is None
    traffic = calls(s2=1, s50=9)
    assert traffic.last_call == traffic.times()[-3] + STEP
    assert traffic.times()[0] == BEGIN
    assert traffic.times()[-1] == BEGIN + timedelta(days=30)


def test_no_call_is_older_than_its_endpoint() -> None:
    """The earliest time of a last call is the start of its step, or the endpoint's creation if that is later."""
    traffic = calls(s2=1)
    start = traffic.times()[-3]
    assert calls().last_call_after is None
    for created, earliest in ((None, start), (BEGIN, start), (start + STEP / 2, start + STEP / 2)):
        assert replace(traffic, created=created).last_call_after == earliest


def test_calls_that_are_left_out_are_reported() -> None:
    """A sentence says how many calls an earlier endpoint of the same name got; without any there is none."""
    assert calls().earlier_note == ""
    assert replace(calls(), earlier=1).earlier_note == (
        "Not counted: 1 call to an earlier endpoint of this name."
    )


@pytest.mark.parametrize(
    ("service", "share"),
    [
        (ServiceQuality(0, None, None, 0, 0), None),
        (ServiceQuality(100, 5.0, 9.0, 3, 2), 0.05),
        (ServiceQuality(1, 5.0, 9.0, 1, 1), 1.0),
    ],
)
def test_the_share_of_failed_calls(service: ServiceQuality, share: float | None) -> None:
    """The error share counts both kinds, is never above one, and is None without calls."""
    assert service.error_share == share
