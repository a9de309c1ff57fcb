"""How an endpoint does, as a verdict with its reason and figures.

"InService" only says that it bills. Whether anybody calls it, and whether it answers, CloudWatch knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from core.endpoints import FAILED, Endpoint
from core.traffic import Service, Traffic

Verdict = Literal["failed", "idle", "erroring", "slow", "changing", "unknown", "new", "healthy"]
VERDICTS: tuple[Verdict, ...] = (
    "failed",
    "idle",
    "erroring",
    "slow",
    "changing",
    "unknown",
    "new",
    "healthy",
)
"""The order of a list: what needs a hand comes first."""

IDLE_AFTER = timedelta(days=7)
"""Without a call for so long it is idle: one used on working days alone has a call in each week."""

NEW_FOR = timedelta(hours=24)
"""Without any call yet it is new for so long, and idle thereafter."""

ERROR_SHARE = 0.05
"""From this share of failed calls in 24 hours on, it is erroring."""

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


def health(endpoint: Endpoint, traffic: Traffic | None, service: Service | None, now: datetime) -> Health:
    """How an endpoint does.

    traffic, service: None where CloudWatch was not asked, or may not be.
    now:              aware.
    """
    raise NotImplementedError
