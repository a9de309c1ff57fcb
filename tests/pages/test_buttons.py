"""Buttons whose click outlives the run that it starts."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from tests.support.apps import app_from_function


def app_with_button() -> AppTest:
    """A page whose button comes after a check that is pending while the session says so."""

    def script() -> None:
        import streamlit as st

        from pages.parts import buttons

        st.session_state.setdefault("clicks", 0)
        if st.session_state.get("pending"):
            st.stop()
        disabled = st.session_state.get("disabled", False)
        st.session_state["clicks"] += buttons.button("Review", key="review", disabled=disabled)

    return app_from_function(script).run()


def test_a_click_is_kept_while_a_check_above_the_button_is_pending() -> None:
    """A click whose run does not draw the button acts in the next run that does, and once."""
    app = app_with_button()
    app.session_state["pending"] = True
    review = app.button[0].click()
    app.run()
    assert not app.button
    app.session_state["pending"] = False
    assert review.label == app.run().button[0].label
    assert app.session_state["clicks"] == 1
    assert app.run().session_state["clicks"] == 1


def test_a_disabled_button_drops_its_click() -> None:
    """Where the check finds that the button must not be clicked, the click is dropped."""
    app = app_with_button()
    app.session_state["disabled"] = True
    app.button[0].click().run()
    app.session_state["disabled"] = False
    assert app.run().session_state["clicks"] == 0
