"""The row of filters over the training jobs. The address holds them, so that a copied link shows the same jobs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

import streamlit as st

from core.training.filters import STATUSES, JobFilter
from core.training.job import STATUS_WORDS
from pages.parts import links, messages, state
from pages.parts.jobs import slots

NAMES = ("status", "text", "from", "to", "all", "sort", "desc")
"""Names in the address; `JobFilter` knows what they mean."""

STATUS, TEXT, CREATED, ALL = "jobs_status", "jobs_text", "jobs_created", "jobs_all"
"""Keys of the widgets."""


def wanted() -> JobFilter:
    """What the address asks for."""
    return JobFilter.from_query(state.query(NAMES))


def ask() -> JobFilter:
    """Draw the row and tell what it asks for. What stands in the address beats what the widgets held before."""
    asked = wanted()
    slots.keep_view(NAMES)
    _set_widgets(asked)
    with st.container(horizontal=True, vertical_alignment="top", gap="small"):
        st.pills(
            "Status", STATUSES, selection_mode="multi", format_func=_in_words, key=STATUS, on_change=_apply
        )
        st.text_input(
            "Name contains", max_chars=63, key=TEXT, on_change=_apply, icon=":material/search:", width=190
        )
        st.date_input("Created (UTC)", key=CREATED, on_change=_apply, format="YYYY-MM-DD", width=215)
    for note in asked.notes:
        st.caption(f":material/info: {messages.plain(note)}")
    return asked


def ask_for_all() -> None:
    """The switch that lists other algorithms' jobs too."""
    st.toggle(
        "All algorithms",
        key=ALL,
        on_change=_apply,
        help="Off: jobs of the built-in semantic segmentation algorithm alone, by their container image.",
    )


def way_back() -> None:
    """The link to the list, as it was left."""
    st.page_link(
        links.TRAINING_JOBS,
        label="Training jobs",
        icon=":material/arrow_back:",
        query_params=slots.view(),
    )


def is_usual(asked: JobFilter) -> bool:
    """Whether nothing is filtered beyond what the page does by itself."""
    return not {"status", "text", "from", "to"} & set(asked.to_query())


def clear() -> None:
    """Show all jobs of this algorithm again."""
    state.set_query(dict.fromkeys(NAMES, ""))


def _set_widgets(asked: JobFilter) -> None:
    ends = [at.date() for at in (asked.created_from, asked.created_to) if at is not None]
    values = {
        STATUS: list(asked.statuses),
        TEXT: asked.text,
        CREATED: tuple(ends),
        ALL: not asked.only_segmentation,
    }
    for key, value in values.items():
        if state.chosen(key) != value:  # setting it needlessly would take away what is being typed
            state.choose(key, value)


def _apply() -> None:
    """Write what the widgets hold into the address."""
    slots.show_pages(1)
    state.set_query(
        {
            "status": ",".join(state.chosen(STATUS) or ()),
            "text": (state.chosen(TEXT) or "").strip(),
            "all": "1" if state.chosen(ALL) else "",
            **_days(state.chosen(CREATED) or ()),
        }
    )


def _days(ends: tuple[date | datetime, ...]) -> Mapping[str, str]:
    """A range as the date picker has it: nothing, its first day, or both."""
    first, last = ([end.isoformat() for end in ends] + ["", ""])[:2]
    return {"from": first, "to": last}


def _in_words(status: str) -> str:
    return STATUS_WORDS.get(status, status).capitalize()
