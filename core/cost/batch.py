"""The price of a transform job: per hour, and about what it will cost, with the source of the estimate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.batch.job import TransformJob
from core.batch.progress import Speed
from core.cost.training import Money, PriceTable, exact, from_exact

NOTE = "Estimated with hosting prices; those of batch transform may differ."
STARTUP_SECONDS, SANDBOX_STARTUP_SECONDS = 240.0, 1.0
"""About how long instances take to start, which is billed; and in the sandbox."""


@dataclass(frozen=True, slots=True)
class BatchPrice:
    """The price of a transform job.

    per_hour: of all its instances; None if no price is known.
    expected: for all images; None without a price or a speed.
    seconds:  about how long it runs; None without a speed.
    source:   where prices and speed come from.
    billed:   whether the job is billed: not in the sandbox.
    """

    per_hour: Money | None
    expected: Money | None
    seconds: float | None
    source: str
    billed: bool = True

    @property
    def amounts(self) -> tuple[tuple[str, Money | None], ...]:
        """Return the amounts to show, each with its label."""
        return (("per hour", self.per_hour), ("expected in total", self.expected))

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON; amounts are text, so that nothing is rounded."""
        return {
            "usd_per_hour": exact(self.per_hour),
            "usd_expected": exact(self.expected),
            "seconds": self.seconds,
            "source": self.source,
            "billed": self.billed,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BatchPrice:
        """Read what `to_dict` returned."""
        amounts = from_exact(data["usd_per_hour"]), from_exact(data["usd_expected"])
        return cls(*amounts, data["seconds"], data["source"], data["billed"])


def batch_price(
    instance_type: str,
    instance_count: int,
    images: int,
    speed: Speed | None,
    table: PriceTable,
    *,
    startup: float = STARTUP_SECONDS,
) -> BatchPrice:
    """Return the price of a transform job before its start. images: how many it will read."""
    price = table.per_hour(instance_type, "hosting")
    hourly = price.times(instance_count) if price else None
    seconds = None if speed is None else startup + images * speed.seconds_per_image / instance_count
    expected = hourly.for_seconds(seconds) if hourly and seconds else None
    parts = [
        f"No price is known for {instance_type or 'an unknown instance type'}. {table.attribution}"
        if hourly is None
        else f"{NOTE} {table.attribution}",
        speed.source if speed else "How long an image takes is unknown, and with it the total.",
    ]
    return BatchPrice(hourly, expected, seconds, " ".join(parts), not table.sandbox)


def cost_so_far(job: TransformJob, table: PriceTable, now: datetime) -> Money | None:
    """Return what a job has cost until now; None if no price is known. now: used while it runs."""
    price = table.per_hour(job.instance_type, "hosting")
    return price.times(job.instance_count or 1).for_seconds(job.seconds(now)) if price else None


def speed_of(job: TransformJob, images: int) -> Speed | None:
    """Return the speed of an earlier job that wrote so many outputs; None without any."""
    if job.ended_at is None or not images or not job.seconds(job.ended_at):
        return None
    seconds = job.seconds(job.ended_at) * (job.instance_count or 1) / images
    return Speed(
        seconds,
        f"{seconds:.2f} s per image, as in {job.name} on {job.instance_type} ({images:,} images).",
    )
