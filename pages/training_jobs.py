"""The training jobs page: all jobs with their progress and cost, and a side-by-side comparison of several."""

from __future__ import annotations

import streamlit as st

from core.aws.connection import Connection
from core.aws.training import JobList
from core.training.filters import JobFilter
from pages.parts import backend, cached, formatting, links, messages, refresh, state
from pages.parts.jobs import comparison, filters, slots, table
from pages.parts.shared_cache import PendingError, Snapshot

METRICS_HEIGHT = 100  # of the metrics row, in pixels
REFRESH = 5  # seconds between two refreshes while a job is running


def main() -> None:
    """Draw the title, and below it the list of jobs, which refreshes automatically while a job is running."""
    connection = backend.connection()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.title("Training jobs", width="stretch")
        st.button("Refresh", icon=":material/refresh:", type="tertiary", on_click=state.request_retry)
        links.page_link(links.LAUNCH_TRAINING, label="Launch a job", icon=":material/rocket_launch:")
    refresh.live(
        "training jobs",
        lambda: _list(connection),
        lambda: _interval(cached.jobs(connection, filters.from_url(), slots.pages())),
    )


def _interval(snapshot: Snapshot[JobList]) -> float | None:
    return REFRESH if any(job.running for job in snapshot.value.jobs) else None


def _list(connection: Connection) -> float | None:
    table.open_clicked()
    above = st.container()
    job_filter = filters.draw()
    try:
        snapshot = cached.jobs(connection, job_filter, slots.pages())
    except PendingError:
        above.skeleton(height=METRICS_HEIGHT)  # keeps the filters in their place when the metrics arrive
        raise
    _freshness(snapshot)
    if snapshot.value.jobs:
        table.show(connection, snapshot.value.jobs, snapshot.at)
        table.offer_more(snapshot.value)
    else:
        _empty_state(job_filter)
    with above, messages.error_boundary("figures"):
        table.metrics_row(connection, job_filter)
    comparison.show(connection, snapshot.value.jobs, snapshot.at)
    return _interval(snapshot)


def _freshness(snapshot: Snapshot[JobList]) -> None:
    """Draw when the table was updated; where AWS fails, why it is not newer."""
    at = formatting.moment(snapshot.at)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        filters.all_algorithms_toggle()
        st.caption(f"Updated {at}")
    if snapshot.failure is not None:
        st.warning(f"Last updated **{at}**. {messages.card(snapshot.failure)}", icon=":material/history:")
    for note in snapshot.value.notes:
        st.caption(f":material/info: {messages.plain(note)}")


def _empty_state(job_filter: JobFilter) -> None:
    if not filters.is_default(job_filter):
        st.info("**No jobs match these filters.**", icon=":material/filter_alt:")
        st.button("Clear filters", icon=":material/filter_alt_off:", on_click=filters.clear)
        return
    with st.container(border=True):
        st.markdown("**No training jobs yet.**")
        st.caption(
            "To launch one, you need images and masks in S3 and an IAM role. The form checks all of them and "
            "shows the price before anything starts."
        )
        links.page_link(links.LAUNCH_TRAINING, label="Launch your first job", icon=":material/rocket_launch:")


main()
