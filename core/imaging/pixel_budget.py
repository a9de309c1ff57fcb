"""Limit the memory that decoded images take in this process.

An image takes far more memory decoded than as a file: a TIFF of 17 kB can hold 96 million pixels. So all code that
decodes an image first takes a share of one budget, and waits while others hold too much of it. A share covers a whole
task (image, mask, overlay); its size comes from the headers, before a pixel is decoded.

Deadlocks cannot occur:
    - A thread that needs more than it holds grows its share. It waits only while another thread with a share is
      running; if all of them wait to grow, one proceeds beyond the limit, and the next one proceeds when it ends.
    - Shares are granted in order, so many small images cannot keep a large one waiting.
    - A task that is larger than the whole budget is refused immediately.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, MutableSequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from core.errors import ImageError

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

LIMIT = 1_500_000_000
"""Default limit in bytes. An image of 100 million RGB pixels fits, rotated upright and with its overlay."""

VARIABLE = "SEGDECK_IMAGE_MEMORY_MB"
"""The environment variable that sets the limit; see `core.settings`."""

OnWait = Callable[[], None]
_USED, _HOLDERS, _GROWING, _WAITING, _PEAK, _LIMIT = range(6)


class _Condition(Protocol):
    """The common interface of the Condition classes of threading and multiprocessing."""

    def __enter__(self) -> bool: ...
    def __exit__(self, *args: Any) -> None: ...
    def wait(self, timeout: float | None = None) -> bool: ...
    def notify_all(self) -> None: ...


class _Lock(Protocol):
    """The common interface of the Lock classes of threading and multiprocessing."""

    def acquire(self, block: bool = True, /) -> bool: ...
    def release(self) -> None: ...


class _Held(threading.local):
    """The bytes that the current thread holds."""

    bytes = 0


class PixelBudget:
    """A budget in bytes for decoded images, shared by all threads of a process or by several processes."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._counters: MutableSequence[int] = [0, 0, 0, 0, 0, limit]
        self._changed: _Condition = threading.Condition()
        self._turn: _Lock = threading.Lock()
        self._held = _Held()

    @classmethod
    def shared(cls, context: BaseContext, limit: int) -> PixelBudget:
        """Return a budget that worker processes share: pass `parts()` to each, which calls `adopt` with them."""
        budget = cls(limit)
        budget.adopt(
            context.Array("q", [0, 0, 0, 0, 0, limit], lock=False), context.Condition(), context.Lock()
        )
        return budget

    def parts(self) -> tuple[Any, ...]:
        """Return what another process needs to take its shares from this budget."""
        return self._counters, self._changed, self._turn

    def adopt(self, counters: MutableSequence[int], changed: Any, turn: Any) -> None:
        """Use the budget with these parts from now on. Call it before the first share is taken."""
        self._counters, self._changed, self._turn = counters, changed, turn

    @property
    def limit(self) -> int:
        """Return the size of the budget in bytes."""
        return self._counters[_LIMIT]

    @limit.setter
    def limit(self, value: int) -> None:
        with self._changed:
            self._counters[_LIMIT] = value
            self._changed.notify_all()

    @property
    def used(self) -> int:
        """Return the bytes that are in use now."""
        return self._counters[_USED]

    @property
    def peak(self) -> int:
        """Return the largest number of bytes that were in use at the same time."""
        return self._counters[_PEAK]

    @property
    def waiting(self) -> int:
        """Return how many images are waiting for their share now."""
        return self._counters[_WAITING]

    def notice(self) -> str:
        """Return a text on the images that are waiting; empty if there are none."""
        waiting = self.waiting
        if not waiting:
            return ""
        images = "1 image is" if waiting == 1 else f"{waiting:,} images are"
        return f"{images} waiting for memory: {self.used // 1_000_000:,} of {self.limit // 1_000_000:,} MB in use"

    @contextmanager
    def share(self, size: int, name: str, *, on_wait: OnWait | None = None) -> Iterator[None]:
        """Hold `size` bytes for the image `name`. Within a share of the same thread, only the excess is added.

        on_wait: called once, before waiting for others.

        Raises ImageError where the image can never fit.
        """
        if size > self.limit:
            raise _too_large(name, size, self.limit)
        before = self._held.bytes
        added = max(0, size - before)
        if added:
            self._take(added, growing=before > 0, on_wait=on_wait)
        self._held.bytes = before + added
        try:
            yield
        finally:
            self._held.bytes = before
            if added:
                self._release(added, last=before == 0)

    def _take(self, size: int, *, growing: bool, on_wait: OnWait | None) -> None:
        """Add `size` to the bytes in use as soon as they fit."""
        if growing:
            with self._changed:
                self._grow(size, on_wait)
            return
        counted = False
        try:
            if not self._turn.acquire(False):
                counted = self._count_waiting(on_wait)
                self._turn.acquire()
            try:
                with self._changed:
                    # Growing shares come first: nothing they hold is released until they end.
                    while self._counters[_GROWING] or not self._fits(size):
                        counted = counted or self._count_waiting(on_wait)
                        self._changed.wait()
                    self._counters[_HOLDERS] += 1
                    self._add(size)
            finally:
                self._turn.release()
        finally:
            if counted:
                with self._changed:
                    self._counters[_WAITING] -= 1

    def _count_waiting(self, on_wait: OnWait | None) -> bool:
        """Count one more image as waiting, and report it; return True."""
        with self._changed:
            self._counters[_WAITING] += 1
        if on_wait is not None:
            on_wait()
        return True

    def _grow(self, size: int, on_wait: OnWait | None) -> None:
        counters = self._counters
        if not self._fits(size) and counters[_HOLDERS] > 1:
            counters[_GROWING] += 1
            counters[_WAITING] += 1
            self._changed.notify_all()  # the others may be waiting for this thread to end
            try:
                if on_wait is not None:
                    on_wait()
                while not self._fits(size) and counters[_GROWING] < counters[_HOLDERS]:
                    self._changed.wait()
            finally:
                counters[_GROWING] -= 1
                counters[_WAITING] -= 1
                self._changed.notify_all()
        self._add(size)

    def _fits(self, size: int) -> bool:
        return self._counters[_USED] + size <= self._counters[_LIMIT]

    def _add(self, size: int) -> None:
        self._counters[_USED] += size
        self._counters[_PEAK] = max(self._counters[_PEAK], self._counters[_USED])

    def _release(self, size: int, *, last: bool) -> None:
        with self._changed:
            self._counters[_USED] -= size
            self._counters[_HOLDERS] -= last
            self._changed.notify_all()


def _too_large(name: str, size: int, limit: int) -> ImageError:
    return ImageError(
        f"{name} needs about {-(-size // 1_000_000):,} MB of memory when decoded.",
        why=f"The limit for all images together is {limit // 1_000_000:,} MB.",
        todo=f"Reduce the image or split it into tiles, or raise {VARIABLE}.",
    )


PIXELS = PixelBudget()
"""The budget of this process, shared by pages, commands, dataset validation and evaluations."""
