"""Reads and output of `endpoints list` and `endpoints show`."""

# ruff: noqa: PLC0415 - each function imports what it needs, so that --help is fast

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from commands.common import iso, label, say, write
from core.errors import DeniedError, RejectedError
from core.text import plural

if TYPE_CHECKING:
    from core.aws.connection import Clients
    from core.cost.hosting import EndpointCost, FleetCost
    from core.cost.training import Money, PriceTable
    from core.endpoints.detail import EndpointDetail
    from core.endpoints.endpoint import Endpoint, Variant
    from core.endpoints.health import Health
    from core.endpoints.traffic import ServiceQuality, Traffic
    from core.plans.journal import JournalEntry


LABELS = {
    "arn": "ARN",
    "calls_24h": "calls in 24 h",
    "calls_7d": "calls in 7 d",
    "calls_30d": "calls in 30 d",
    "calls_before_creation": "calls to an earlier endpoint of this name (not counted)",
    "p90_ms": "p90 latency (ms)",
    "errors_24h": "errors in 24 h",
    "usd_per_hour": "cost per hour",
    "usd_per_month": "cost per month",
    "usd_this_month": "cost this month",
    "usd_till_monday": "cost through Monday",
    "config": "endpoint configuration",
    "config_created_at": "configuration created at",
}
"""How people read keys of the JSON document."""


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """An endpoint with its health. traffic, service: None if CloudWatch has no data."""

    endpoint: Endpoint
    health: Health
    traffic: Traffic | None
    service: ServiceQuality | None


def fleet(clients: Clients, limit: int) -> tuple[list[EndpointRow], bool]:
    """Return the endpoints, worst health first, and whether the list is complete. Raises AwsError.

    Reading a configuration takes one call, so only those of the returned rows are read.
    """
    from core.aws.endpoints import all_endpoints, configs
    from core.endpoints.endpoint import with_config

    listing = all_endpoints(clients)
    rows = sorted(
        endpoint_rows(clients, listing.endpoints), key=lambda row: (row.health.rank, row.endpoint.name)
    )
    shown = rows[:limit]
    config_errors: list[str] = []
    configs_by_name = configs(clients, [row.endpoint.config for row in shown], notes=config_errors)
    for note in (*listing.notes, *config_errors[:1]):
        say(note)
    if config_errors[1:]:
        say(f"{len(config_errors) - 1} more configurations could not be read.")
    complete_rows = [
        replace(row, endpoint=with_config(row.endpoint, configs_by_name.get(row.endpoint.config)))
        for row in shown
    ]
    return complete_rows, listing.complete and len(rows) <= limit


def endpoint_rows(clients: Clients, endpoints: Sequence[Endpoint]) -> list[EndpointRow]:
    """Return endpoints with health and traffic, in order. Raises AwsError; denied CloudWatch calls are reported."""
    from core.aws.traffic import service, traffic
    from core.endpoints.health import health

    now = datetime.now(UTC)
    calls: dict[str, Traffic] = {}
    quality: dict[str, ServiceQuality] = {}
    try:
        calls, quality = traffic(clients, endpoints, now), service(clients, endpoints, now)
    except (DeniedError, RejectedError) as error:
        say(str(error))
    return [
        EndpointRow(
            endpoint,
            health(endpoint, calls.get(endpoint.name), quality.get(endpoint.name), now),
            calls.get(endpoint.name),
            quality.get(endpoint.name),
        )
        for endpoint in endpoints
    ]


