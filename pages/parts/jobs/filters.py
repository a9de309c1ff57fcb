"""The filters above the list of training jobs. They are in the URL, so that a copied link shows the same jobs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

import streamlit as st

from core.training.filters import STATUSES, JobFilter
from core.training.job import STATUS_WORDS
from pages.parts import links, messages, state
from pages.parts.jobs import slots

NAMES = ("status", "text", "from", "to", "all", "sort", "desc")
"""URL parameters; `JobFilter.from_query` parses them."""

STATUS, TEXT, CREATED, ALL = "jobs_status", "jobs_text", "jobs_created", "jobs_all"
"""Keys of the widgets."""


def from_url() -> JobFilter:
    """Return the filter that the URL describes."""
    return JobFilter.from_query(state.query(NAMES))


def draw() -> JobFilter:
    """Draw the row of filters and return the current one. The URL takes precedence over the widgets' old values."""
    job_filter = from_url()
    slots.keep_view(NAMES)
    _set_widgets(job_filter)
    with st.container(horizontal=True, vertical_alignment="top", gap="small"):
        st.pills(
            "Status",
            STATUSES,
            selection_mode="multi",
            format_func=_status_label,
            key=STATUS,
            on_change=_apply,
        )
        st.text_input(
            "Name contains", max_chars=63, key=TEXT, on_change=_apply, icon=":material/search:", width=190
        )
        st.date_input("Created (UTC)", key=CREATED, on_change=_apply, format="YYYY-MM-DD", width=215)
    for note in job_filter.notes:
        st.caption(f":material/info: {messages.plain(note)}")
    return job_filter


def all_algorithms_toggle() -> None:
    """Draw the switch that also lists jobs of other algorithms."""
    st.toggle(
        "All algorithms",
        key=ALL,
        on_change=_apply,
        help="Off: only jobs of the built-in semantic segmentation algorithm, identified by their container image.",
    )


def back_link() -> None:
    """Draw the link back to the list, with the filters it had."""
    links.page_link(
        links.TRAINING_JOBS,
        label="Training jobs",
        icon=":material/arrow_back:",
        query_params=slots.view(),
    )


def is_default(job_filter: JobFilter) -> bool:
    """Return whether no filter is set: neither status, name nor dates."""
    return not {"status", "text", "from", "to"} & set(job_filter.to_query())


def clear() -> None:
    """Remove all filters from the URL."""
    state.set_query(dict.fromkeys(NAMES, ""))


def _set_widgets(job_filter: JobFilter) -> None:
    days = [at.date() for at in (job_filter.created_from, job_filter.created_to) if at is not None]
    values = {
        STATUS: list(job_filter.statuses),
        TEXT: job_filter.text,
        CREATED: tuple(days),
        ALL: not job_filter.only_segmentation,
    }
    for key, value in values.items():
        if state.chosen(key) != value:  # setting an equal value would discard what the user is typing
            state.choose(key, value)


def _apply() -> None:
    """Write the widgets' values to the URL."""
    slots.show_pages(1)
    state.set_query(
        {
            "status": ",".join(state.chosen(STATUS) or ()),
            "text": (state.chosen(TEXT) or "").strip(),
            "all": "1" if state.chosen(ALL) else "",
            **_days(state.chosen(CREATED) or ()),
        }
    )


def _days(days: tuple[date | datetime, ...]) -> Mapping[str, str]:
    """Return the URL parameters of a date range. The date picker returns no day, the first day alone, or both."""
    first, last = ([day.isoformat() for day in days] + ["", ""])[:2]
    return {"from": first, "to": last}


def _status_label(status: str) -> str:
    return STATUS_WORDS.get(status, status).capitalize()
