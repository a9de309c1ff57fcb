"""The filters above the list of transform jobs. They are in the URL, so that a copied link shows the same jobs."""

from __future__ import annotations

import streamlit as st

from core.batch.filters import STATUSES, BatchFilter
from core.batch.job import STATUS_WORDS
from pages.parts import links, messages, state
from pages.parts.batch import slots

NAMES = ("status", "text")
"""URL parameters; `BatchFilter.from_query` parses them."""

STATUS, TEXT = "batch_status", "batch_text"
"""Keys of the widgets."""


def from_url() -> BatchFilter:
    """Return the filter that the URL describes."""
    return BatchFilter.from_query(state.query(NAMES))


def draw() -> BatchFilter:
    """Draw the row of filters and return the current one. The URL takes precedence over the widgets' old values."""
    wanted = from_url()
    slots.keep_view(NAMES)
    for key, value in ((STATUS, wanted.status or None), (TEXT, wanted.text)):
        if state.chosen(key) != value:  # setting an equal value would discard what the user is typing
            state.choose(key, value)
    with st.container(horizontal=True, vertical_alignment="top", gap="small"):
        st.pills("Status", STATUSES, format_func=status_label, key=STATUS, on_change=_apply)
        st.text_input(
            "Name contains", max_chars=63, key=TEXT, on_change=_apply, icon=":material/search:", width=190
        )
    for note in wanted.notes:
        st.caption(f":material/info: {messages.plain(note)}")
    return wanted


def back_link() -> None:
    """Draw the link back to the list, with the filters it had."""
    links.page_link(
        links.BATCHES, label="Batch transform", icon=":material/arrow_back:", query_params=slots.view()
    )


def clear() -> None:
    """Remove all filters from the URL."""
    state.set_query(dict.fromkeys(NAMES, ""))


def status_label(status: str) -> str:
    """Return a status in a word or two, such as "Running"."""
    words = STATUS_WORDS.get(status, status)
    return words.removeprefix("is ").removeprefix("has ").removeprefix("was ").capitalize()


def _apply() -> None:
    """Write the widgets' values to the URL."""
    slots.show_pages(1)
    state.set_query({"status": state.chosen(STATUS) or "", "text": (state.chosen(TEXT) or "").strip()})
