"""How much memory decoded images may take in this process, whoever decodes them.

An image costs far more decoded than as a file: a TIFF of 17 kB can hold 96 million pixels. So whatever decodes one
takes a share of one budget first, and waits where others hold too much of it. A share is taken for a whole piece of
work (photo, mask, overlay), sized by the headers, before a pixel is decoded.

Nothing can block for good:
    - A thread that needs more than it holds grows its share. It waits only while another thread with a share is at
      work; if all of them wait to grow, one proceeds beyond the limit, and its end lets the next one proceed.
    - Shares are granted in turn, so that many small images cannot keep a large one waiting.
    - A piece of work that is larger than the whole budget is refused at once.
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
"""Bytes of decoded images by default: one of 100 million RGB pixels, turned upright and with its overlay, fits."""

VARIABLE = "SEGDECK_IMAGE_MEMORY_MB"
"""The setting that changes it; see `core.settings`."""

OnWait = Callable[[], None]
_USED, _HOLDERS, _GROWING, _WAITING, _PEAK, _LIMIT = range(6)


class _Condition(Protocol):
    """What threading.Condition and that of multiprocessing have in common."""

    def __enter__(self) -> bool: ...
    def __exit__(self, *args: Any) -> None: ...
    def wait(self, timeout: float | None = None) -> bool: ...
    def notify_all(self) -> None: ...


class _Lock(Protocol):
    """Likewise."""

    def acquire(self, block: bool = True, /) -> bool: ...
    def release(self) -> None: ...


class _Held(threading.local):
    """Bytes that the current thread holds."""

    bytes = 0


class PixelBudget:
    """Bytes for decoded images, shared by all threads of a process, or by several processes (see `shared`)."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._counters: MutableSequence[int] = [0, 0, 0, 0, 0, limit]
        self._changed: _Condition = threading.Condition()
        self._turn: _Lock = threading.Lock()
        self._held = _Held()

    @classmethod
    def shared(cls, context: BaseContext, limit: int) -> PixelBudget:
        """Return a budget that worker processes share; hand `parts()` to each, which calls `adopt` with it."""
        budget = cls(limit)
        budget.adopt(
            context.Array("q", [0, 0, 0, 0, 0, limit], lock=False), context.Condition(), context.Lock()
        )
        return budget

    def parts(self) -> tuple[Any, ...]:
        """Return what another process needs to take its shares from this budget."""
        return self._counters, self._changed, self._turn

    def adopt(self, counters: MutableSequence[int], changed: Any, turn: Any) -> None:
        """Take all shares from the budget with these parts from now on. To be called before the first share."""
        self._counters, self._changed, self._turn = counters, changed, turn

    @property
    def limit(self) -> int:
        """Bytes in all."""
        return self._counters[_LIMIT]

    @limit.setter
    def limit(self, value: int) -> None:
        with self._changed:
            self._counters[_LIMIT] = value
            self._changed.notify_all()

    @property
    def used(self) -> int:
        """Bytes that are held now."""
        return self._counters[_USED]

    @property
    def peak(self) -> int:
        """The most bytes that were ever held at once."""
        return self._counters[_PEAK]

    @property
    def waiting(self) -> int:
        """How many images wait for their share now."""
        return self._counters[_WAITING]

    def notice(self) -> str:
        """Say how many images wait and what for; empty where none does."""
        waiting = self.waiting
        if not waiting:
            return ""
        images = "1 image waits" if waiting == 1 else f"{waiting:,} images wait"
        return f"{images} for memory: {self.used // 1_000_000:,} of {self.limit // 1_000_000:,} MB in use"

    @contextmanager
    def share(self, size: int, name: str, *, on_wait: OnWait | None = None) -> Iterator[None]:
        """Hold `size` bytes for the image `name`. Within a share of this thread, only what exceeds it is added.

        on_wait: called once, before it waits for others.

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
                self._give(added, last=before == 0)

    def _take(self, size: int, *, growing: bool, on_wait: OnWait | None) -> None:
        """Add to the bytes in use as soon as they fit."""
        if growing:
            with self._changed:
                self._grow(size, on_wait)
            return
        told = False
        try:
            if not self._turn.acquire(False):
                told = self._tell(on_wait)
                self._turn.acquire()
            try:
                with self._changed:
                    # Whoever wants more of what it holds comes first: until it ends, none of that is given back.
                    while self._counters[_GROWING] or not self._fits(size):
                        told = told or self._tell(on_wait)
                        self._changed.wait()
                    self._counters[_HOLDERS] += 1
                    self._add(size)
            finally:
                self._turn.release()
        finally:
            if told:
                with self._changed:
                    self._counters[_WAITING] -= 1

    def _tell(self, on_wait: OnWait | None) -> bool:
        """Count one more as waiting, and say so; return True."""
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

    def _give(self, size: int, *, last: bool) -> None:
        with self._changed:
            self._counters[_USED] -= size
            self._counters[_HOLDERS] -= last
            self._changed.notify_all()


def _too_large(name: str, size: int, limit: int) -> ImageError:
    return ImageError(
        f"{name} needs about {-(-size // 1_000_000):,} MB of memory once decoded.",
        why=f"All images together may take {limit // 1_000_000:,} MB.",
        todo=f"Make the image smaller or cut it into tiles, or raise {VARIABLE}.",
    )


PIXELS = PixelBudget()
"""The budget of this process: of pages, commands, dataset checks and evaluations together."""
