"""The cost of training: hourly prices, a job's cost so far and at most, and the spot savings.

AWS bills a job's `BillableTimeInSeconds` at the on-demand price; for a spot job that time is already reduced
(developer guide, "Managed Spot Training": savings are 1 - billable / training seconds).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal

from core.errors import InputError
from core.partitions import partition_of
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
        """Return this amount multiplied by a factor."""
        return Money(self.usd * factor)

    def for_seconds(self, seconds: float) -> Money:
        """Return the cost of this many seconds, if this is the price per hour."""
        return Money(self.usd * Decimal(str(seconds)) / HOUR)

    def __str__(self) -> str:
        """Format it, such as "$1,234.50"; amounts below ten cents have four decimals."""
        places = Decimal("0.0001") if 0 < abs(self.usd) < Decimal("0.1") else CENT
        amount = self.usd.quantize(places, ROUND_HALF_UP)
        return f"{'-' if amount < 0 else ''}${abs(amount):,}"


NOTHING = Money(Decimal(0))
SANDBOX_NOTE = "Sandbox: nothing is billed. Prices are AWS estimates."


@dataclass(frozen=True, slots=True)
class PriceTable:
    """On-demand prices of one region.

    region:            the region that they are for.
    as_of:             the date of the prices.
    source:            where they come from, to show.
    training, hosting: instance type -> price per hour.
    note:              sentences on how they may differ; "" if they do not.
    sandbox:           whether they are shown for the sandbox, which bills nothing: then every source says so.
    """

    region: str
    as_of: date
    source: str
    training: Mapping[str, Money]
    hosting: Mapping[str, Money]
    note: str = ""
    sandbox: bool = False

    def per_hour(self, instance_type: str, use: Use = "training") -> Money | None:
        """Return the price of one instance per hour; None if it is not in the table."""
        return (self.training if use == "training" else self.hosting).get(instance_type)

    @property
    def attribution(self) -> str:
        """Return where the prices come from, with their date; that they are unknown where there are none."""
        free = f"{SANDBOX_NOTE} " if self.sandbox else ""
        if not self.training and not self.hosting:
            return f"{free}{self.note}"
        return f"{free}{self.source} as of {self.as_of.isoformat()}. {self.note}".strip()


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one job.

    per_hour:       of all its instances; None, like all other amounts, if no price is known.
    so_far:         until now; after its end, what AWS bills.
    at_max:         at its maximum run time, without the spot discount.
    saved_by_spot:  compared with on demand; None without spot, or before its end.
    saved_share:    the same as a fraction of the seconds; known also without a price.
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
    """The maximum cost of a job before launch; None if no price is known."""

    per_hour: Money | None
    at_max: Money | None
    source: str

    @property
    def amounts(self) -> tuple[tuple[str, Money | None], ...]:
        """Return the amounts to show, each with its label."""
        return (("per hour", self.per_hour), ("at the maximum run time", self.at_max))

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON; amounts are text, so that nothing is rounded."""
        return {
            "usd_per_hour": exact(self.per_hour),
            "usd_at_max": exact(self.at_max),
            "source": self.source,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Estimate:
        """Read what `to_dict` returned."""
        return cls(from_exact(data["usd_per_hour"]), from_exact(data["usd_at_max"]), data["source"])


def exact(amount: Money | None) -> str | None:
    """Return an amount as text, so that JSON does not round it."""
    return None if amount is None else str(amount.usd)


def from_exact(text: str | None) -> Money | None:
    """Read what `exact` returned."""
    return None if text is None else Money(Decimal(text))


@lru_cache(maxsize=64)
def shipped_prices(region: str, *, sandbox: bool = False) -> PriceTable:
    """Return the price table shipped with Segdeck; for a missing region, the prices of us-east-1 with a note.

    Empty in another partition, such as China or GovCloud: its prices are not those of a commercial region.

    sandbox: whether they are shown for the sandbox.
    """
    return replace(price_table(json.loads(_shipped()), region), sandbox=sandbox)


def cost_label(label: str, *, sandbox: bool) -> str:
    """Return the label of an amount, such as "Cost per hour"; in the sandbox, which bills nothing, "AWS price"."""
    if not sandbox:
        return label
    return re.sub(r"\b[Cc]ost\b", "AWS price", label, count=1)


def price_table(data: Mapping[str, Any], region: str) -> PriceTable:
    """Read a table in the format of `prices.json`. Raises InputError for any other format."""
    try:
        fallback = data["fallback_region"]
        if region not in data["regions"] and partition_of(region) != partition_of(fallback):
            note = f"The prices of {region} are unknown."
            return PriceTable(region, date.fromisoformat(data["as_of"]), data["source"], {}, {}, note)
        rows = data["regions"].get(region) or data["regions"][fallback]
        note = (
            "They may have changed."
            if region in data["regions"]
            else f"They may have changed, and are the prices of {fallback}; those of {region} may differ."
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
        raise InputError("The price table cannot be read.", why=f"{error!r}.") from error


def estimate(
    instance_type: str, max_runtime_seconds: int, table: PriceTable, *, instance_count: int = 1
) -> Estimate:
    """Return the maximum cost of a job before launch."""
    price = table.per_hour(instance_type)
    if price is None:
        return Estimate(
            None,
            None,
            f"No price is known for {instance_type or 'an unknown instance type'}. {table.attribution}",
        )
    hourly = price.times(instance_count)
    return Estimate(hourly, hourly.for_seconds(max_runtime_seconds), table.attribution)


def training_cost(job: TrainingJob, table: PriceTable, now: datetime) -> Cost:
    """Return the cost of a job so far and at most.

    now: aware. Used only while the job runs; a running spot job is priced as on demand.
    """
    planned = estimate(job.instance_type, job.max_runtime_seconds, table, instance_count=job.instance_count)
    share = spot_saving(job)
    final = not job.running
    if planned.per_hour is None:
        return Cost(None, None, None, None, share, final, planned.source)
    seconds = job.billable_seconds if job.billable_seconds is not None else job.seconds(now)
    saved = None
    if share is not None and job.training_seconds is not None and job.billable_seconds is not None:
        saved = planned.per_hour.for_seconds(job.training_seconds - job.billable_seconds)
    return Cost(
        planned.per_hour,
        planned.per_hour.for_seconds(seconds),
        planned.at_max,
        saved,
        share,
        final,
        planned.source,
    )


def spot_saving(job: TrainingJob) -> float | None:
    """Return the fraction of the time that spot saved, 0 to 1; None without spot or before the end."""
    if not job.spot or not job.training_seconds or job.billable_seconds is None:
        return None
    return max(0.0, 1 - job.billable_seconds / job.training_seconds)


def total(costs: Mapping[str, Cost]) -> tuple[Money, tuple[str, ...]]:
    """Return the total cost of several jobs by name, and the names of those without a known price."""
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
