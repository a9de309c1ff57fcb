"""Prices from AWS's Price List where it answers, else from the table we ship. The table says which."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from core.aws.connection import Clients
from core.aws.errors import required
from core.cost.training import Money, PriceTable, shipped_prices
from core.errors import AwsError, UnexpectedAnswerError

SOURCE = "On-demand prices by AWS's Price List"
MAX_PAGES = 10
MAX_SECONDS = 15.0
MAX_SHOWN = 200
"""Characters of a product that cannot be read, quoted in the error."""

MAX_USD = 1_000_000
"""No instance costs as much per hour: a higher number is not a price."""

INSTANCE = re.compile(r"ml\.[a-z0-9-]+\.[a-z0-9]+")


def prices(clients: Clients, *, today: date | None = None, notes: list[str] | None = None) -> PriceTable:
    """The prices of the connection's region; never fails for want of the service.

    today: for tests; else the clock's.
    notes: gets the reason where AWS's own could not be had.
    """
    region = clients.connection.region
    if clients.connection.is_sandbox:
        return shipped_prices(region)
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
    """Instance type -> price of an hour, of one use. Raises AwsError."""
    doing = "read AWS's prices"
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
    """Return the instance type and the price of one product of the list. Raises UnexpectedAnswerError.

    Empty for whatever is not an instance that is billed on demand, by the hour, in US dollars.
    """
    try:
        return dict(_hourly_prices(json.loads(text)))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UnexpectedAnswerError(
            f"Could not {doing}: a product in the list is not one that Segdeck can read.",
            why=f"It is {str(text)[:MAX_SHOWN]!r} ({error}).",
        ) from error


def _hourly_prices(product: dict[str, Any]) -> Iterator[tuple[str, Money]]:
    """Read a product. Raises AttributeError, TypeError and ValueError where it is not built as AWS builds one."""
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
    """Return a price in US dollars; None for what is not one, such as an infinite or a negative number."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount < MAX_USD else None
