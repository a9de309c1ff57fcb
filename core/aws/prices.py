"""Read prices from the AWS Price List, or the table shipped with Segdeck if that fails; the table says which."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from core.aws.connection import PRICING_REGION, Clients
from core.aws.errors import required
from core.cost.training import Money, PriceTable, shipped_prices
from core.errors import AwsError, UnexpectedAnswerError
from core.partitions import partition_of

SOURCE = "On-demand prices from the AWS Price List"
MAX_PAGES = 10
MAX_SECONDS = 15.0
MAX_SHOWN = 200
"""How many characters of an unreadable product the error quotes."""

MAX_USD = 1_000_000
"""No instance costs as much per hour: a higher number is not a price."""

INSTANCE = re.compile(r"ml\.[a-z0-9-]+\.[a-z0-9]+")


def prices(clients: Clients, *, today: date | None = None, notes: list[str] | None = None) -> PriceTable:
    """Return the prices of the connection's region; falls back to the shipped table if the service fails.

    today: for tests; by default the current date.
    notes: gets the reason if AWS's own prices could not be read.
    """
    region = clients.connection.region
    sandbox = clients.connection.is_sandbox
    if sandbox or partition_of(region) != partition_of(PRICING_REGION):
        # Other partitions have other credentials, which must not be sent to the service in the commercial regions.
        return shipped_prices(region, sandbox=sandbox)
    until = time.monotonic() + MAX_SECONDS
    try:
        training = _prices(clients, region, "Training", until)
        hosting = _prices(clients, region, "Hosting", until) if training else {}
    except AwsError as error:
        training, hosting = {}, {}
        if notes is not None:
            notes.append(str(error))
    if not training or not hosting:
        return shipped_prices(region)
    return PriceTable(region, today or datetime.now(UTC).date(), SOURCE, training, hosting)


def _prices(clients: Clients, region: str, component: str, until: float) -> dict[str, Money]:
    """Return instance type -> price per hour, of one component. Raises AwsError."""
    doing = "read the AWS Price List"
    wanted = {"regionCode": region, "component": component}
    query: dict[str, Any] = {
        "ServiceCode": "AmazonSageMaker",
        "Filters": [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in wanted.items()],
        "MaxResults": 100,
    }
    per_hour: dict[str, Money] = {}
    for _ in range(MAX_PAGES):
        with clients.calling(doing):
            answer = clients.pricing.get_products(**query)
        for text in required(answer, "PriceList", doing):
            per_hour |= dict(_row(text, doing))
        if not answer.get("NextToken") or time.monotonic() > until:
            break
        query["NextToken"] = answer["NextToken"]
    return per_hour


def _row(text: Any, doing: str) -> dict[str, Money]:
    """Return the instance type and the price of one product in the list. Raises UnexpectedAnswerError.

    Empty for anything but an on-demand instance price per hour in US dollars.
    """
    try:
        return dict(_hourly_prices(json.loads(text)))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UnexpectedAnswerError(
            f"Could not {doing}: a product in the list has an unknown format.",
            why=f"It is {str(text)[:MAX_SHOWN]!r} ({error}).",
        ) from error


def _hourly_prices(product: dict[str, Any]) -> Iterator[tuple[str, Money]]:
    """Read a product. Raises AttributeError, TypeError or ValueError for an unknown format."""
    attributes = product.get("product", {}).get("attributes", {})
    name = next(
        (
            match[0]
            for key in ("instanceName", "instanceType", "usagetype")
            if (match := INSTANCE.search(attributes.get(key, "")))
        ),
        None,
    )
    if name is None:
        return
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for price in term.get("priceDimensions", {}).values():
            amount = _amount(price.get("pricePerUnit", {}).get("USD", ""))
            if price.get("unit") in ("Hrs", "Hours", "hours") and amount:
                yield name, Money(amount)


def _amount(text: str) -> Decimal | None:
    """Return a price in US dollars; None for an invalid one, such as an infinite or negative number."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount < MAX_USD else None
