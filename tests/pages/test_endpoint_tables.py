"""Table rows and texts about endpoints, as values."""

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
    """Instances of one type are summed over all variants; another type is listed next to them."""
    told = header.machines(
        (variant("a", count=2), variant("b"), variant("c", instance_type="ml.g4dn.xlarge"))
    )
    assert told == "3 × ml.c5.xlarge + ml.g4dn.xlarge"


def test_machines_that_are_not_known():
    """A serverless variant is shown as such; without a configuration, nothing is shown."""
    serverless = variant("a", serverless=True, instance_type="", count=None)
    assert header.machines((serverless,)) == "serverless"
    assert not header.machines((variant("a", instance_type=""),))
    assert header.machines((variant("a", count=0),)) == "0 × ml.c5.xlarge"
    assert header.machines((variant("a", count=None),)) == "ml.c5.xlarge"


def test_shares_of_the_calls():
    """Each variant's share is its weight over the sum; a single one is shown by name; long lists are shortened."""
    assert header.shares((variant("a", weight=9.0), variant("b", weight=1.0))) == "a 90% · b 10%"
    assert header.shares((variant("AllTraffic"),)) == "AllTraffic"
    assert header.shares((variant("a", weight=0.0), variant("b", weight=None))) == "a · b"
    assert header.shares(tuple(map(variant, "abcde"))) == "a 20% · b 20% · c 20% and 2 more"


def test_calls_by_the_day():
    """Four traffic steps are one day; a chart needs calls that are known."""
    calls = (0,) * (STEPS - 4) + (1, 2, 3, 4)
    daily = table.daily(Traffic(BEGIN, calls))
    assert daily is not None
    assert (len(daily), daily[-1], sum(daily)) == (30, 10, 10)
    assert table.daily(Traffic(BEGIN, (0,) * STEPS)) is None
    assert table.daily(None) is None
