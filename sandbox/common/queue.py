"""Queue training jobs: a limited number run at once, the others wait in order of arrival."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator


class WaitedTooLongError(Exception):
    """The maximum waiting time of a job is over."""


class Queue:
    """A queue of jobs. places: how many may run at once."""

    def __init__(self, places: int) -> None:
        self.places = places
        self._waiting: list[object] = []
        self._running = 0
        self._change = threading.Condition()

    def enter(self) -> object:
        """Join the end of the queue and return the ticket for `turn`."""
        ticket = object()
        with self._change:
            self._waiting.append(ticket)
        return ticket

    @contextlib.contextmanager
    def turn(
        self,
        ticket: object,
        check_stopped: Callable[[], object],
        must_wait: Callable[[], object],
        seconds: float = threading.TIMEOUT_MAX,
    ) -> Iterator[None]:
        """Wait for the turn of `ticket` and hold it.

        check_stopped: called at every change (see `wake`); may raise to leave the queue.
        must_wait:     called once if the job has to wait.
        Raises WaitedTooLongError after `seconds`.
        """
        self._await(ticket, check_stopped, must_wait, time.monotonic() + seconds)
        try:
            yield
        finally:
            with self._change:
                self._running -= 1
                self._change.notify_all()

    def wake(self) -> None:
        """Let all waiting jobs check whether they were stopped."""
        with self._change:
            self._change.notify_all()

    def _await(
        self,
        ticket: object,
        check_stopped: Callable[[], object],
        must_wait: Callable[[], object],
        deadline: float,
    ) -> None:
        """Block until it is the ticket's turn."""
        with self._change:
            try:
                reported = False
                while self._running >= self.places or self._waiting[0] is not ticket:
                    check_stopped()
                    if not reported:
                        must_wait()
                        reported = True
                    remaining = deadline - time.monotonic()
                    if remaining <= 0:
                        raise WaitedTooLongError
                    self._change.wait(min(remaining, threading.TIMEOUT_MAX))
                check_stopped()
                self._running += 1
            finally:
                self._waiting.remove(ticket)
                self._change.notify_all()
