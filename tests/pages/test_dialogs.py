"""Dialogs over pages that refresh automatically."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from tests.support.apps import app_from_function
from tests.support.dashboard import button


def app_with_dialog() -> AppTest:
    """A page whose button opens a dialog, under the name in the session's `page`."""

    def script() -> None:
        import streamlit as st

        from pages.parts import dialogs, refresh

        def body() -> None:
            st.text_input("Name", key="typed")
            if st.button("Cancel"):
                dialogs.close()
                st.rerun()

        def page() -> None:
            if st.button("Open"):
                dialogs.show("Sure?", body)

        shown = st.navigation([st.Page(page)])
        refresh.page(shown.run, st.session_state.get("page", ""))

    return app_from_function(script, default_timeout=60).run()


def test_a_dialog_survives_a_run_of_its_page() -> None:
    """A dialog stays open, with what was typed, when its page runs again without its button."""
    app = app_with_dialog()
    button(app, "Open").click().run()
    app.text_input(key="typed").set_value("coast").run()
    app.run()
    assert app.text_input(key="typed").value == "coast"


def test_a_closed_dialog_stays_closed() -> None:
    """After Cancel no run of the page shows the dialog again."""
    app = app_with_dialog()
    button(app, "Open").click().run()
    button(app, "Cancel").click().run()
    assert not app.text_input
    assert not app.run().text_input


def test_another_page_has_no_dialog_of_the_last_one() -> None:
    """A dialog is dropped when another page is shown, and does not return with its own page."""
    app = app_with_dialog()
    button(app, "Open").click().run()
    app.session_state["page"] = "endpoints"
    assert not app.run().text_input
    app.session_state["page"] = ""
    assert not app.run().text_input


def test_a_page_does_not_run_by_itself_under_a_dialog() -> None:
    """New data runs the page again only while no dialog is open: its user may be typing."""

    def script() -> None:
        import streamlit as st

        from pages.parts import refresh

        def page() -> None:
            st.session_state["runs"] += 1
            if st.session_state["runs"] < 4:
                refresh.rerun_at_tick()

        refresh.page(page, "")

    app = app_from_function(script, default_timeout=60)
    app.session_state["runs"] = 0
    app.run()
    assert app.session_state["runs"] == 4

    def with_dialog() -> None:
        import streamlit as st

        from pages.parts import dialogs, refresh

        def page() -> None:
            st.session_state["runs"] += 1
            dialogs.ask("Sure?", lambda: None)
            refresh.rerun_at_tick()

        refresh.page(page, "")

    app = app_from_function(with_dialog, default_timeout=60)
    app.session_state["runs"] = 0
    app.run()
    assert app.session_state["runs"] == 1
