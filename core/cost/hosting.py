"""What endpoints cost: an hour, this month so far, if left till Monday, a month, a year; and what idle ones waste.

An endpoint bills for each instance from the moment it is in service until it is deleted, called or not. Prices are
those on demand; a serverless variant costs nothing while nobody calls it, and is left out.
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
"""Statuses with no machine behind them. After a rollback that failed there may still be some."""

NOT_READ = "an instance type that was not read"


@dataclass(frozen=True, slots=True)
class HostingPrice:
    """What machines cost as long as they are there.

    per_hour: of all instances together; None where the price of any is unknown.
    source:   where the prices come from, in words to show.
    unknown:  the instance types whose price nobody knows.
    """

    per_hour: Money | None
    source: str
    unknown: tuple[str, ...] = ()

    @property
    def per_month(self) -> Money | None:
        """Of 730 hours."""
        return self.per_hour.times(HOURS_A_MONTH) if self.per_hour else None

    @property
    def per_year(self) -> Money | None:
        """Of 365 days."""
        return self.per_hour.times(HOURS_A_YEAR) if self.per_hour else None

    @property
    def figures(self) -> tuple[tuple[str, Money | None], ...]:
        """What to show of it, each with its name; as `core.cost.training.Estimate.figures`."""
        return (("an hour", self.per_hour), ("a month", self.per_month), ("a year", self.per_year))

    def to_dict(self) -> dict[str, Any]:
        """For JSON; money is text, so that nothing is rounded."""
        return {
            "usd_per_hour": exact(self.per_hour),
            "usd_per_month": exact(self.per_month),
            "usd_per_year": exact(self.per_year),
            "source": self.source,
            "unknown": list(self.unknown),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> HostingPrice:
        """What `to_dict` gave."""
        return cls(from_exact(data["usd_per_hour"]), data["source"], tuple(data["unknown"]))


@dataclass(frozen=True, slots=True)
class EndpointCost:
    """What one endpoint costs.

    price:       of what it runs on now; zero where nothing bills (failed, or being deleted).
    so_far:      this month, as if it had run on that since the month began or it was created; None where unknown.
    till_monday: from now until the next Monday, 00:00 UTC; None where unknown.
    """

    price: HostingPrice
    so_far: Money | None
    till_monday: Money | None


@dataclass(frozen=True, slots=True)
class FleetCost:
    """What all endpoints cost together.

    per_hour, per_month, per_year, so_far, till_monday: of those whose price is known.
    wasted_per_hour, wasted_per_month: of the idle ones among them.
    idle:     the names of the idle ones that bill.
    unknown:  the names of those whose price is unknown.
    """

    per_hour: Money
    per_month: Money
    per_year: Money
    so_far: Money
    till_monday: Money
    wasted_per_hour: Money
    wasted_per_month: Money
    idle: tuple[str, ...]
    unknown: tuple[str, ...]


def hosting_price(variants: Iterable[Variant], table: PriceTable) -> HostingPrice:
    """The price of variants, each with its instances: those there now, else those wanted.

    A variant whose instance type was not read (see `core.endpoints.endpoint.with_config`) counts as unknown.
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
    source = f"No price is known for {', '.join(kinds)}. {table.said}" if kinds else table.said
    return HostingPrice(None if kinds else hourly, source, kinds)


def endpoint_cost(endpoint: Endpoint, table: PriceTable, now: datetime) -> EndpointCost:
    """What an endpoint costs. now: aware."""
    if endpoint.status in NOT_BILLED:
        return EndpointCost(HostingPrice(NOTHING, f"Nothing bills. {table.said}"), None, NOTHING)
    price = hosting_price(endpoint.variants, table) if endpoint.variants else _unreadable(table)
    if price.per_hour is None:
        return EndpointCost(price, None, None)
    month = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    seconds = max(0.0, (now - max(month, endpoint.created_at)).total_seconds())
    till_monday = price.per_hour.for_seconds(till_next_monday(now).total_seconds())
    return EndpointCost(price, price.per_hour.for_seconds(seconds), till_monday)


def fleet_cost(costs: Mapping[str, EndpointCost], idle: Collection[str] = ()) -> FleetCost:
    """The sum of many, by name; and what the idle ones of them waste."""
    known = {name: cost for name, cost in costs.items() if cost.price.per_hour is not None}
    wasting = tuple(name for name, cost in known.items() if name in idle and cost.price.per_hour != NOTHING)
    hourly = _sum(cost.price.per_hour for cost in known.values())
    wasted = _sum(known[name].price.per_hour for name in wasting)
    return FleetCost(
        per_hour=hourly,
        per_month=hourly.times(HOURS_A_MONTH),
        per_year=hourly.times(HOURS_A_YEAR),
        so_far=_sum(cost.so_far for cost in known.values()),
        till_monday=_sum(cost.till_monday for cost in known.values()),
        wasted_per_hour=wasted,
        wasted_per_month=wasted.times(HOURS_A_MONTH),
        idle=wasting,
        unknown=tuple(name for name in costs if name not in known),
    )


def till_next_monday(now: datetime) -> timedelta:
    """Until the next Monday, 00:00 UTC; on a Monday that is a week away."""
    here = now.astimezone(UTC)
    midnight = here.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(days=7 - here.weekday()) - here


def _unreadable(table: PriceTable) -> HostingPrice:
    return HostingPrice(None, f"Its instances are not known. {table.said}", (NOT_READ,))


def _sum(amounts: Iterable[Money | None]) -> Money:
    return sum((amount for amount in amounts if amount is not None), NOTHING)
