"""Two pages: a timer of the first fires often, and the second takes a while to draw."""

from __future__ import annotations

import time

import streamlit as st

from pages.parts import links


def first() -> None:
    """Draw a button in a part of the page that is drawn again several times a second."""
    st.title("First")

    @st.fragment(run_every=0.2)
    def ticking() -> None:
        st.text(time.time())
        if st.button("Open"):
            links.open_page(SECOND, {"job": "a"})  # type: ignore[arg-type]

    ticking()


def second() -> None:
    """Draw a page slowly, and a part of it that is drawn again as the first page's is."""
    st.title("Second")
    time.sleep(1)
    st.text("drawn")

    @st.fragment(run_every=0.3)
    def ticking() -> None:
        ticks = st.session_state["ticks"] = st.session_state.get("ticks", 0) + 1
        st.text(f"tick {ticks} of 3" if ticks < 3 else "ticks go on")

    ticking()


SECOND = st.Page(second, title="Second", url_path="second")
st.navigation([st.Page(first, title="First", url_path="first", default=True), SECOND]).run()
