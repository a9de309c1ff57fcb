"""The health of an endpoint: a status and the reason for it.

"InService" only means that it is billed. Its invocations and errors come from CloudWatch.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from core.endpoints.endpoint import Endpoint, in_words
from core.endpoints.traffic import ServiceQuality, Traffic
from core.text import plural, rough_duration

HealthStatus = Literal["idle", "failed", "erroring", "slow", "changing", "unknown", "new", "healthy"]
HEALTH_STATUSES: tuple[HealthStatus, ...] = (
    "idle",
    "failed",
    "erroring",
    "slow",
    "changing",
    "unknown",
    "new",
    "healthy",
)
"""In display order: wasted cost first, then everything else that needs attention."""

IDLE_AFTER = timedelta(days=7)
"""An endpoint not called for this long is idle; one used only on working days is called every week."""

NEW_FOR = timedelta(hours=24)
"""An endpoint that was never called is new for this long, then idle."""

ERROR_SHARE = 0.05
"""From this share of failed calls in 24 hours, an endpoint is erroring."""

SLOW_MS = 10_000.0
"""From this p90 latency in milliseconds, an endpoint is slow: AWS ends a call after 60 s."""


@dataclass(frozen=True, slots=True)
class Health:
    """The health of an endpoint. status: one word; reason: one sentence with the numbers."""

    status: HealthStatus
    reason: str

    @property
    def rank(self) -> int:
        """Return the sort order; 0 is the worst."""
        return HEALTH_STATUSES.index(self.status)


def health(
    endpoint: Endpoint, traffic: Traffic | None, service: ServiceQuality | None, now: datetime
) -> Health:
    """Return the health of an endpoint.

    traffic, service: None if CloudWatch was not read, or may not be.
    now:              aware.
    """
    if endpoint.failed:
        return Health(
            "failed", endpoint.failure_reason or f"It is {in_words(endpoint.status)}; AWS gave no reason."
        )
    if endpoint.changing:
        return Health(
            "changing",
            f"It is {in_words(endpoint.status)}; last update from AWS {_ago(endpoint.modified_at, now)}.",
        )
    if not endpoint.in_service:
        return Health("unknown", f"AWS reports the status {endpoint.status}, which Segdeck does not know.")
    poor = _poor(service) if service else None
    if poor:
        return poor
    if traffic is None:
        return Health("unknown", "CloudWatch has no data on its calls.")
    return _by_calls(endpoint, traffic, service, now)


def _poor(service: ServiceQuality) -> Health | None:
    """Return what is wrong with its responses in the last 24 hours; None if nothing is."""
    if service.error_share is not None and service.error_share >= ERROR_SHARE:
        share, parts = f"{service.error_share:.0%}", f"{service.errors_4xx:,} 4xx, {service.errors_5xx:,} 5xx"
        return Health("erroring", f"{share} of {plural(service.calls, 'call')} in 24 hours failed ({parts}).")
    if service.p90_ms is not None and service.p90_ms >= SLOW_MS:
        times = f"p50 {service.p50_ms or 0:,.0f} ms, p90 {service.p90_ms:,.0f} ms"
        return Health("slow", f"Calls are slow: {times}. AWS ends a call after 60 s.")
    return None


def _by_calls(endpoint: Endpoint, traffic: Traffic, service: ServiceQuality | None, now: datetime) -> Health:
    last = traffic.last_call
    if last is None and not (service and service.calls):
        if now - endpoint.created_at < NEW_FOR:
            note = f" {traffic.earlier_note}" if traffic.earlier else ""
            return Health("new", f"No calls yet; created {_ago(endpoint.created_at, now)}.{note}")
        since = max(endpoint.created_at, traffic.begin)
        return _uncalled(endpoint, f"No calls in {rough_duration(now - since)}")
    if last is not None and now - last >= IDLE_AFTER:
        return _uncalled(endpoint, f"The last call was {_ago(last, now)}")
    times = "" if not service or service.p90_ms is None else f", p90 {service.p90_ms:,.0f} ms"
    week = f"{plural(traffic.week, 'call')} in 7 days{times}"
    return Health("healthy", f"{week}.")


def _uncalled(endpoint: Endpoint, last_call: str) -> Health:
    """Return idle only if it is billed: serverless variants and variants without instances are not."""
    if endpoint.variants and not any(
        variant.count != 0 and not variant.serverless for variant in endpoint.variants
    ):
        return Health("healthy", f"{last_call}; it has no billed instances.")
    return Health("idle", f"{last_call}, but it is still billed.")


def _ago(at: datetime, now: datetime) -> str:
    return f"{rough_duration(now - at)} ago"