def summary(row: EndpointRow, cost: EndpointCost) -> dict[str, Any]:
    """Return one row of the JSON document."""
    endpoint, calls = row.endpoint, row.traffic
    last = (
        calls.last_call if calls else None
    )  # the end of a period of six hours; the current period has not ended
    return {
        "name": endpoint.name,
        "status": endpoint.status,
        "health": row.health.status,
        "reason": row.health.reason,
        "instances": [instances(variant) for variant in endpoint.variants],
        "calls_24h": calls.day if calls else None,
        "calls_7d": calls.week if calls else None,
        "calls_30d": calls.month if calls else None,
        "calls_before_creation": calls.earlier if calls else None,
        "last_call_after": iso(calls.last_call_after) if calls and calls.last_call_after else None,
        "last_call_before": iso(min(last, datetime.now(UTC))) if last else None,
        "p90_ms": round(row.service.p90_ms, 1) if row.service and row.service.p90_ms else None,
        "errors_24h": row.service.errors if row.service else None,
        "usd_per_hour": usd(cost.price.per_hour),
        "usd_per_month": usd(cost.price.per_month),
        "created_at": iso(endpoint.created_at),
        "modified_at": iso(endpoint.modified_at),
    }


def table_row(row: dict[str, Any], *, sandbox: bool) -> dict[str, str]:
    """Return the cells that fit into a line of a terminal."""
    from core.cost.training import cost_label

    last = row["last_call_after"]
    return {
        "name": row["name"],
        "status": row["status"],
        "health": row["health"],
        "instances": ", ".join(row["instances"]),
        "calls 24 h": _number(row["calls_24h"]),
        "calls 7 d": _number(row["calls_7d"]),
        "last call after": f"{datetime.fromisoformat(last).astimezone():%Y-%m-%d %H:%M}" if last else "",
        cost_label("cost per hour", sandbox=sandbox): money(row["usd_per_hour"]),
        cost_label("cost per month", sandbox=sandbox): money(row["usd_per_month"]),
    }


@dataclass(frozen=True, slots=True)
class CostSummary:
    """Total cost of the endpoints shown.

    idle:     names of the endpoints that get no calls.
    unknown:  number of endpoints whose usage is unknown.
    shown:    number of endpoints shown.
    complete: whether those are all endpoints.
    """

    total: FleetCost
    idle: tuple[str, ...]
    unknown: int
    shown: int
    complete: bool
    prices: PriceTable

    @property
    def wasted(self) -> Money | None:
        """Idle cost per month, of endpoints with a known price; None if the usage of every endpoint is unknown."""
        return None if self.shown and self.unknown == self.shown else self.total.wasted_per_month

    def to_dict(self) -> dict[str, Any]:
        """Return the totals for JSON."""
        return {
            "usd_per_hour": usd(self.total.per_hour),
            "usd_per_month": usd(self.total.per_month),
            "usd_wasted_per_month": usd(self.wasted),
            "endpoints": self.shown - len(self.total.unknown),
            "unknown": list(self.total.unknown),
        }

    def show(self) -> None:
        """Print the totals and what they do not include."""
        from core.cost.training import cost_label

        which = "Total" if self.complete else f"Total of the {self.shown} shown"
        total, at_least = self.total, "at least " if self.total.unknown else ""
        per_hour, per_month = f"{at_least}{total.per_hour}", f"{at_least}{total.per_month}"
        write(f"{which}: {per_hour} per hour, {per_month} per month ({self.prices.attribution})")
        if total.unknown:
            write(f"The price is unknown for {plural(len(total.unknown), 'endpoint')}.")
        if self.unknown:
            write(f"Usage is unknown for {plural(self.unknown, 'endpoint')}.")
        if self.idle:
            at_least = "at least " if len(total.idle) < len(self.idle) else ""
            idle_label = cost_label("Idle cost per month", sandbox=self.prices.sandbox)
            write(f"Idle: {', '.join(self.idle)}. {idle_label}: {at_least}{total.wasted_per_month}.")


def sum_costs(
    rows: Sequence[EndpointRow], costs: Mapping[str, EndpointCost], prices: PriceTable, *, complete: bool
) -> CostSummary:
    """Return the total cost of these endpoints. costs: by endpoint name."""
    from core.cost.hosting import fleet_cost

    idle = tuple(row.endpoint.name for row in rows if row.health.status == "idle")
    unknown = sum(row.health.status == "unknown" for row in rows)
    return CostSummary(fleet_cost(costs, idle), idle, unknown, len(rows), complete, prices)


