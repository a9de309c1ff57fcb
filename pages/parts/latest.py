"""The last good answer to what is asked again and again, shared by all viewers of this process.

However many look at a page, one of them asks AWS and the others take what it brought; when AWS fails, they keep what
there is, with the reason and the time it is from. Streamlit's own caches cannot: an entry whose time is over is
gone, and while the other side fails every run asks it anew.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Generic, TypeVar

from core.errors import CoreError

T = TypeVar("T")

OLD = 4
"""So many times its age at most, an answer still does for those who find somebody else asking."""


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """An answer, and how good it still is.

    at:      when it was given; aware, UTC.
    failure: why there is no newer one; None where there need not be one.
    """

    value: T
    at: datetime
    failure: CoreError | None = None


class Latest(Generic[T]):
    """One thing that changes, asked for by many.

    load:    asks for it; may raise CoreError, which counts as an answer until the next try.
    seconds: how old it may become.
    clock:   seconds that never run backwards.
    """

    def __init__(
        self, load: Callable[[], T], seconds: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._load, self._seconds, self._clock = load, seconds, clock
        self._lock = Lock()
        self._asked = float("-inf")
        self._reading: Reading[T] | None = None
        self._failure: CoreError | None = None

    def read(self) -> Reading[T]:
        """The answer, asked for by one caller at a time. Raises what `load` raised while there is no good one."""
        age = self._clock() - self._asked
        if age >= self._seconds:
            self._ask_once(wait=self._reading is None or age > OLD * self._seconds)
        if self._reading is not None:
            return self._reading
        assert self._failure is not None  # noqa: S101  # for the type checker
        raise self._failure.with_traceback(None)

    def expire(self) -> None:
        """Ask anew at the next read; until that succeeds, what there is stays."""
        self._asked = float("-inf")

    def _ask_once(self, *, wait: bool) -> None:
        """Ask, unless somebody else is asking: then wait for that one, or take what there is."""
        if not self._lock.acquire(blocking=wait):
            return
        try:
            if self._clock() - self._asked >= self._seconds:
                self._ask()
        finally:
            self._lock.release()

    def _ask(self) -> None:
        try:
            self._reading, self._failure = Reading(self._load(), datetime.now(UTC)), None
        except CoreError as error:
            self._failure = error
            if self._reading is not None:
                self._reading = replace(self._reading, failure=error)
        self._asked = self._clock()


class Shelf:
    """Answers by what was asked; the longest unused one goes when there are too many."""

    def __init__(self, max_entries: int = 128) -> None:
        self._max_entries = max_entries
        self._lock = Lock()
        self._kept: OrderedDict[Hashable, Latest[Any]] = OrderedDict()

    def read(self, key: Hashable, load: Callable[[], T], seconds: float) -> Reading[T]:
        """The latest answer under this key. The same key must always come with a `load` that does the same."""
        with self._lock:
            latest = self._kept.get(key) or Latest(load, seconds)
            self._kept[key] = latest
            self._kept.move_to_end(key)
            while len(self._kept) > self._max_entries:
                self._kept.popitem(last=False)
        return latest.read()

    def expire(self) -> None:
        """Ask for everything anew at its next read."""
        with self._lock:
            for latest in self._kept.values():
                latest.expire()
