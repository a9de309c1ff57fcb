"""What training costs: prices by the hour, what a job has cost so far, and at most, and what spot saved.

AWS bills a job's `BillableTimeInSeconds` at the on-demand price; for a spot job that time is already the reduced
one (developer guide, "Managed Spot Training": savings are 1 - billable / training seconds).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal

from core.errors import InputError
from core.training.job import TrainingJob

SHIPPED = Path(__file__).with_name("prices.json")
HOUR = Decimal(3600)
CENT = Decimal("0.01")

Use = Literal["training", "hosting"]


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An amount in US dollars, exact."""

    usd: Decimal

    def __add__(self, other: Money) -> Money:
        return Money(self.usd + other.usd)

    def __sub__(self, other: Money) -> Money:
        return Money(self.usd - other.usd)

    def times(self, factor: int | Decimal) -> Money:
        """This amount, so many times."""
        return Money(self.usd * factor)

    def for_seconds(self, seconds: float) -> Money:
        """What so many seconds cost, where this is the price of an hour."""
        return Money(self.usd * Decimal(str(seconds)) / HOUR)

    def __str__(self) -> str:
        """Such as "$1,234.50"; amounts below ten cents show as much as is needed to see them."""
        places = Decimal("0.0001") if 0 < abs(self.usd) < Decimal("0.1") else CENT
        amount = self.usd.quantize(places, ROUND_HALF_UP)
        return f"{'-' if amount < 0 else ''}${abs(amount):,}"


NOTHING = Money(Decimal(0))


@dataclass(frozen=True, slots=True)
class PriceTable:
    """On-demand prices of one region.

    region:            whose prices these are meant to be.
    as_of:             the day they were taken down.
    source:            where they come from, in words to show.
    training, hosting: instance type -> price of an hour.
    note:              a sentence, where these are the prices of another region; else "".
    """

    region: str
    as_of: date
    source: str
    training: Mapping[str, Money]
    hosting: Mapping[str, Money]
    note: str = ""

    def per_hour(self, instance_type: str, use: Use = "training") -> Money | None:
        """The price of one instance for an hour; None where the table does not know it."""
        return (self.training if use == "training" else self.hosting).get(instance_type)

    @property
    def said(self) -> str:
        """Where the figures come from, with their day."""
        return f"{self.source}, {self.as_of.isoformat()}. {self.note}".strip()


@dataclass(frozen=True, slots=True)
class Cost:
    """What one job costs.

    per_hour:       all its instances for an hour; None, and so are the others, where no price is known.
    so_far:         until now; at its end, what AWS bills.
    at_max:         if it ran until its maximum run time, without spot's discount.
    saved_by_spot:  against the same time on demand; None without spot, or before its end.
    saved_share:    the same as a share of 1, of the seconds; known also without a price.
    final:          whether `so_far` is final.
    source:         where the price comes from.
    """

    per_hour: Money | None
    so_far: Money | None
    at_max: Money | None
    saved_by_spot: Money | None
    saved_share: float | None
    final: bool
    source: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job that has not started will cost at most; None where no price is known."""

    per_hour: Money | None
    at_max: Money | None
    source: str

    @property
    def figures(self) -> tuple[tuple[str, Money | None], ...]:
        """What to show of it, each with its name."""
        return (("an hour", self.per_hour), ("at the maximum run time", self.at_max))

    def to_dict(self) -> dict[str, Any]:
        """For JSON; money is text, so that nothing is rounded."""
        return {
            "usd_per_hour": exact(self.per_hour),
            "usd_at_max": exact(self.at_max),
            "source": self.source,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Estimate:
        """What `to_dict` gave."""
        return cls(from_exact(data["usd_per_hour"]), from_exact(data["usd_at_max"]), data["source"])


def exact(amount: Money | None) -> str | None:
    """An amount as text, so that JSON does not round it."""
    return None if amount is None else str(amount.usd)


def from_exact(text: str | None) -> Money | None:
    """What `exact` gave."""
    return None if text is None else Money(Decimal(text))


def shipped_prices(region: str) -> PriceTable:
    """The table that comes with Segdeck; for a region that it lacks, the prices of us-east-1 with a note."""
    return price_table(json.loads(_shipped()), region)


def price_table(data: Mapping[str, Any], region: str) -> PriceTable:
    """A table from the form of `prices.json`. Raises InputError where that form is not kept."""
    try:
        fallback = data["fallback_region"]
        rows = data["regions"].get(region) or data["regions"][fallback]
        note = (
            ""
            if region in data["regions"]
            else f"These are the prices of {fallback}; those of {region} may differ."
        )
        return PriceTable(
            region=region,
            as_of=date.fromisoformat(data["as_of"]),
            source=data["source"],
            training=_amounts(rows["training"]),
            hosting=_amounts(rows["hosting"]),
            note=note,
        )
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise InputError("The table of prices cannot be read.", why=f"{error!r}.") from error


def estimate(
    instance_type: str, max_runtime_seconds: int, table: PriceTable, *, instance_count: int = 1
) -> Estimate:
    """The price of a job before it starts."""
    price = table.per_hour(instance_type)
    if price is None:
        return Estimate(None, None, f"No price is known for {instance_type}. {table.said}")
    hourly = price.times(instance_count)
    return Estimate(hourly, hourly.for_seconds(max_runtime_seconds), table.said)


def training_cost(job: TrainingJob, table: PriceTable, now: datetime) -> Cost:
    """What a job has cost, and costs at most.

    now: aware. Used only while the job runs; a spot job is then counted as if it were on demand.
    """
    before = estimate(job.instance_type, job.max_runtime_seconds, table, instance_count=job.instance_count)
    share = spot_saving(job)
    final = not job.running
    if before.per_hour is None:
        return Cost(None, None, None, None, share, final, before.source)
    seconds = job.billable_seconds if job.billable_seconds is not None else job.seconds(now)
    saved = None
    if share is not None and job.training_seconds is not None and job.billable_seconds is not None:
        saved = before.per_hour.for_seconds(job.training_seconds - job.billable_seconds)
    return Cost(
        before.per_hour,
        before.per_hour.for_seconds(seconds),
        before.at_max,
        saved,
        share,
        final,
        before.source,
    )


def spot_saving(job: TrainingJob) -> float | None:
    """The share of the time that spot did not bill, 0 to 1; None without spot or before the end."""
    if not job.spot or not job.training_seconds or job.billable_seconds is None:
        return None
    return max(0.0, 1 - job.billable_seconds / job.training_seconds)


def total(costs: Mapping[str, Cost]) -> tuple[Money, tuple[str, ...]]:
    """What several jobs (by name) have cost together, and the names of those whose price nobody knows."""
    amount, unknown = NOTHING, []
    for name, cost in costs.items():
        if cost.so_far is None:
            unknown.append(name)
        else:
            amount += cost.so_far
    return amount, tuple(unknown)


def _amounts(rows: Mapping[str, str]) -> dict[str, Money]:
    return {name: Money(Decimal(text)) for name, text in rows.items()}


@cache
def _shipped() -> str:
    return SHIPPED.read_text("utf-8")
