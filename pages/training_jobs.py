"""The training jobs: which there are, how far they are, what they cost, and several of them side by side."""

from __future__ import annotations

import streamlit as st

from core.aws.connection import Connection
from core.aws.training import JobList
from core.training.filters import JobFilter
from pages.parts import backend, cached, formatting, links, messages, refresh, state
from pages.parts.jobs import comparison, filters, slots, table
from pages.parts.shared_cache import PendingError, Snapshot

FIGURES = 100
"""Height of the row of figures in pixels."""

TICK = 5  # seconds between two looks, while something may change


def main() -> None:
    """The title, and below it the board, which looks again by itself while anything runs."""
    connection = backend.connection()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.title("Training jobs", width="stretch")
        st.button("Refresh", icon=":material/refresh:", type="tertiary", on_click=state.ask_retry)
        st.page_link(links.LAUNCH_TRAINING, label="Launch a job", icon=":material/rocket_launch:")
    refresh.live(
        "training jobs",
        lambda: _board(connection),
        lambda: _tick(cached.jobs(connection, filters.wanted(), slots.pages())),
    )


def _tick(reading: Snapshot[JobList]) -> float | None:
    return TICK if any(job.running for job in reading.value.jobs) else None


def _board(connection: Connection) -> float | None:
    above = st.container()
    wanted = filters.ask()
    try:
        reading = cached.jobs(connection, wanted, slots.pages())
    except PendingError:
        above.skeleton(height=FIGURES)  # keeps the filters in their place when the figures arrive
        raise
    _say_age(reading)
    if reading.value.jobs:
        table.show(connection, reading.value.jobs, reading.at)
        table.offer_more(reading.value)
    else:
        _nothing(wanted)
    with above, messages.error_door("figures"):
        table.metrics_row(connection, wanted)
    comparison.show(connection, reading.value.jobs, reading.at)
    return _tick(reading)


def _say_age(reading: Snapshot[JobList]) -> None:
    """How old the table is; where AWS fails, why it is no newer."""
    at = formatting.moment(reading.at)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        filters.ask_for_all()
        st.caption(f"Data from {at}")
    if reading.failure is not None:
        st.warning(f"This is from **{at}**. {messages.card(reading.failure)}", icon=":material/history:")


def _nothing(wanted: JobFilter) -> None:
    if not filters.is_usual(wanted):
        st.info("**No job fits these filters.**", icon=":material/filter_alt:")
        st.button("Clear the filters", icon=":material/filter_alt_off:", on_click=filters.clear)
        return
    with st.container(border=True):
        st.markdown("**No training job yet.**")
        st.caption(
            "Launching one takes photographs and masks in S3 and a role. The form checks all of it, and tells the "
            "price, before anything starts."
        )
        st.page_link(links.LAUNCH_TRAINING, label="Launch the first job", icon=":material/rocket_launch:")


main()
