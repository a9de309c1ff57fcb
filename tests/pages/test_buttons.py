"""Buttons whose click outlives the run that it starts, and never acts on anything but what was clicked."""

from __future__ import annotations

import time

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
        selection = st.session_state.get("selection", "first")
        st.session_state["clicks"] += buttons.button(
            "Review", key="review", acts_on=selection, disabled=disabled
        )

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


def test_a_click_on_one_selection_never_acts_on_another() -> None:
    """A kept click is dropped if the button acts on another selection when it is drawn again, and does not return."""
    app = app_with_button()
    app.session_state["pending"] = True
    app.button[0].click()
    app.run()
    app.session_state["pending"], app.session_state["selection"] = False, "second"
    assert app.run().session_state["clicks"] == 0
    app.session_state["selection"] = "first"
    assert app.run().session_state["clicks"] == 0


def test_a_button_that_acts_on_something_else_stays_the_same_widget() -> None:
    """What a button acts on is not part of its identity, which would take the focus from it."""
    app = app_with_button()
    first = app.button[0].proto.id
    app.session_state["selection"] = "second"
    app.run()
    assert app.button[0].proto.id == first
    app.button[0].click()
    assert app.run().session_state["clicks"] == 1


def app_with_kept_click(seconds_ago: float) -> AppTest:
    """A page on which a row was clicked that many seconds ago."""

    def script(at: float) -> None:
        import streamlit as st

        from pages.parts.buttons import KeptClick, _Click
        from pages.parts.state import Slot

        Slot("list.clicked").set(_Click("coast-1", at))
        st.session_state["opened"] = KeptClick("list.clicked").pop()

    return app_from_function(script, args=(time.monotonic() - seconds_ago,)).run()


def test_a_kept_click_on_a_row_expires() -> None:
    """A row that was clicked opens once, unless the user comes back to the list much later."""
    assert app_with_kept_click(1).session_state["opened"] == "coast-1"
    assert app_with_kept_click(31).session_state["opened"] is None
