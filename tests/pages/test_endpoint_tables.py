"""Rows and words about endpoints, as values."""

from __future__ import annotations

from datetime import UTC, datetime

from core.endpoints.endpoint import Variant
from core.endpoints.traffic import STEPS, Traffic
from pages.parts.endpoints import header, table

BEGIN = datetime(2026, 10, 26, tzinfo=UTC)


def variant(name: str, **more: object) -> Variant:
    values = {"instance_type": "ml.c5.xlarge", "count": 1, "model": "m", "weight": 1.0}
    return Variant(name, **{**values, **more})  # type: ignore[arg-type]


def test_machines_of_several_variants_are_counted_together():
    """Machines of one kind are one number, whatever variant they belong to; another kind is told beside them."""
    told = header.machines(
        (variant("a", count=2), variant("b"), variant("c", instance_type="ml.g4dn.xlarge"))
    )
    assert told == "3 × ml.c5.xlarge + ml.g4dn.xlarge"


def test_machines_that_are_not_known():
    """A serverless variant says so; where the configuration was not read, nothing is said."""
    serverless = variant("a", serverless=True, instance_type="", count=None)
    assert header.machines((serverless,)) == "serverless"
    assert not header.machines((variant("a", instance_type=""),))
    assert header.machines((variant("a", count=0),)) == "0 × ml.c5.xlarge"
    assert header.machines((variant("a", count=None),)) == "ml.c5.xlarge"


def test_shares_of_the_calls():
    """Each variant's share is its weight over all; a single one is told by its name, many are cut short."""
    assert header.shares((variant("a", weight=9.0), variant("b", weight=1.0))) == "a 90% · b 10%"
    assert header.shares((variant("AllTraffic"),)) == "AllTraffic"
    assert header.shares((variant("a", weight=0.0), variant("b", weight=None))) == "a · b"
    assert header.shares(tuple(map(variant, "abcde"))) == "a 20% · b 20% · c 20% and 2 more"


def test_calls_by_the_day():
    """Four steps of traffic are a day; without any call, and where nobody knows, there is no line."""
    calls = (0,) * (STEPS - 4) + (1, 2, 3, 4)
    daily = table.daily(Traffic(BEGIN, calls))
    assert daily is not None
    assert (len(daily), daily[-1], sum(daily)) == (30, 10, 10)
    assert table.daily(Traffic(BEGIN, (0,) * STEPS)) is None
    assert table.daily(None) is None
