"""All endpoints as the pages show them: how each does, whether anybody calls it, what it costs.

Shared by all who look. The first look at five hundred endpoints takes one Search call for each hundred, one call for
the traffic of all, and one more for each hundred that were called in the last day.
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
from pages.parts import cached, endpoint_configs, formatting, messages
from pages.parts.shared_cache import OptionalPart, Snapshot

SECONDS = 10
"""How old the list may be."""

TRAFFIC_SECONDS, SERVICE_SECONDS = 300, 60
"""How old the calls of thirty days, in steps of six hours, may be; and the answers of the last day."""

UNCALLED = ServiceQuality(0, None, None, 0, 0)
"""Of an endpoint that nobody called: CloudWatch need not be asked."""

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

    endpoint:         with instance types where they were read.
    traffic, service: None where CloudWatch could not be asked.
    """

    endpoint: Endpoint
    traffic: Traffic | None
    service: ServiceQuality | None
    health: Health
    cost: EndpointCost


@dataclass(frozen=True, slots=True)
class FleetSnapshot:
    """What one look found.

    rows:     what needs a hand first; of the same verdict, the dearest first.
    cost:     of all together; idle ones are those whose verdict is "idle".
    unread:   how many endpoints' instance types, and so prices, are still being read.
    complete: False where there are more endpoints than were asked for.
    notes:    sentences on what could not be read.
    """

    rows: tuple[FleetRow, ...]
    cost: FleetCost
    unread: int
    complete: bool
    notes: tuple[str, ...]

    @property
    def idle(self) -> int:
        """How many nobody calls."""
        return sum(row.health.status == "idle" for row in self.rows)

    @property
    def untold(self) -> int:
        """Of how many it is not known whether anybody calls them."""
        return sum(row.health.status == "unknown" for row in self.rows)

    @property
    def moving(self) -> bool:
        """Whether another look soon would see something new."""
        return self.unread > 0 or any(row.endpoint.changing for row in self.rows)


def look(connection: Connection) -> Snapshot[FleetSnapshot]:
    """All endpoints as they are. Raises AwsError where the list never came."""
    read = _list(connection)
    endpoints, unread, lost = _with_configs(connection, read.value.endpoints)
    calls = _traffic(connection, endpoints)
    answers = _service(connection, endpoints, calls.value)
    rows = _rows(connection, endpoints, calls.value, answers.value, read.at)
    failures = dict.fromkeys(messages.line(one.failure) for one in (calls, answers) if one.failure)
    waiting = [f"Waiting for {one.waiting.what}." for one in (calls, answers) if one.waiting]
    notes = (*map(messages.plain, read.value.notes), *waiting, *failures, *_unpriced(lost))
    return Snapshot(
        FleetSnapshot(rows, total(rows), unread, read.value.complete, notes), read.at, read.failure
    )


def row(connection: Connection, endpoint: Endpoint, now: datetime) -> FleetRow:
    """One endpoint, with its configuration, in the same way."""
    calls = _traffic(connection, [endpoint]).value
    return _rows(connection, [endpoint], calls, _service(connection, [endpoint], calls).value, now)[0]


def everything(connection: Connection) -> EndpointList:
    """The list alone. Raises AwsError where it never came."""
    return _list(connection).value


def total(rows: Sequence[FleetRow]) -> FleetCost:
    """What these cost together, and what the idle ones of them waste."""
    idle = [row.endpoint.name for row in rows if row.health.status == "idle"]
    return fleet_cost({row.endpoint.name: row.cost for row in rows}, idle)


def _list(connection: Connection) -> Snapshot[EndpointList]:
    return cached.shelf().read(
        ("fleet", connection), lambda: all_endpoints(clients(connection)), SECONDS, "the endpoints"
    )


def _with_configs(connection: Connection, endpoints: Sequence[Endpoint]) -> tuple[list[Endpoint], int, int]:
    """With instance types as far as they were read; how many were not yet, and how many cannot be."""
    names = {endpoint.config for endpoint in endpoints if endpoint.config}
    known = endpoint_configs.of(connection).known(names)
    unread = sum(bool(endpoint.config) and endpoint.config not in known for endpoint in endpoints)
    lost = sum(endpoint.config in known and known[endpoint.config] is None for endpoint in endpoints)
    return [with_config(endpoint, known.get(endpoint.config)) for endpoint in endpoints], unread, lost


def _unpriced(lost: int) -> tuple[str, ...]:
    many = f"{lost} endpoints" if lost > 1 else "one endpoint"
    why = "its configuration could not be read, or is gone" if lost == 1 else "no configuration could be read"
    return (f"Instances and price of {many} are not known: {why}.",) if lost else ()


def _traffic(connection: Connection, endpoints: Sequence[Endpoint]) -> OptionalPart[dict[str, Traffic]]:
    return cached.optional(
        ("traffic", connection, _key(endpoints)),
        lambda: cloudwatch.traffic(clients(connection), endpoints, formatting.now()),
        TRAFFIC_SECONDS,
        {},
        "the traffic by CloudWatch",
    )


def _service(
    connection: Connection, endpoints: Sequence[Endpoint], calls: Mapping[str, Traffic]
) -> OptionalPart[dict[str, ServiceQuality]]:
    """Only those that were called are asked about."""
    called = [one for one in endpoints if one.name in calls and calls[one.name].day]
    uncalled = {name: UNCALLED for name, traffic in calls.items() if not traffic.day}
    if not called:
        return OptionalPart(uncalled, formatting.now())
    found = cached.optional(
        ("service", connection, _key(called)),
        lambda: cloudwatch.service(clients(connection), called, formatting.now()),
        SERVICE_SECONDS,
        dict[str, ServiceQuality](),
        "latency and errors by CloudWatch",
    )
    return replace(found, value={**uncalled, **found.value})


def _rows(
    connection: Connection,
    endpoints: Sequence[Endpoint],
    calls: Mapping[str, Traffic],
    answers: Mapping[str, ServiceQuality],
    now: datetime,
) -> tuple[FleetRow, ...]:
    prices = cached.prices(connection)
    rows = []
    for one in endpoints:
        traffic, service = calls.get(one.name), answers.get(one.name)
        cost = endpoint_cost(one, prices, now)
        rows.append(FleetRow(one, traffic, service, health(one, traffic, service, now), cost))
    return tuple(sorted(rows, key=_order))


def _order(row: FleetRow) -> tuple[int, bool, Decimal, str]:
    """What needs a hand first; then the dearest, those of unknown price last."""
    price = row.cost.price.per_hour
    return row.health.rank, price is None, -(price.usd if price else Decimal(0)), row.endpoint.name


def _key(endpoints: Sequence[Endpoint]) -> Hashable:
    """An endpoint's figures are told by its variants."""
    return tuple((one.name, tuple(variant.name for variant in one.variants)) for one in endpoints)
