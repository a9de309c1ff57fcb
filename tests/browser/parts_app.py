"""Pages that each show one part of the dashboard's pages, on one server: see `parts` in conftest.py."""

from __future__ import annotations

import time

import streamlit as st

from pages.parts import cards, links


def four_cards() -> None:
    """Draw four metric cards."""
    st.set_page_config(layout="wide")
    left, right = cards.four_cards()
    for number, column in enumerate((left, left, right, right)):
        column.metric("Idle cost per month", f"{number}", "$12,901.73 per year", border=True)


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
PAGES = [
    st.Page(four_cards, title="Cards", default=True),
    st.Page(first, title="First", url_path="first"),
    SECOND,
    st.Page("text_app.py", title="Text", url_path="text"),
    st.Page("viewer_app.py", title="Viewer", url_path="viewer"),
]
st.navigation(PAGES, position="hidden").run()
