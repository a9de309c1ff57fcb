"""Throttle operations as AWS does, in strict mode.

Source of the rate: aws-solutions/deepracer-on-aws, issue 87 (ListTrainingJobs: 2 requests per second and account, not
adjustable). AWS publishes no burst; a second's worth is allowed here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from sandbox.http.protocol import ApiError, Params

PER_SECOND = {"ListTrainingJobs": 2.0}


class Throttled:
    """A group of operations of which some are limited. per_second: operation -> its rate, at least 1."""

    def __init__(
        self,
        call: Callable[[str, Params], Params | None],
        per_second: Mapping[str, float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._call, self._rates, self._clock = call, per_second, clock
        self._tokens = {name: (rate, clock()) for name, rate in per_second.items()}
        self._lock = threading.Lock()

    def call(self, operation: str, params: Params) -> Params | None:
        """Run one operation. Raises ApiError ThrottlingException above its rate."""
        if operation in self._rates:
            self._spend(operation)
        return self._call(operation, params)

    def _spend(self, operation: str) -> None:
        """Take a token, of which as many as the rate arrive per second. Raises ApiError when there is none."""
        rate, now = self._rates[operation], self._clock()
        with self._lock:
            tokens, last = self._tokens[operation]
            tokens = min(rate, tokens + (now - last) * rate)
            allowed = tokens >= 1
            self._tokens[operation] = (tokens - 1 if allowed else tokens, now)
        if not allowed:
            raise ApiError("ThrottlingException", "Rate exceeded")
