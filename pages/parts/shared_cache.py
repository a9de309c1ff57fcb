"""The last good value of what is read again and again, shared by all viewers of this process.

One caller starts a read, in a thread of its own, and all callers share its result; when AWS fails, they keep the last
good value with the reason and its time. No page waits longer than `PATIENCE` for a read that has just begun: a value
that has not arrived is `PendingError`, which the error boundary shows as a labeled waiting state. Streamlit's own
caches cannot do this: they block the page, drop an entry whose time is over, and repeat a failing read at every run.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Event, Lock, Thread
from typing import Any, Generic, TypeVar

from core.errors import CoreError, TimedOutError

T = TypeVar("T")

OLD = 4
"""Callers who find a read in progress take the last value unless it is older than this many times its age limit."""

PATIENCE = 0.5
"""Seconds from the start of a read that a page waits for it before it shows that the value is pending."""

LIMIT = 25.0
"""Seconds after which a page reports that AWS does not answer; two reads, one after the other, stay below 60 s."""

RETRY = 4.0
"""Seconds after a failure until the next try, where the value itself may become older: a fault that is over must not
stay on the page for as long as a good value would."""


class PendingError(Exception):
    """A value has not arrived yet. Not a fault: an error boundary shows it as a waiting state.

    what:    the value, such as "the training jobs".
    seconds: since its read began.
    """

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(f"Waiting for {what}.")
        self.what, self.seconds = what, seconds


@dataclass(frozen=True, slots=True)
class Snapshot(Generic[T]):
    """A value, and how good it still is.

    at:      when it was read; aware, UTC.
    failure: why there is no newer one; None where there need not be one.
    pending: whether a newer one is being read, so that another look soon would show it.
    """

    value: T
    at: datetime
    failure: CoreError | None = None
    pending: bool = False


@dataclass(frozen=True, slots=True)
class OptionalPart(Snapshot[T]):
    """What a page can do without.

    waiting: set while it has never arrived; `value` is then an empty one.
    """

    waiting: PendingError | None = None


@dataclass(eq=False, slots=True)
class Flight:
    """One read in progress. since: by the clock of its `CachedValue`."""

    since: float
    over: Event = field(default_factory=Event)


class CachedValue(Generic[T]):
    """One value that changes, read for many.

    load:     reads it, in a thread of its own; what it raises counts as a result until the next try.
    seconds:  how old it may become.
    what:     its name in a sentence, such as "the training jobs".
    patience: see `PATIENCE`. limit: see `LIMIT`.
    clock:    seconds that never run backwards.
    """

    def __init__(
        self,
        load: Callable[[], T],
        seconds: float,
        what: str = "AWS",
        *,
        patience: float = PATIENCE,
        limit: float = LIMIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load, self._seconds, self.what = load, seconds, what
        self._patience, self._limit, self._clock = patience, limit, clock
        self._lock = Lock()
        self._ended = float("-inf")
        self._flight: Flight | None = None
        self._reading: Snapshot[T] | None = None
        self._failure: Exception | None = None

    def read(self) -> Snapshot[T]:
        """Return the value. Raises PendingError before the first arrives, and what `load` raised while it fails."""
        result, _ = self.look()
        if isinstance(result, Exception):
            raise result.with_traceback(None)
        return result

    def look(self, waited: float = 0.0) -> tuple[Snapshot[T] | Exception, Hashable]:
        """Return what `read` returns or raises, and the state that it shows (see `state`).

        waited: seconds that the page has already waited for other values; its patience is one for all.
        """
        started = self.start()
        flight = self._flight
        if flight is not None and (started or self._must_wait()):
            flight.over.wait(max(0.0, self._patience - max(waited, self._clock() - flight.since)))
        with self._lock:
            return self._result(), self._state()

    def start(self) -> bool:
        """Start a read where one is due and none is in progress; return whether this did."""
        with self._lock:
            if self._flight is not None or self._clock() - self._ended < self._age_limit():
                return False
            self._flight = Flight(self._clock())
            Thread(target=self._run, args=(self._flight,), daemon=True, name=f"read {self.what}").start()
            return True

    def expire(self) -> None:
        """Read again at the next `read`; until that succeeds, the last value stays.

        A read in progress may have seen the state from before, so its result is dropped.
        """
        with self._lock:
            self._ended = float("-inf")
            self._flight = None
            if self._reading is None:
                self._failure = None

    @property
    def state(self) -> Hashable:
        """Return a value that differs once anything about the reading has changed that a page shows."""
        with self._lock:
            return self._state()

    def _state(self) -> Hashable:
        return (
            self._reading and self._reading.at,
            self._failure and str(self._failure),
            self._flight is not None and self._clock() - self._flight.since >= self._limit,
        )

    def _age_limit(self) -> float:
        return min(self._seconds, RETRY) if self._failure is not None else self._seconds

    def _must_wait(self) -> bool:
        """Return whether there is no value good enough to show until the read ends."""
        if self._reading is None:
            return self._failure is None
        return self._clock() - self._ended > OLD * self._seconds

    def _run(self, flight: Flight) -> None:
        value: T | None = None
        failure: Exception | None = None
        try:
            value = self._load()
        except Exception as error:  # noqa: BLE001  # handed to every reader, who shows it
            failure = error
        with self._lock:
            if self._flight is flight:
                self._keep(value, failure)
        flight.over.set()

    def _keep(self, value: Any, failure: Exception | None) -> None:
        self._failure = failure
        if failure is None:
            self._reading = Snapshot(value, datetime.now(UTC))
        elif self._reading is not None and isinstance(failure, CoreError):
            self._reading = replace(self._reading, failure=failure)
        self._flight, self._ended = None, self._clock()

    def _result(self) -> Snapshot[T] | Exception:
        reading, failure, flight = self._reading, self._failure, self._flight
        waited = self._clock() - flight.since if flight is not None else 0.0
        if failure is not None and (reading is None or not isinstance(failure, CoreError)):
            return failure
        late = self._too_late() if waited >= self._limit else None
        if reading is not None:
            return replace(reading, failure=late or reading.failure, pending=flight is not None)
        return late or PendingError(self.what, waited)

    def _too_late(self) -> CoreError:
        return TimedOutError(
            f"AWS has not returned {self.what} after {self._limit:.0f} s.",
            why="Segdeck is still waiting and will show the response when it arrives.",
            todo="If it does not arrive, check the network and the region, or see health.aws.amazon.com.",
        )


@dataclass(eq=False, slots=True)
class Watch:
    """What a part of a page has read.

    unsettled: what is pending or failed, with its state as it was shown.
    pending:   whether any of it is pending.
    missing:   whether any of that has no value yet.
    failing:   whether any of it failed.
    waited:    seconds that the reads took so far.
    """

    unsettled: dict[CachedValue[Any], Hashable] = field(default_factory=dict)
    pending: bool = False
    missing: bool = False
    failing: bool = False
    waited: float = 0.0

    def note(self, latest: CachedValue[Any], result: Snapshot[Any] | Exception, state: Hashable) -> None:
        """Note it where it is one of them."""
        pending = result.pending if isinstance(result, Snapshot) else isinstance(result, PendingError)
        failing = result.failure is not None if isinstance(result, Snapshot) else not pending
        if pending or failing:
            self.unsettled.setdefault(latest, state)
            self.pending = self.pending or pending
            self.missing = self.missing or isinstance(result, PendingError)
            self.failing = self.failing or failing

    def changed(self) -> bool:
        """Return whether another look would show something else; starts the reads that are due."""
        for latest in self.unsettled:
            latest.start()
        return any(latest.state != state for latest, state in self.unsettled.items())


_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


@contextmanager
def watching() -> Iterator[Watch]:
    """Collect what is read inside, in this thread, and is pending or failed. An inner watch keeps its own."""
    watch = Watch()
    token = _watch.set(watch)
    try:
        yield watch
    finally:
        _watch.reset(token)


class StaleCache:
    """Values by their keys; the longest unused is dropped when there are too many.

    patience: see `PATIENCE`.
    """

    def __init__(self, max_entries: int = 128, *, patience: float = PATIENCE) -> None:
        self.patience = patience
        self._max_entries = max_entries
        self._lock = Lock()
        self._kept: OrderedDict[Hashable, CachedValue[Any]] = OrderedDict()

    def read(
        self,
        key: Hashable,
        load: Callable[[], T],
        seconds: float,
        what: str = "AWS",
        *,
        patience: float | None = None,
        limit: float = LIMIT,
    ) -> Snapshot[T]:
        """Return the latest value of this key; raises what `CachedValue.read` raises.

        load: must do the same for the same key, of which the first one is kept.
        what: the value's name in a sentence. patience: at most the cache's own. limit: see `LIMIT`.
        """
        with self._lock:
            latest = self._kept.get(key) or CachedValue(
                load,
                seconds,
                what,
                patience=self.patience if patience is None else min(patience, self.patience),
                limit=limit,
            )
            self._kept[key] = latest
            self._kept.move_to_end(key)
            while len(self._kept) > self._max_entries:
                self._kept.popitem(last=False)
        return _noted(latest)

    def expire(self, kind: str = "") -> None:
        """Read everything again at its next use. kind: only what has a key that begins with this."""
        with self._lock:
            for key, latest in self._kept.items():
                if not kind or (isinstance(key, tuple) and key[0] == kind):
                    latest.expire()


def _noted(latest: CachedValue[T]) -> Snapshot[T]:
    """Read, and record in the watch of this part of the page what is not settled."""
    watch = _watch.get()
    began = time.monotonic()
    result, state = latest.look(watch.waited if watch is not None else 0.0)
    if watch is not None:
        watch.waited += time.monotonic() - began
        watch.note(latest, result, state)
    if isinstance(result, Exception):
        raise result.with_traceback(None)
    return result
