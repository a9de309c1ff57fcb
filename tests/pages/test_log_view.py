"""The controls above a log."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from tests.support.apps import app_from_function
from tests.support.dashboard import button, plain_texts


def log_app() -> AppTest:
    """A page with the log that the session names, whose first line is an error."""

    def script() -> None:
        from datetime import UTC, datetime

        import streamlit as st

        from core.training.log_lines import LogEvent
        from pages.parts import log_view

        at = datetime(2026, 1, 1, tzinfo=UTC)
        events = tuple(LogEvent(at, f"line {number}") for number in range(log_view.SHOWN + 100))
        log = log_view.JobLog(events, has_log=True, error=0)
        name, stream = st.session_state.get("log", ("road-1", "algo-1"))
        log_view.show(name, log, "No log.", stream=stream)

    return app_from_function(script).run()


def test_a_jump_acts_on_the_log_that_it_was_made_in() -> None:
    """After a jump to an error, another job's log, and another stream of the same job, are shown at their end."""
    app = log_app()
    button(app, "Jump to first error").click().run()
    assert "Lines 1 to" in plain_texts(app)
    for log in (("road-2", "algo-1"), ("road-1", "algo-2")):
        app.session_state["log"] = log
        assert "Lines 1 to" not in plain_texts(app.run())
    app.session_state["log"] = ("road-1", "algo-1")
    assert "Lines 1 to" in plain_texts(app.run())
