"""All endpoints as the pages show them: health, traffic and cost of each.

Shared by all users. The first read of 500 endpoints takes one Search call per 100, one call for the traffic of all,
and one more per 100 that were called in the last day.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Literal

from core.aws import traffic as cloudwatch
from core.aws.connection import Connection, clients
from core.aws.endpoints import all_endpoints
from core.cost.hosting import EndpointCost, FleetCost, endpoint_cost, fleet_cost
from core.endpoints.endpoint import Endpoint, EndpointList, with_config
from core.endpoints.health import Health, HealthStatus, health
from core.endpoints.traffic import ServiceQuality, Traffic
from core.text import plural
from pages.parts import cached, endpoint_configs, formatting, messages
from pages.parts.shared_cache import OptionalPart, Snapshot

SECONDS = 10
"""Seconds that the list may be cached."""

TRAFFIC_SECONDS, SERVICE_SECONDS = 300, 60
"""Seconds that the calls of 30 days, in steps of six hours, may be cached; and the quality of the last day."""

UNCALLED = ServiceQuality(0, None, None, 0, 0)
"""The quality of an endpoint without calls, for which CloudWatch is not queried."""

Color = Literal["blue", "gray", "green", "orange", "red", "violet"]

VERDICT_COLORS: dict[HealthStatus, Color] = {
    "failed": "red",
    "idle": "orange",
    "erroring": "red",
    "slow": "orange",
    "changing": "blue",
    "unknown": "gray",
    "new": "violet",
    "healthy": "green",
}
VERDICT_ICONS: dict[HealthStatus, str] = {
    "failed": ":material/error:",
    "idle": ":material/bedtime:",
    "erroring": ":material/report:",
    "slow": ":material/hourglass_bottom:",
    "changing": ":material/progress_activity:",
    "unknown": ":material/help:",
    "new": ":material/fiber_new:",
    "healthy": ":material/favorite:",
}


@dataclass(frozen=True, slots=True)
class FleetRow:
    """One endpoint.

    endpoint:         with instance types if they have been read.
    traffic, service: None if CloudWatch could not be read.
    """

    endpoint: Endpoint
    traffic: Traffic | None
    service: ServiceQuality | None
    health: Health
    cost: EndpointCost


@dataclass(frozen=True, slots=True)
class FleetSnapshot:
    """All endpoints as they were last read.

    rows:     those that need attention first; of equal health, the most expensive first.
    cost:     the total, and of those with the health "idle".
    unread:   the number of endpoints whose instance types, and so prices, are still being read.
    complete: False if there are more endpoints than were read.
    notes:    sentences on what could not be read.
    """

    rows: tuple[FleetRow, ...]
    cost: FleetCost
    unread: int
    complete: bool
    notes: tuple[str, ...]

    @property
    def idle(self) -> int:
        """Return the number of idle endpoints."""
        return sum(row.health.status == "idle" for row in self.rows)

    @property
    def usage_unknown(self) -> int:
        """Return the number of endpoints whose usage is unknown."""
        return sum(row.health.status == "unknown" for row in self.rows)

    @property
    def moving(self) -> bool:
        """Whether a refresh soon would show something new."""
        return self.unread > 0 or any(row.endpoint.changing for row in self.rows)


def look(connection: Connection) -> Snapshot[FleetSnapshot]:
    """Return all endpoints with health, traffic and cost. Raises AwsError, PendingError if the list never arrived."""
    read = _list(connection)
    endpoints, unread, unreadable = _with_configs(connection, read.value.endpoints)
    calls = _traffic(connection, endpoints)
    answers = _service(connection, endpoints, calls.value)
    rows = _rows(connection, endpoints, calls.value, answers.value, read.at)
    failures = dict.fromkeys(messages.line(part.failure) for part in (calls, answers) if part.failure)
    waiting = [f"Waiting for {part.waiting.what}." for part in (calls, answers) if part.waiting]
    notes = (*map(messages.plain, read.value.notes), *waiting, *failures, *_unpriced(unreadable))
    return Snapshot(
        FleetSnapshot(rows, total(rows), unread, read.value.complete, notes), read.at, read.failure
    )


def row(connection: Connection, endpoint: Endpoint, now: datetime) -> FleetRow:
    """Return the same of one endpoint, given with its configuration."""
    calls = _traffic(connection, [endpoint]).value
    return _rows(connection, [endpoint], calls, _service(connection, [endpoint], calls).value, now)[0]


def everything(connection: Connection) -> EndpointList:
    """Return the list alone. Raises AwsError, PendingError if it never arrived."""
    return _list(connection).value


def total(rows: Sequence[FleetRow]) -> FleetCost:
    """Return the total cost of these endpoints, and that of the idle ones among them."""
    idle = [row.endpoint.name for row in rows if row.health.status == "idle"]
    return fleet_cost({row.endpoint.name: row.cost for row in rows}, idle)


def _list(connection: Connection) -> Snapshot[EndpointList]:
    return cached.shelf().read(
        ("fleet", connection), lambda: all_endpoints(clients(connection)), SECONDS, "the endpoints"
    )


def _with_configs(connection: Connection, endpoints: Sequence[Endpoint]) -> tuple[list[Endpoint], int, int]:
    """Return the endpoints with known instance types, and how many are still unread and how many unreadable."""
    names = {endpoint.config for endpoint in endpoints if endpoint.config}
    known = endpoint_configs.of(connection).known(names)
    unread = sum(bool(endpoint.config) and endpoint.config not in known for endpoint in endpoints)
    unreadable = sum(endpoint.config in known and known[endpoint.config] is None for endpoint in endpoints)
    return [with_config(endpoint, known.get(endpoint.config)) for endpoint in endpoints], unread, unreadable


def _unpriced(unreadable: int) -> tuple[str, ...]:
    why = (
        "its configuration was deleted or cannot be read"
        if unreadable == 1
        else "no configuration could be read"
    )
    return (
        (f"Instances and price of {plural(unreadable, 'endpoint')} are unknown: {why}.",)
        if unreadable
        else ()
    )


def _traffic(connection: Connection, endpoints: Sequence[Endpoint]) -> OptionalPart[dict[str, Traffic]]:
    return cached.optional(
        ("traffic", connection, _key(endpoints)),
        lambda: cloudwatch.traffic(clients(connection), endpoints, formatting.now()),
        TRAFFIC_SECONDS,
        {},
        "the traffic from CloudWatch",
    )


def _service(
    connection: Connection, endpoints: Sequence[Endpoint], calls: Mapping[str, Traffic]
) -> OptionalPart[dict[str, ServiceQuality]]:
    """Read latency and errors, only of endpoints that were called."""
    called = [endpoint for endpoint in endpoints if endpoint.name in calls and calls[endpoint.name].day]
    uncalled = {name: UNCALLED for name, traffic in calls.items() if not traffic.day}
    if not called:
        return OptionalPart(uncalled, formatting.now())
    called_quality = cached.optional(
        ("service", connection, _key(called)),
        lambda: cloudwatch.service(clients(connection), called, formatting.now()),
        SERVICE_SECONDS,
        dict[str, ServiceQuality](),
        "latency and errors from CloudWatch",
    )
    return replace(called_quality, value={**uncalled, **called_quality.value})


def _rows(
    connection: Connection,
    endpoints: Sequence[Endpoint],
    calls: Mapping[str, Traffic],
    answers: Mapping[str, ServiceQuality],
    now: datetime,
) -> tuple[FleetRow, ...]:
    prices = cached.prices(connection)
    rows = []
    for endpoint in endpoints:
        traffic, service = calls.get(endpoint.name), answers.get(endpoint.name)
        cost = endpoint_cost(endpoint, prices, now)
        rows.append(FleetRow(endpoint, traffic, service, health(endpoint, traffic, service, now), cost))
    return tuple(sorted(rows, key=_order))


def _order(row: FleetRow) -> tuple[int, bool, Decimal, str]:
    """Return the sort key: health first, then price, highest first and unknown last."""
    price = row.cost.price.per_hour
    return row.health.rank, price is None, -(price.usd if price else Decimal(0)), row.endpoint.name


def _key(endpoints: Sequence[Endpoint]) -> Hashable:
    """Return the cache key: the metrics of an endpoint depend on its creation and its variants."""
    return tuple(
        (endpoint.name, endpoint.created_at, tuple(variant.name for variant in endpoint.variants))
        for endpoint in endpoints
    )
