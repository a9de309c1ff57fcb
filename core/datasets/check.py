"""Validate a dataset before training on it is paid for: read every file, on all processors.

Only a few hundred bytes are kept of each pair, so 50,000 pairs fit into the memory of any machine.
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

from core.datasets.aggregate import aggregate
from core.datasets.inspection import PairFacts, inspect_pairs
from core.datasets.names import mask_colors
from core.datasets.report import LayoutReport
from core.datasets.source import Dataset
from core.imaging.pixel_budget import PIXELS, PixelBudget

CHUNK = 16
"""Pairs that are sent to a process at a time."""

AHEAD = 4
"""Chunks that are queued for each worker; more would only use memory."""

OnProgress = Callable[[int, int], None]
"""Called with the number of finished items and the total. An exception from it ends the work."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def processors() -> int:
    """Return the number of processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@contextmanager
def processes() -> Iterator[Executor]:
    """Return a pool with one worker process per processor.

    The processes are spawned, since forking a process with threads may hang. So use it only in programs whose main
    module has a `__name__ == "__main__"` guard; elsewhere a thread pool does the same work.
    """
    context = get_context("spawn")
    budget = PixelBudget.shared(context, PIXELS.limit)
    if not PIXELS.used:  # this process is not decoding images, so it can share the budget and report on it
        PIXELS.adopt(*budget.parts())
    pool = ProcessPoolExecutor(processors(), context, _begin_worker, budget.parts())
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_worker(*parts: Any) -> None:
    """Share one memory budget with the other workers, and ignore Ctrl-C: the parent handles it and ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    PIXELS.adopt(*parts)


def check(source: Dataset, executor: Executor, *, on_progress: OnProgress | None = None) -> LayoutReport:
    """Read every file of the dataset; return the report with its problems."""
    colors = mask_colors(source.names)
    facts: list[PairFacts] = []
    jobs = ((source.root, part, colors) for part in chunks(source.samples))
    for batch in in_parallel(executor, inspect_pairs, jobs):
        facts += batch
        if on_progress is not None:
            on_progress(len(facts), len(source.samples))
    return aggregate(source, facts)


def in_parallel(
    executor: Executor, work: Callable[..., Result], jobs: Iterable[tuple[object, ...]], ahead: int = 0
) -> Iterator[Result]:
    """Yield results in the order of the jobs.

    If the iteration ends early, jobs that have not started are dropped, and the others are waited for.

    ahead: maximum number of submitted jobs; 0: a few for each processor.
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
    """Return the items in pieces of at most `size`."""
    return (items[start : start + size] for start in range(0, len(items), size))
