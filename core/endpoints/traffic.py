"""The traffic and service quality of an endpoint, from CloudWatch metrics.

An endpoint is billed per hour whether it is called or not, so the last call matters as much as the number of calls.
One response has both, for many endpoints: calls in steps of six hours, over thirty days.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from core.text import plural

STEP = timedelta(hours=6)
DAYS = 30
STEPS = int(timedelta(days=DAYS) / STEP) + 1
"""The current step is added to those of thirty days."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """The calls of one endpoint, over all its current variants.

    begin:   when the first step begins; aware, UTC, a multiple of six hours.
    calls:   in each of `STEPS` steps, oldest first; the last one is in progress.
    created: when the endpoint was created; None if unknown.
    earlier: calls in thirty days before that, which are not in `calls`: those of a deleted endpoint of the same name.
    """

    begin: datetime
    calls: tuple[int, ...]
    created: datetime | None = None
    earlier: int = 0

    @property
    def day(self) -> int:
        """Return the calls in the last 24 hours, rounded up to whole steps (at most six hours more)."""
        return self._last(timedelta(days=1))

    @property
    def week(self) -> int:
        """Return the calls in the last seven days, rounded up to whole steps."""
        return self._last(timedelta(days=7))

    @property
    def month(self) -> int:
        """Return the calls in thirty days."""
        return sum(self.calls)

    @property
    def last_call(self) -> datetime | None:
        """Return the end of the last step with a call, at most six hours late; None if there is no call."""
        steps = [number for number, calls in enumerate(self.calls) if calls]
        return self.begin + (steps[-1] + 1) * STEP if steps else None

    @property
    def last_call_after(self) -> datetime | None:
        """Return the start of the last step with a call, or the creation if later; None if there is no call."""
        if self.last_call is None:
            return None
        start = self.last_call - STEP
        return start if self.created is None else max(start, self.created)

    @property
    def earlier_note(self) -> str:
        """Return a sentence on the calls that are left out; empty if there are none."""
        if not self.earlier:
            return ""
        return f"Not counted: {plural(self.earlier, 'call')} to an earlier endpoint of this name."

    def times(self) -> tuple[datetime, ...]:
        """Return when each step begins."""
        return tuple(self.begin + number * STEP for number in range(len(self.calls)))

    def _last(self, time: timedelta) -> int:
        return sum(self.calls[-(int(time / STEP) + 1) :])


@dataclass(frozen=True, slots=True)
class ServiceQuality:
    """The responses of an endpoint in the last 24 hours, over all its variants.

    calls:              requests, including failed ones.
    p50_ms, p90_ms:     model latency in milliseconds: the mean of CloudWatch's hourly percentiles, weighted by calls;
                        None without calls.
    errors_4xx, errors_5xx: failed requests; 5xx errors are caused by the model or its instance.
    """

    calls: int
    p50_ms: float | None
    p90_ms: float | None
    errors_4xx: int
    errors_5xx: int

    @property
    def errors(self) -> int:
        """Return the number of failed requests."""
        return self.errors_4xx + self.errors_5xx

    @property
    def error_share(self) -> float | None:
        """Return the share of failed calls, 0 to 1; None without calls."""
        return min(1.0, self.errors / self.calls) if self.calls else None
