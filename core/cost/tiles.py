"""The price of segmenting a large image in tiles with an endpoint: its instances for the time that this takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from core.batch.progress import Speed
from core.cost.hosting import hosting_price
from core.cost.training import Money, PriceTable, exact
from core.endpoints.endpoint import Variant

NOTE = "The endpoint is billed per hour, also while no tile is sent."


@dataclass(frozen=True, slots=True)
class TilePrice:
    """What a number of requests will take.

    seconds:  about how long; None without a speed.
    per_hour: of the endpoint's instances; None if no price is known.
    expected: of the instances for these seconds; None without a price or a speed.
    source:   where prices and speed come from.
    billed:   whether the endpoint is billed: not in the sandbox.
    """

    seconds: float | None
    per_hour: Money | None
    expected: Money | None
    source: str
    billed: bool

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON; amounts are text, so that nothing is rounded."""
        return {
            "seconds": self.seconds,
            "usd_per_hour": exact(self.per_hour),
            "usd_expected": exact(self.expected),
            "source": self.source,
            "billed": self.billed,
        }


def tile_price(
    requests: int, concurrency: int, speed: Speed | None, variants: Iterable[Variant], table: PriceTable
) -> TilePrice:
    """Return the time and price of so many requests.

    concurrency: requests at once; an instance is assumed to work on as many.
    speed:       of one request; None if unknown.
    """
    hosting = hosting_price(variants, table)
    seconds = None if speed is None else requests * speed.seconds_per_image / max(1, concurrency)
    expected = hosting.per_hour.for_seconds(seconds) if hosting.per_hour and seconds is not None else None
    origin = speed.source if speed else "How long a tile takes is unknown, and with it the total."
    note = "" if table.sandbox else f"{NOTE} "
    source = f"{note}{hosting.source} {origin}"
    return TilePrice(seconds, hosting.per_hour, expected, source, not table.sandbox)