def details(detail: EndpointDetail, cost: EndpointCost) -> dict[str, Any]:
    """Return what `show` adds to the row of `list`."""
    endpoint, config = detail.endpoint, detail.config
    return {
        "arn": endpoint.arn,
        "diagnosis": _diagnosis(detail),
        "failure_reason": endpoint.failure_reason,
        "usd_this_month": usd(cost.so_far),
        "usd_till_monday": usd(cost.through_monday),
        "config": endpoint.config,
        "variants": [
            {
                "name": variant.name,
                "instances": instances(variant),
                "weight": variant.weight,
                "model": variant.model,
            }
            for variant in endpoint.variants
        ],
        "models": [
            {"name": model.name, "image": model.image, "model_uri": model.model_uri, "job": model.job}
            for model in detail.models
        ],
        "lineage": [
            " -> ".join(
                filter(None, (model.job, model.model_uri, model.name, endpoint.config, endpoint.name))
            )
            for model in detail.models
        ],
        "classes": list(detail.classes.names) if detail.classes else None,
        "scaling": [
            {"variant": scaling.variant, "min": scaling.low, "max": scaling.high, "target": scaling.target}
            for scaling in detail.scaling
        ],
        "config_created_at": iso(config.created_at) if config else None,
    }


def print_details(document: dict[str, Any], *, sandbox: bool) -> None:
    """Print name and value on a line each; a list or a mapping takes a line per entry."""
    from core.cost.training import cost_label

    for name, value in document.items():
        if value in (None, "", []) and not name.startswith("usd_per"):
            continue
        if isinstance(value, list):
            write(f"{label(name, LABELS)}:")
            for entry in value:
                write(f"  {_line(entry)}")
        elif isinstance(value, dict):
            write(f"{label(name, LABELS)}: {value['title']}")
            write(f"  {value['cause']}")
            write(f"  {value['todo']}")
        else:
            is_amount = name.startswith("usd_")
            shown = cost_label(label(name, LABELS), sandbox=sandbox and is_amount)
            write(f"{shown}: {money(value) if is_amount else value}")


def entry_row(entry: JournalEntry) -> dict[str, Any]:
    """Return an unfinished change for JSON."""
    return {
        "plan": entry.id,
        "change": entry.plan.verb,
        "of": entry.plan.target,
        "begun_at": iso(entry.started_at),
        "outcome": entry.outcome,
        "error": entry.error,
        "steps": [
            f"{step.what} ({state or 'not started'})"
            for step, state in zip(entry.plan.steps, entry.states, strict=True)
        ],
    }


def instances(variant: Variant) -> str:
    """Return the instances of a variant, for example "2 x ml.g4dn.xlarge"."""
    if variant.serverless:
        return "serverless"
    count = variant.desired_count if variant.count is None else variant.count
    return f"{'?' if count is None else count} x {variant.instance_type or 'unknown'}"


def usd(amount: Money | None) -> str | None:
    """Return an amount for JSON: as text, so that nothing is rounded."""
    from core.cost.training import exact

    return exact(amount)


def money(text: str | None) -> str:
    """Return an amount from JSON as people read it, in dollars and cents."""
    from decimal import Decimal

    from core.cost.training import Money

    return "unknown" if text is None else str(Money(Decimal(text)))


def _diagnosis(detail: EndpointDetail) -> dict[str, str] | None:
    """Return why an endpoint or its last update failed; None if neither did."""
    from core.endpoints.diagnosis import diagnose_endpoint

    endpoint = detail.endpoint
    if not endpoint.failed and not endpoint.failure_reason:
        return None
    instance_type = next((variant.instance_type for variant in endpoint.variants), "")
    diagnosis = diagnose_endpoint(endpoint.failure_reason, (), instance_type)
    before = "" if endpoint.failed else "The last update failed, and the endpoint was rolled back. "
    return {"title": f"{before}{diagnosis.title}", "cause": diagnosis.cause, "todo": diagnosis.todo}


def _line(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    return ", ".join(f"{name} {text}" for name, text in value.items() if text not in (None, "", []))


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
