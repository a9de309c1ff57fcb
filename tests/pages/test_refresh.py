"""Parts of a page that run it again: none of them takes a click from another part."""

from __future__ import annotations

import pytest

from tests.support.apps import app_from_function


def script() -> None:
    """Run a timer whose page has changed in the session's parts, and after it a button."""
    import streamlit as st
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    from pages.parts import refresh

    runs = st.session_state["runs"] = st.session_state.get("runs", 0) + 1
    parts = st.session_state.get("parts")
    if parts and runs == 2:  # the page has changed since its first run
        context = get_script_run_ctx()
        context.fragment_ids_this_run = parts
        refresh.rerun_at_tick()
        context.fragment_ids_this_run = None
    st.session_state["clicks"] = st.session_state.get("clicks", 0) + st.button("Stop")


@pytest.mark.parametrize(("parts", "runs", "clicks"), [(["timer"], 3, 0), (["timer", "part"], 2, 1)])
def test_a_timer_takes_no_click_from_a_part_that_is_drawn_after_it(
    parts: list[str], runs: int, clicks: int
) -> None:
    """A timer runs the page again at once if it is alone in its run, else at its next tick: a rerun drops clicks."""
    app = app_from_function(script, default_timeout=30).run()
    app.session_state["parts"] = parts
    app.button[0].click().run()
    assert app.session_state["runs"] == runs
    assert app.session_state["clicks"] == clicks
