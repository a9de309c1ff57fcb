"""Parts of a page that run it again: none of them takes a click from another part, and none waits in vain."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pages.parts import refresh
from pages.parts.shared_cache import CachedValue, Watch
from tests.support.apps import app_from_function


def script() -> None:
    """Draw two parts with the page; at its second run, draw both alone, as when their requests arrive together."""
    import streamlit as st
    from streamlit.runtime.scriptrunner import get_script_run_ctx
    from streamlit.runtime.scriptrunner_utils.script_run_context import ThreadState

    from pages.parts import refresh

    state, context = st.session_state, get_script_run_ctx()
    state["runs"] = state.get("runs", 0) + 1

    def part(name: str) -> None:
        state[name] = ThreadState.get().fragment_id
        if get_script_run_ctx().fragment_ids_this_run:
            state["drawn"] = state.get("drawn", "") + name
            if state["asked"][name]:
                refresh.rerun_at_tick()

    if state["runs"] == 2:
        context.fragment_ids_this_run = [state[name] for name in state["asked"]]
        for name in state["asked"]:
            with ThreadState.scoped(fragment_id=None):
                context.fragment_storage.lookup(state[name])()
        context.fragment_ids_this_run = None
    for name in "AB":
        with st.container():
            refresh.timed(part, None)(name)
    st.button("Go")


@pytest.mark.parametrize(
    ("asked", "runs"),
    [
        ({"A": True}, 3),
        ({"A": True, "B": False}, 3),
        ({"A": False, "B": True}, 3),
        ({"A": True, "B": True}, 3),
        ({"A": False, "B": False}, 2),
    ],
)
def test_a_page_that_has_changed_runs_again_after_all_parts_of_a_run(
    asked: dict[str, bool], runs: int
) -> None:
    """Whichever part has asked for it, the others are drawn first: a click on a button in one of them is not lost."""
    app = app_from_function(script, default_timeout=60).run()
    app.session_state["asked"] = asked
    app.button[0].click().run()
    assert app.session_state["runs"] == runs
    assert app.session_state["drawn"] == "".join(asked)


@pytest.fixture
def reading() -> Iterator[tuple[CachedValue[int], threading.Event]]:
    """Yield a value that was read once, and an event for which each further read waits."""
    first, arrived = threading.Event(), threading.Event()

    def load() -> int:
        if not first.is_set():
            first.set()
            return 1
        arrived.wait(60)
        return 2

    value = CachedValue(load, 0.0, "the jobs", patience=60)
    assert value.read().value == 1
    yield value, arrived
    arrived.set()


def test_a_newer_value_needs_no_faster_timer(reading: tuple[CachedValue[int], threading.Event]) -> None:
    """While a newer value is read, a part with a timer keeps it; one without looks again soon."""
    value, _ = reading
    value.start()
    watch = Watch()
    result, state = value.look(waited=60)
    watch.note(value, result, state)
    assert (watch.pending, watch.missing, watch.failing) == (True, False, False)
    assert refresh.next_look(watch, base=5.0) is None
    assert refresh.next_look(watch) == refresh.PENDING_TICK


def test_a_missing_value_is_looked_for_soon() -> None:
    """A value that has never arrived, or one that failed, is read again soon, whatever the part's own timer."""
    never = threading.Event()
    pending: CachedValue[object] = CachedValue(never.wait, 15.0, "the jobs", patience=0)
    failing: CachedValue[object] = CachedValue(lambda: 1 // 0, 15.0, "the jobs", patience=60)
    for value, tick in ((pending, refresh.PENDING_TICK), (failing, refresh.FAILING_TICK)):
        watch = Watch()
        watch.note(value, *value.look())
        assert refresh.next_look(watch, base=5.0) == tick
    never.set()


def test_a_settled_part_keeps_its_timer() -> None:
    """What has arrived needs no timer beyond the part's own."""
    value = CachedValue(lambda: 1, 15.0, "the jobs", patience=60)
    watch = Watch()
    watch.note(value, *value.look())
    assert refresh.next_look(watch) is None
