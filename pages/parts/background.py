"""Work that takes a while, in a thread of its own: how far it is, what came of it, and a button that ends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Generic, TypeVar

import streamlit as st

from pages.parts import messages

T = TypeVar("T")
OnCount = Callable[[int, int], None]

TICK = 0.5
"""Seconds between two looks."""

WATCH = 0.3
"""Seconds of the first look that wait for work which is over at once."""


class CancelledError(Exception):
    """Raised in the work's own thread once its visitor wants no more of it."""


@dataclass(eq=False)
class BackgroundTask(Generic[T]):
    """Something under way. Written by its thread, read by the page.

    title:       what is done, such as "Checking".
    done, total: how far it is; total is 0 before that is known.
    result:      None until it is over, and where it failed.
    """

    title: str
    done: int = 0
    total: int = 0
    result: T | None = None
    error: BaseException | None = None
    stop: Event = field(default_factory=Event)
    over: Event = field(default_factory=Event)

    def tell(self, done: int, total: int) -> None:
        """How far it is; ends it where that is wanted. The work calls this."""
        if self.stop.is_set():
            raise CancelledError
        self.done, self.total = done, total

    @property
    def cancelled(self) -> bool:
        """Whether it was ended before its end."""
        return isinstance(self.error, CancelledError)


def start(title: str, work: Callable[[OnCount], T]) -> BackgroundTask[T]:
    """Begin, in a daemon thread: the dashboard can be stopped meanwhile."""
    task: BackgroundTask[T] = BackgroundTask(title)
    Thread(target=_run, args=(task, work), daemon=True, name=title).start()
    return task


def _run(task: BackgroundTask[T], work: Callable[[OnCount], T]) -> None:
    try:
        task.result = work(task.tell)
    except BaseException as error:  # noqa: BLE001  # told by the page, which reads it
        task.error = error
    finally:
        task.over.set()


def show(task: BackgroundTask[T], key: str) -> T | None:
    """A bar while it is under way; then what came of it, or why nothing did."""
    task.over.wait(WATCH)
    if not task.over.is_set():
        st.fragment(_look, run_every=TICK)(task, key)
        return None
    if task.cancelled:
        st.info(f"**{task.title} was ended** after {task.done:,} of {task.total:,}.", icon=":material/stop:")
    elif task.error is not None:
        st.error(messages.any_card(task.error), icon=":material/error:")
    return task.result


def _look(task: BackgroundTask[T], key: str) -> None:
    if task.over.is_set():
        st.rerun()
    share = task.done / task.total if task.total else 0.0
    said = f"{task.title}: {task.done:,} of {task.total:,}" if task.total else f"{task.title} ..."
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(min(share, 1.0), said)
        st.button("End it", key=f"end-{key}", icon=":material/stop:", on_click=task.stop.set)
