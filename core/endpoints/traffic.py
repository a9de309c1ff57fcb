"""How much an endpoint is called, and how well it answers: figures from CloudWatch as values.

An endpoint bills by the hour whether anybody calls it or not, so the last call matters as much as the number of
calls. Both come from one answer for many endpoints: calls in steps of six hours, over thirty days.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

STEP = timedelta(hours=6)
DAYS = 30
STEPS = int(timedelta(days=DAYS) / STEP) + 1
"""The step that is under way comes on top of those of thirty days."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Calls of one endpoint, of all the variants it has now together.

    begin: when the first step begins; aware, UTC, a multiple of six hours.
    calls: in each of `STEPS` steps, oldest first; the last one is under way.
    """

    begin: datetime
    calls: tuple[int, ...]

    @property
    def day(self) -> int:
        """Calls in the last 24 hours, and in what the first of these steps holds from before (at most six hours)."""
        return self._last(timedelta(days=1))

    @property
    def week(self) -> int:
        """The same of seven days."""
        return self._last(timedelta(days=7))

    @property
    def month(self) -> int:
        """The same of thirty days."""
        return sum(self.calls)

    @property
    def last_call(self) -> datetime | None:
        """When the last step with a call ended, so at most six hours too late; None without any in thirty days."""
        steps = [number for number, calls in enumerate(self.calls) if calls]
        return self.begin + (steps[-1] + 1) * STEP if steps else None

    def times(self) -> tuple[datetime, ...]:
        """When each step begins."""
        return tuple(self.begin + number * STEP for number in range(len(self.calls)))

    def _last(self, time: timedelta) -> int:
        return sum(self.calls[-(int(time / STEP) + 1) :])


@dataclass(frozen=True, slots=True)
class ServiceQuality:
    """How an endpoint answered in the last 24 hours, all its variants together.

    calls:              requests, failed ones too.
    p50_ms, p90_ms:     the model's time for a request, in milliseconds: CloudWatch's percentile of each hour, and of
                        these the mean, weighted by calls; None without calls.
    errors_4xx, errors_5xx: requests that failed; the 5xx are the model's or its machine's fault.
    """

    calls: int
    p50_ms: float | None
    p90_ms: float | None
    errors_4xx: int
    errors_5xx: int

    @property
    def errors(self) -> int:
        """All that failed."""
        return self.errors_4xx + self.errors_5xx

    @property
    def error_share(self) -> float | None:
        """The share of calls that failed, 0 to 1; None without calls."""
        return min(1.0, self.errors / self.calls) if self.calls else None
