"""Limit the calls in flight to an endpoint, and slow down where it throttles.

The limit works as TCP's does: halved by a throttled call, and raised by one after as many calls succeeded as it
allows. Calls that were throttled while the limit was already reduced for the same burst do not reduce it again.

A throttled call did not run the model, so it is repeated; no other failed call is, because each is billed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from core.errors import AwsError, ModelError, ThrottledError

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0, 20.0, 20.0)
"""Seconds before each further attempt of a throttled call: some two minutes in all."""

NOT_READY = "ModelNotReadyException"
"""The code of a serverless or multi-model endpoint that is still loading the model; invoke it again."""

TOO_MANY_REQUESTS = 429

Result = TypeVar("Result")


class StoppedError(Exception):
    """The gate was stopped, so the call was not made."""


class CallGate:
    """Lets at most `most` calls through at the same time, fewer after throttled ones. Used by many threads.

    throttled: how many calls were throttled.
    lowest:    the lowest limit so far.
    """

    def __init__(self, most: int, pauses: tuple[float, ...] = PAUSES) -> None:
        self._most = self._limit = self.lowest = most
        self._pauses = pauses
        self._changed = threading.Condition()
        self._in_flight = self._succeeded = self._reductions = 0
        self._stopped = threading.Event()
        self.throttled = 0

    @property
    def limit(self) -> int:
        """Return how many calls may be in flight now."""
        return self._limit

    @property
    def stopped(self) -> bool:
        """Return whether no further call is let through."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Let no further call through; those in flight end as they do."""
        with self._changed:
            self._stopped.set()
            self._changed.notify_all()

    def call(self, work: Callable[[], Result]) -> Result:
        """Return the result of `work`, repeated after a pause while it is throttled.

        Raises what `work` raises, StoppedError.
        """
        pauses = iter(self._pauses)
        while True:
            try:
                return self._attempt(work)
            except AwsError as error:
                pause = next(pauses, None)
                if pause is None or not is_throttled(error):
                    raise
            self._stopped.wait(pause)

    def _attempt(self, work: Callable[[], Result]) -> Result:
        reductions = self._enter()
        try:
            result = work()
        except AwsError as error:
            if is_throttled(error):
                self._reduce(reductions)
            raise
        else:
            self._raise()
            return result
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    def _enter(self) -> int:
        """Wait for a place; return how often the limit was reduced before the call. Raises StoppedError."""
        with self._changed:
            self._changed.wait_for(lambda: self.stopped or self._in_flight < self._limit)
            if self.stopped:
                raise StoppedError
            self._in_flight += 1
            return self._reductions

    def _reduce(self, reductions: int) -> None:
        with self._changed:
            self.throttled += 1
            if reductions == self._reductions:
                self._limit = max(1, self._limit // 2)
                self.lowest = min(self.lowest, self._limit)
                self._reductions += 1
            self._succeeded = 0

    def _raise(self) -> None:
        with self._changed:
            self._succeeded += 1
            if self._succeeded >= self._limit < self._most:
                self._limit += 1
                self._succeeded = 0


def is_throttled(error: AwsError) -> bool:
    """Return whether a call was rejected for now, without running the model."""
    if isinstance(error, ModelError):
        return error.status == TOO_MANY_REQUESTS
    return isinstance(error, ThrottledError) or error.code == NOT_READY
