"""What keeps a page current: parts that are drawn again while something moves, is pending, or failed.

A page never waits long for AWS (see `pages.parts.shared_cache`). So whatever it shows as pending or failed is read
again by the browser's timer, until it has arrived, whichever of the page's reads that was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.parts import dialogs, messages, shared_cache, state
from pages.parts.shared_cache import Watch

PENDING_TICK, FAILING_TICK = 1.0, 4.0
"""Seconds between two looks at what is pending, and at what failed."""


def page(run: Callable[[], None], name: str) -> None:
    """Run a page. While any of its reads is pending or failed, run it again as soon as that changes.

    name: tells the pages apart; an open dialog stays open while its page runs again.
    """
    with shared_cache.watching() as watch, messages.error_boundary():
        run()
    dialogs.after_page(name)
    if (every := _interval(watch)) is not None:
        st.fragment(_rerun_on_change, run_every=every)(watch)


def live(name: str, draw: Callable[[], float | None], every: Callable[[], float | None]) -> None:
    """Draw a part of the page that refreshes automatically, without the rest of the page.

    name:  tells the parts of all pages apart.
    draw:  draws it, and returns the seconds to the next look; None if nothing will change.
    every: returns the same before it is drawn. What it raises is met again and shown by `draw`,
           which must read all that `every` reads.
    """
    base: float | None = None
    with shared_cache.watching() as watch, suppress(Exception):  # the drawing meets it again, and shows it
        base = every()
    ticking = _soonest(base, _interval(watch), state.refresh_interval(name))
    with _page_run():
        st.fragment(_look, run_every=ticking)(name, draw, base, ticking)


def _look(name: str, draw: Callable[[], float | None], base: float | None, ticking: float | None) -> None:
    """Draw once. Another interval than the running one takes effect with the next run of the page.

    The page's own run is not repeated for it, unless no timer would call here again.
    """
    wished = base
    with shared_cache.watching() as watch, messages.error_boundary():
        wished = draw()
    extra = _interval(watch)
    state.set_refresh_interval(name, extra)
    if _soonest(wished, extra) == ticking:
        return
    if ticking is None:
        if not dialogs.is_open():
            st.rerun()
    elif not _in_page_run.get():
        rerun_at_tick()


_in_page_run: ContextVar[bool] = ContextVar("in_page_run", default=False)


@contextmanager
def _page_run() -> Iterator[None]:
    """Mark what is drawn by the page's own run; its timer draws outside of this."""
    token = _in_page_run.set(True)
    try:
        yield
    finally:
        _in_page_run.reset(token)


def _rerun_on_change(watch: Watch) -> None:
    if watch.changed():
        rerun_at_tick()


def rerun_at_tick() -> None:
    """Run the page again from a part that has a timer; at its next tick, if this run has other parts to draw.

    While a dialog is open, the page is not run: its user may be typing.

    Streamlit draws several parts in one run where their requests arrive together. A rerun ends that run, and with it
    what it was to do for the parts after this one: the click on a button in one of them would be lost.
    """
    if dialogs.is_open():
        return
    context = get_script_run_ctx()
    if context is None or len(context.fragment_ids_this_run or ()) < 2:
        st.rerun()


def _interval(watch: Watch) -> float | None:
    if watch.pending:
        return PENDING_TICK
    return FAILING_TICK if watch.unsettled else None


def _soonest(*intervals: float | None) -> float | None:
    return min((seconds for seconds in intervals if seconds is not None), default=None)
