"""Tasks in the background: their progress, their result, and a button that stops them.

A page must respond while an endpoint or a disk is slow. So such work has a thread of its own: the page starts it,
reads its progress and never waits long. Nothing in these threads may call Streamlit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from threading import Event, Thread
from typing import Generic, TypeVar

import streamlit as st

from pages.parts import messages, refresh, state

T = TypeVar("T")
OnCount = Callable[[int, int], None]
"""Takes how many items are done, and how many there are."""

TICK = 0.5
"""Seconds between two updates of a progress bar."""

PATIENCE = 0.3
"""Seconds that a page waits for a task: one that ends sooner shows no progress bar."""

STEP = 0.02
"""Seconds that a click waits at most while a run of the page waits for a task."""


class StoppedError(Exception):
    """Raised in a task's own thread once the user has stopped the task."""


@dataclass(eq=False)
class BackgroundTask(Generic[T]):
    """Work in the background. Written by its thread, read by the page.

    title:       what is being done, a noun such as "Validation".
    stage:       "waiting" for its turn, then any step that the work names, at last "done" or "failed".
    done, total: how many items are done, and how many there are; total is 0 before that is known.
    started:     when it was made, then when its turn came, in seconds of the monotonic clock.
    seconds:     how long it took from its turn to its end.
    stop:        set it to stop the task; before its turn, that cancels it.
    """

    title: str
    _: KW_ONLY
    stage: str = "waiting"
    done: int = 0
    total: int = 0
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    stop: Event = field(default_factory=Event)
    future: Future[T] = field(default_factory=Future)

    @property
    def over(self) -> bool:
        """Whether it is done, failed or canceled."""
        return self.future.done()

    @property
    def error(self) -> BaseException | None:
        """Why it failed; None where it did not, or not yet."""
        return self.future.exception() if self.over and not self.future.cancelled() else None

    @property
    def result(self) -> T | None:
        """What it returned; None where it failed, was canceled or is not done yet."""
        return None if not self.over or self.future.cancelled() or self.error else self.future.result()

    @property
    def stopped(self) -> bool:
        """Whether the user stopped it before its end."""
        return isinstance(self.error, StoppedError)

    def report(self, done: int, total: int) -> None:
        """Note the progress. The work calls this. Raises StoppedError where the user has stopped the task."""
        if self.stop.is_set():
            raise StoppedError
        self.done, self.total = done, total

    def begin(
        self, work: Callable[[], T], turns: AbstractContextManager[object] | None = None
    ) -> BackgroundTask[T]:
        """Run the work in a daemon thread, so that the dashboard can be stopped meanwhile.

        turns: entered before the work, such as a semaphore that limits how many tasks run at once.
        """
        Thread(target=self._run, args=(work, turns or nullcontext()), daemon=True, name=self.title).start()
        return self

    def _run(self, work: Callable[[], T], turns: AbstractContextManager[object]) -> None:
        with turns:
            if self.stop.is_set():
                self.future.cancel()
                self.future.set_running_or_notify_cancel()  # wakes those who wait for it
                return
            self.stage, self.started = "preparing", time.monotonic()
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  # shown by the page, which reads the future
                self._end("failed")
                self.future.set_exception(error)
            else:
                self._end("done")
                self.future.set_result(result)

    def _end(self, stage: str) -> None:
        self.seconds, self.stage = time.monotonic() - self.started, stage


def start(title: str, work: Callable[[OnCount], T]) -> BackgroundTask[T]:
    """Start work that reports its progress."""
    task: BackgroundTask[T] = BackgroundTask(title)
    return task.begin(partial(work, task.report))


def wait_for_any(tasks: Iterable[BackgroundTask[T]], seconds: float) -> None:
    """Wait until one of the tasks that are not over ends, at most so many seconds."""
    wait([task.future for task in tasks if not task.over], timeout=seconds, return_when="FIRST_COMPLETED")


def wait_in_run(task: BackgroundTask[T], seconds: float, draw: Callable[[], object]) -> None:
    """Wait in the run of the page until the task ends, at most so many seconds.

    The page stays usable: a click that runs the page ends this wait, and this run of the page with it.

    draw: draws the stage; called once the wait is long enough for one to read it, and whenever the stage changes.
    """
    started, drawn = time.monotonic(), ""
    while not task.over and (waited := time.monotonic() - started) < seconds:
        wait_for_any([task], min(STEP, seconds - waited))
        if waited >= PATIENCE and drawn != task.stage:
            drawn = task.stage
            draw()
        state.let_clicks_through()


def pause(seconds: float) -> None:
    """Let the browser draw what it has before this run continues; a click ends the run, as in `wait_in_run`."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(STEP, left))
        state.let_clicks_through()


def elapsed(tasks: Iterable[BackgroundTask[T]]) -> float:
    """Return the seconds during which at least one of these finished tasks ran: those that overlap count once."""
    total, until = 0.0, float("-inf")
    for started, seconds in sorted((task.started, task.seconds) for task in tasks):
        end = started + seconds
        total += max(0.0, end - max(started, until))
        until = max(until, end)
    return total


def show(
    task: BackgroundTask[T],
    key: str,
    *,
    status: Callable[[], str] | None = None,
    stop_help: str | None = None,
) -> T | None:
    """Draw a progress bar with a stop button until the task ends; then return its result, or show why it has none.

    key:       of this task alone on the page.
    status:    returns the line above the bar; None: title and progress.
    stop_help: what happens when the task is stopped.
    """
    wait_for_any([task], PATIENCE)
    if not task.over:
        refresh.timed(_progress, TICK)(task, key, status or partial(_status, task), stop_help)
        return None
    if task.stopped:
        st.info(f"**{task.title} stopped** after {task.done:,} of {task.total:,}.", icon=":material/stop:")
    elif task.error is not None:
        st.error(messages.any_card(task.error), icon=":material/error:")
    return task.result


def _progress(task: BackgroundTask[T], key: str, status: Callable[[], str], stop_help: str | None) -> None:
    if task.over:
        refresh.rerun_at_tick()
    stopping = task.stop.is_set()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        share = task.done / task.total if task.total else 0.0
        st.progress(min(share, 1.0), status(), width="stretch")
        st.button(
            "Stopping …" if stopping else "Stop",
            key=f"stop-{key}",
            icon=":material/stop_circle:",
            on_click=task.stop.set,
            disabled=stopping,
            help=stop_help,
        )


def _status(task: BackgroundTask[T]) -> str:
    return f"{task.title}: {task.done:,} of {task.total:,}" if task.total else f"{task.title} ..."
