"""Parts of a page that run it again: none of them takes a click from another part, and none waits in vain."""

from __future__ import annotations

import pytest

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
