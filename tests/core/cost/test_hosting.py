"""The cost of endpoints."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from core.cost.hosting import endpoint_cost, fleet_cost, hosting_price, time_to_monday
from core.cost.training import NOTHING, Money, shipped_prices
from core.endpoints.endpoint import Endpoint, Variant

PRICES = shipped_prices("us-east-1")
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)  # a Wednesday
GPU = Variant("AllTraffic", "ml.g4dn.xlarge", 1, "m")
CPU = Variant("cheap", "ml.c5.xlarge", 2, "m")
OLD = Endpoint("roads", "arn", "InService", NOW - timedelta(days=60), NOW, variants=(GPU,))


def usd(text: str) -> Money:
    return Money(Decimal(text))


def test_an_idle_endpoint_costs_thousands_per_year() -> None:
    """An ml.g4dn.xlarge left running for a year costs about 6,450 dollars."""
    price = hosting_price([GPU], PRICES)
    assert (price.per_hour, price.per_month, price.per_year) == (
        usd("0.7364"),
        usd("537.5720"),
        usd("6450.8640"),
    )
    assert price.to_dict()["usd_per_year"] == "6450.8640"
    assert [name for name, _ in price.amounts] == ["per hour", "per month", "per year"]


def test_all_instances_of_all_variants_count() -> None:
    """The price covers every instance of every variant: current instances, else desired ones, else one."""
    assert hosting_price([GPU, CPU], PRICES).per_hour == usd("1.1444")
    assert hosting_price([replace(CPU, count=None, desired_count=3)], PRICES).per_hour == usd("0.612")
    assert hosting_price([replace(CPU, count=None)], PRICES).per_hour == usd("0.204")
    assert hosting_price([replace(CPU, count=0)], PRICES).per_hour == usd("0")


def test_a_serverless_variant_costs_nothing_by_the_hour() -> None:
    """A serverless variant, billed per call, adds nothing to the hourly price."""
    assert hosting_price([Variant("s", "", None, "m", serverless=True)], PRICES).per_hour == NOTHING


@pytest.mark.parametrize(
    ("kind", "named"), [("ml.moon.large", "ml.moon.large"), ("", "unknown instance type")]
)
def test_an_unknown_price_is_unknown_and_named(kind: str, named: str) -> None:
    """If the price of one instance type is unknown, there is no total, and the type is named."""
    price = hosting_price([GPU, replace(CPU, instance_type=kind)], PRICES)
    assert price.per_hour is price.per_month is price.per_year is None
    assert named in price.unknown[0]
    assert named in price.source
    cost = endpoint_cost(replace(OLD, variants=(replace(CPU, instance_type=kind),)), PRICES, NOW)
    assert (cost.so_far, cost.through_monday) == (None, None)


def test_this_month_so_far_begins_with_the_month_or_with_the_endpoint() -> None:
    """The cost so far counts from the first of the month, or from the endpoint's creation if that is later."""
    cost = endpoint_cost(OLD, PRICES, NOW)
    assert cost.so_far == usd("0.7364").times(24 * 24 + 12)
    young = endpoint_cost(replace(OLD, created_at=NOW - timedelta(hours=2)), PRICES, NOW)
    assert young.so_far == usd("1.4728")
    assert endpoint_cost(replace(OLD, created_at=NOW + timedelta(hours=1)), PRICES, NOW).so_far == NOTHING


@pytest.mark.parametrize(
    ("now", "hours"),
    [
        (NOW, 4 * 24 + 12),
        (datetime(2026, 11, 29, 23, tzinfo=UTC), 1),
        (datetime(2026, 11, 30, 0, tzinfo=UTC), 7 * 24),
    ],
)
def test_the_cost_through_monday(now: datetime, hours: int) -> None:
    """The cost through Monday counts until the next Monday's midnight in UTC; on a Monday, a full week."""
    assert time_to_monday(now) == timedelta(hours=hours)
    assert endpoint_cost(OLD, PRICES, now).through_monday == usd("0.7364").times(hours)


@pytest.mark.parametrize("status", ["Failed", "Deleting"])
def test_an_endpoint_that_does_not_run_is_not_billed(status: str) -> None:
    """An endpoint that failed or is being deleted costs nothing from now on; its cost so far is unknown."""
    cost = endpoint_cost(replace(OLD, status=status), PRICES, NOW)
    assert (cost.price.per_hour, cost.so_far, cost.through_monday) == (NOTHING, None, NOTHING)


def test_a_fleet_is_summed_and_its_waste_named() -> None:
    """The fleet cost has the total of known prices, the cost of idle endpoints, and the names without a price."""
    costs = {
        "roads": endpoint_cost(OLD, PRICES, NOW),
        "lakes": endpoint_cost(replace(OLD, variants=(CPU,)), PRICES, NOW),
        "moon": endpoint_cost(replace(OLD, variants=()), PRICES, NOW),
        "dead": endpoint_cost(replace(OLD, status="Failed"), PRICES, NOW),
    }
    fleet = fleet_cost(costs, {"lakes", "moon", "dead"})
    assert (fleet.per_hour, fleet.per_month) == (usd("1.1444"), usd("1.1444").times(730))
    assert fleet.per_year == usd("1.1444").times(8760)
    assert (fleet.wasted_per_hour, fleet.wasted_per_month) == (usd("0.408"), usd("0.408").times(730))
    assert (fleet.idle, fleet.unknown) == (("lakes",), ("moon",))
    assert fleet.so_far == usd("1.1444").times(24 * 24 + 12)
    assert fleet_cost({}).per_hour == NOTHING
