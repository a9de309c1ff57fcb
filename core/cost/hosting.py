"""The cost of endpoints: per hour, month and year, this month so far, through Monday; and the cost of idle ones.

An endpoint bills for each instance from when it is in service until it is deleted, whether it is invoked or not.
Prices are on-demand prices; a serverless variant costs nothing while it is not invoked, and is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from core.cost.training import NOTHING, Money, PriceTable, exact, from_exact
from core.endpoints.endpoint import Endpoint, Variant

HOURS_A_MONTH = 730
HOURS_A_YEAR = 8760
NOT_BILLED = ("Failed", "Deleting")
"""Statuses without running instances. After a failed rollback there may still be some."""

NOT_READ = "an unknown instance type"


@dataclass(frozen=True, slots=True)
class HostingPrice:
    """The price of running instances.

    per_hour: of all instances together; None if the price of any is unknown.
    source:   where the prices come from, to show.
    unknown:  the instance types without a known price.
    """

    per_hour: Money | None
    source: str
    unknown: tuple[str, ...] = ()

    @property
    def per_month(self) -> Money | None:
        """Return the price of 730 hours."""
        return self.per_hour.times(HOURS_A_MONTH) if self.per_hour else None

    @property
    def per_year(self) -> Money | None:
        """Return the price of 365 days."""
        return self.per_hour.times(HOURS_A_YEAR) if self.per_hour else None

    @property
    def amounts(self) -> tuple[tuple[str, Money | None], ...]:
        """Return the amounts to show, each with its label; as `core.cost.training.Estimate.amounts`."""
        return (("per hour", self.per_hour), ("per month", self.per_month), ("per year", self.per_year))

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON; amounts are text, so that nothing is rounded."""
        return {
            "usd_per_hour": exact(self.per_hour),
            "usd_per_month": exact(self.per_month),
            "usd_per_year": exact(self.per_year),
            "source": self.source,
            "unknown": list(self.unknown),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> HostingPrice:
        """Read what `to_dict` returned."""
        return cls(from_exact(data["usd_per_hour"]), data["source"], tuple(data["unknown"]))


@dataclass(frozen=True, slots=True)
class EndpointCost:
    """The cost of one endpoint.

    price:          of its current instances; zero if nothing is billed (failed, or being deleted).
    so_far:         this month, as if the current instances had run since it began, or since the endpoint was created;
                    None if unknown.
    through_monday: from now until next Monday, 00:00 UTC; None if unknown.
    """

    price: HostingPrice
    so_far: Money | None
    through_monday: Money | None


@dataclass(frozen=True, slots=True)
class FleetCost:
    """The cost of all endpoints together.

    per_hour, per_month, per_year, so_far, through_monday: of those whose price is known.
    wasted_per_hour, wasted_per_month: of the idle ones among them.
    idle:     the names of the idle ones that are billed.
    unknown:  the names of those whose price is unknown.
    """

    per_hour: Money
    per_month: Money
    per_year: Money
    so_far: Money
    through_monday: Money
    wasted_per_hour: Money
    wasted_per_month: Money
    idle: tuple[str, ...]
    unknown: tuple[str, ...]


def hosting_price(variants: Iterable[Variant], table: PriceTable) -> HostingPrice:
    """Return the price of variants with their current instances, otherwise their desired ones.

    A variant without an instance type (see `core.endpoints.endpoint.with_config`) counts as unknown.
    """
    hourly, unknown = NOTHING, []
    for variant in variants:
        price = NOTHING if variant.serverless else table.per_hour(variant.instance_type, "hosting")
        count = variant.desired_count if variant.count is None else variant.count
        if price is None:
            unknown.append(variant.instance_type or NOT_READ)
        else:
            hourly += price.times(1 if count is None else count)
    kinds = tuple(dict.fromkeys(unknown))
    source = f"No price is known for {', '.join(kinds)}. {table.attribution}" if kinds else table.attribution
    return HostingPrice(None if kinds else hourly, source, kinds)


def endpoint_cost(endpoint: Endpoint, table: PriceTable, now: datetime) -> EndpointCost:
    """Return the cost of an endpoint. now: aware."""
    if endpoint.status in NOT_BILLED:
        return EndpointCost(HostingPrice(NOTHING, f"Nothing is billed. {table.attribution}"), None, NOTHING)
    price = hosting_price(endpoint.variants, table) if endpoint.variants else _unreadable(table)
    if price.per_hour is None:
        return EndpointCost(price, None, None)
    month = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    seconds = max(0.0, (now - max(month, endpoint.created_at)).total_seconds())
    through_monday = price.per_hour.for_seconds(time_to_monday(now).total_seconds())
    return EndpointCost(price, price.per_hour.for_seconds(seconds), through_monday)


def fleet_cost(costs: Mapping[str, EndpointCost], idle: Collection[str] = ()) -> FleetCost:
    """Return the total of several endpoints, by name, and the cost of the idle ones."""
    known = {name: cost for name, cost in costs.items() if cost.price.per_hour is not None}
    wasting = tuple(name for name, cost in known.items() if name in idle and cost.price.per_hour != NOTHING)
    hourly = _sum(cost.price.per_hour for cost in known.values())
    wasted = _sum(known[name].price.per_hour for name in wasting)
    return FleetCost(
        per_hour=hourly,
        per_month=hourly.times(HOURS_A_MONTH),
        per_year=hourly.times(HOURS_A_YEAR),
        so_far=_sum(cost.so_far for cost in known.values()),
        through_monday=_sum(cost.through_monday for cost in known.values()),
        wasted_per_hour=wasted,
        wasted_per_month=wasted.times(HOURS_A_MONTH),
        idle=wasting,
        unknown=tuple(name for name in costs if name not in known),
    )


def time_to_monday(now: datetime) -> timedelta:
    """Return the time until next Monday, 00:00 UTC; on a Monday that is a week."""
    utc = now.astimezone(UTC)
    midnight = utc.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(days=7 - utc.weekday()) - utc


def _unreadable(table: PriceTable) -> HostingPrice:
    return HostingPrice(None, f"Its instances are unknown. {table.attribution}", (NOT_READ,))


def _sum(amounts: Iterable[Money | None]) -> Money:
    return sum((amount for amount in amounts if amount is not None), NOTHING)
