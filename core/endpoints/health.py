"""How an endpoint does, as a verdict with its reason and figures.

"InService" only says that it bills. Whether anybody calls it, and whether it answers, CloudWatch knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from core.endpoints.endpoint import Endpoint, in_words
from core.endpoints.traffic import ServiceQuality, Traffic
from core.text import plural, rough_duration

Verdict = Literal["idle", "failed", "erroring", "slow", "changing", "unknown", "new", "healthy"]
VERDICTS: tuple[Verdict, ...] = (
    "idle",
    "failed",
    "erroring",
    "slow",
    "changing",
    "unknown",
    "new",
    "healthy",
)
"""The order of a list: what costs money for nothing comes first, then what else needs a hand."""

IDLE_AFTER = timedelta(days=7)
"""Without a call for so long it is idle: one used on working days alone has a call in each week."""

NEW_FOR = timedelta(hours=24)
"""Without any call yet it is new for so long, and idle thereafter."""

ERROR_SHARE = 0.05
"""From this share of failed calls in 24 hours on, it is erroring."""

"""From so many hours on they are told in days."""

SLOW_MS = 10_000.0
"""From a p90 of so many milliseconds on, it is slow: AWS ends a call after 60 s."""


@dataclass(frozen=True, slots=True)
class Health:
    """verdict: one word; reason: one sentence with its figures."""

    verdict: Verdict
    reason: str

    @property
    def rank(self) -> int:
        """To sort by; the worst is 0."""
        return VERDICTS.index(self.verdict)


def health(
    endpoint: Endpoint, traffic: Traffic | None, service: ServiceQuality | None, now: datetime
) -> Health:
    """How an endpoint does.

    traffic, service: None where CloudWatch was not asked, or may not be.
    now:              aware.
    """
    if endpoint.failed:
        return Health(
            "failed", endpoint.failure_reason or f"It is {in_words(endpoint.status)}; AWS gives no reason."
        )
    if endpoint.changing:
        return Health(
            "changing",
            f"It is {in_words(endpoint.status)}; AWS last told of it {_ago(endpoint.modified_at, now)}.",
        )
    if not endpoint.in_service:
        return Health("unknown", f"AWS calls it {endpoint.status}, which is no status known here.")
    poor = _poor(service) if service else None
    if poor:
        return poor
    if traffic is None:
        return Health("unknown", "CloudWatch tells nothing of its calls.")
    return _by_calls(endpoint, traffic, service, now)


def _poor(service: ServiceQuality) -> Health | None:
    """What is wrong with its answers of the last 24 hours."""
    if service.error_share is not None and service.error_share >= ERROR_SHARE:
        share, parts = f"{service.error_share:.0%}", f"{service.errors_4xx:,} 4xx, {service.errors_5xx:,} 5xx"
        return Health("erroring", f"{share} of {plural(service.calls, 'call')} in 24 hours failed ({parts}).")
    if service.p90_ms is not None and service.p90_ms >= SLOW_MS:
        times = f"p50 {service.p50_ms or 0:,.0f} ms, p90 {service.p90_ms:,.0f} ms"
        return Health("slow", f"A call takes long: {times}. AWS ends one after 60 s.")
    return None


def _by_calls(endpoint: Endpoint, traffic: Traffic, service: ServiceQuality | None, now: datetime) -> Health:
    last = traffic.last_call
    if last is None and not (service and service.calls):
        if now - endpoint.created_at < NEW_FOR:
            return Health("new", f"No call yet; it was created {_ago(endpoint.created_at, now)}.")
        since = max(endpoint.created_at, traffic.begin)
        return _uncalled(endpoint, f"No call in {rough_duration(now - since)}")
    if last is not None and now - last >= IDLE_AFTER:
        return _uncalled(endpoint, f"The last call was {_ago(last, now)}")
    times = "" if not service or service.p90_ms is None else f", p90 {service.p90_ms:,.0f} ms"
    week = f"{plural(traffic.week, 'call')} in 7 days{times}"
    return Health("healthy", f"{week}.")


def _uncalled(endpoint: Endpoint, last_call: str) -> Health:
    """Idle is what costs money for nothing: a serverless variant, and one without instances, costs none."""
    if endpoint.variants and not any(
        variant.count != 0 and not variant.serverless for variant in endpoint.variants
    ):
        return Health("healthy", f"{last_call}; it has no instance that would bill.")
    return Health("idle", f"{last_call}, and it bills all the same.")


def _ago(at: datetime, now: datetime) -> str:
    return f"{rough_duration(now - at)} ago"
