"""What keeps a page current: parts that are drawn again while something moves, is pending, or failed.

A page never waits long for AWS (see `pages.parts.shared_cache`). So whatever it shows as pending or failed is read
again by the browser's timer, until it has arrived, whichever of the page's reads that was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.scriptrunner_utils.script_run_context import ThreadState

from pages.parts import dialogs, messages, shared_cache, state
from pages.parts.shared_cache import Watch
from pages.parts.state import Slot

P = ParamSpec("P")

PENDING_TICK, FAILING_TICK = 1.0, 4.0
"""Seconds between two looks at what is pending, and at what failed."""


def page(run: Callable[[], None], name: str) -> None:
    """Run a page. While any of its reads is pending or failed, run it again as soon as that changes.

    name: tells the pages apart; an open dialog stays open while its page runs again.
    """
    _WISHED.clear()
    with shared_cache.watching() as watch, messages.error_boundary():
        run()
    dialogs.after_page(name)
    if (every := next_look(watch)) is not None:
        timed(_rerun_on_change, every)(watch)


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
    ticking = _soonest(base, next_look(watch, base), state.refresh_interval(name))
    with _page_run():
        timed(_look, ticking)(name, draw, base, ticking)


def _look(name: str, draw: Callable[[], float | None], base: float | None, ticking: float | None) -> None:
    """Draw once. Another interval than the running one takes effect with the next run of the page.

    The page's own run is not repeated for it, unless no timer would call here again.
    """
    wished = base
    with shared_cache.watching() as watch, messages.error_boundary():
        wished = draw()
    extra = next_look(watch, wished)
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


_WISHED: Slot[bool] = Slot("refresh.wished")
"""Whether a part of the page that was not the last of its run has asked for a run of the page."""


def timed(draw: Callable[P, object], every: float | None) -> Callable[P, object]:
    """Return a part of the page that is drawn again every so many seconds; None: only with the page.

    Each part is made here: the last one of a run fulfills what `rerun_at_tick` was asked for before it.
    """

    @wraps(draw)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        draw(*args, **kwargs)
        if in_part() and _WISHED.get():
            rerun_at_tick()

    part: Callable[P, object] = st.fragment(run, run_every=every)
    return part


def rerun_at_tick() -> None:
    """Run the page again from a part that has a timer; at the end of this run, if it has other parts to draw.

    While a dialog is open, the page is not run: its user may be typing.

    Streamlit draws several parts in one run where their requests arrive together. A rerun ends that run, and with it
    what it was to do for the parts after this one: the click on a button in one of them would be lost. To wait for a
    run of this part alone is no way out: on a busy machine, two timers come together every time.
    """
    if dialogs.is_open():
        return
    parts = _parts_of_run()
    if len(parts) < 2 or ThreadState.get().fragment_id == parts[-1]:
        _WISHED.clear()
        st.rerun()
    _WISHED.set(True)


def in_part() -> bool:
    """Return whether this run draws parts of the page, and not the page."""
    return bool(_parts_of_run())


def _parts_of_run() -> list[str]:
    """Return the ids of the parts that this run draws, in their order; none in a run of the page."""
    context = get_script_run_ctx()
    return (context.fragment_ids_this_run if context is not None else None) or []


def next_look(watch: Watch, base: float | None = None) -> float | None:
    """Return the seconds to the next look at what is pending or failed; None without need.

    base: of the part's own timer. It also shows a newer value, so only a missing one needs a faster timer: another
    interval is another run of the page, and those of 200 viewers kept each other waiting.
    """
    if watch.missing or (watch.pending and base is None):
        return PENDING_TICK
    return FAILING_TICK if watch.failing else None


def _soonest(*intervals: float | None) -> float | None:
    return min((seconds for seconds in intervals if seconds is not None), default=None)
