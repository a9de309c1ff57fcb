"""A data set checked before anybody pays for a machine to find out: every file is read, on every processor.

What is kept of a pair are a few hundred bytes, so 50,000 of them fit anywhere.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context
from typing import Any, TypeVar

from core.datasets.aggregate import summed
from core.datasets.inspection import PairFacts, inspect_pairs
from core.datasets.names import mask_colors
from core.datasets.report import LayoutReport
from core.datasets.source import Dataset
from core.imaging.pixel_budget import PIXELS, PixelBudget

CHUNK = 16
"""Pairs that travel to a process at once."""

AHEAD = 4
"""Chunks that wait for each worker: more would only take up memory."""

OnProgress = Callable[[int, int], None]
"""Called with how many are done, of how many. What it raises ends the work."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def processors() -> int:
    """How many this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@contextmanager
def processes() -> Iterator[Executor]:
    """A worker a processor. Fresh ones: a fork of a process with threads may hang.

    Only for programs whose main module is guarded by its name. Elsewhere a pool of threads does the same work.
    """
    context = get_context("spawn")
    budget = PixelBudget.shared(context, PIXELS.limit)
    if not PIXELS.used:  # nothing of this process is under way: it can tell about all of them
        PIXELS.adopt(*budget.parts())
    pool = ProcessPoolExecutor(processors(), context, _begin_worker, budget.parts())
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_worker(*parts: Any) -> None:
    """Share one budget of memory with the other workers; Ctrl-C is for the parent, which then ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    PIXELS.adopt(*parts)


def check(source: Dataset, executor: Executor, *, on_progress: OnProgress | None = None) -> LayoutReport:
    """Read every file of the set, and say what is wrong with it."""
    colors = mask_colors(source.names)
    facts: list[PairFacts] = []
    jobs = ((source.root, part, colors) for part in chunks(source.samples))
    for batch in in_parallel(executor, inspect_pairs, jobs):
        facts += batch
        if on_progress is not None:
            on_progress(len(facts), len(source.samples))
    return summed(source, facts)


def in_parallel(
    executor: Executor, work: Callable[..., Result], jobs: Iterable[tuple[object, ...]], ahead: int = 0
) -> Iterator[Result]:
    """Results in the order of the jobs. Left early, jobs that have not begun are dropped, the others waited for.

    ahead: how many jobs are under way at most; 0: a few for each processor.
    """
    waiting: deque[Future[Result]] = deque()
    left = iter(jobs)
    try:
        waiting.extend(executor.submit(work, *job) for job in islice(left, ahead or processors() * AHEAD))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(executor.submit(work, *job) for job in islice(left, 1))
            yield result
    finally:
        wait([future for future in waiting if not future.cancel()])


def chunks(items: Sequence[Item], size: int = CHUNK) -> Iterator[Sequence[Item]]:
    """In pieces of so many."""
    return (items[start : start + size] for start in range(0, len(items), size))
