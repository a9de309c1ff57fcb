"""The list of transform jobs: masks of thousands of images, made by SageMaker."""

from __future__ import annotations

import streamlit as st

from core.aws.batch import TransformList
from core.aws.connection import Connection
from core.batch.filters import BatchFilter
from pages.parts import backend, formatting, links, messages, refresh, state
from pages.parts.batch import data, filters, slots, table
from pages.parts.shared_cache import Snapshot

REFRESH = 5  # seconds between two refreshes while a job is running


def main() -> None:
    """Draw the title, and below it the list of jobs, which refreshes automatically while a job is running."""
    connection = backend.connection()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.title("Batch transform", width="stretch")
        st.button("Refresh", icon=":material/refresh:", type="tertiary", on_click=state.request_retry)
        links.page_link(links.LAUNCH_BATCH, label="Start a batch", icon=":material/rocket_launch:")
    refresh.live(
        "transform jobs",
        lambda: _list(connection),
        lambda: _interval(data.jobs(connection, filters.from_url(), slots.pages())),
    )


def _interval(snapshot: Snapshot[TransformList]) -> float | None:
    return REFRESH if any(job.running for job in snapshot.value.jobs) else None


def _list(connection: Connection) -> float | None:
    wanted = filters.draw()
    snapshot = data.jobs(connection, wanted, slots.pages())
    at = formatting.moment(snapshot.at)
    if snapshot.failure is not None:
        st.warning(f"Last updated **{at}**. {messages.card(snapshot.failure)}", icon=":material/history:")
    else:
        st.caption(f"Updated {at}")
    if snapshot.value.jobs:
        table.show(snapshot.value.jobs, snapshot.at)
        table.offer_more(snapshot.value)
    else:
        _empty_state(wanted)
    return _interval(snapshot)


def _empty_state(wanted: BatchFilter) -> None:
    if wanted.to_query():
        st.info("**No jobs match these filters.**", icon=":material/filter_alt:")
        st.button("Clear filters", icon=":material/filter_alt_off:", on_click=filters.clear)
        return
    with st.container(border=True):
        st.markdown("**No batches yet.**")
        st.caption(
            "A batch transform job segments every image below an S3 prefix: SageMaker starts instances, writes a "
            "mask for each image to S3, and stops the instances. The form checks the images and shows the expected "
            "price before anything starts."
        )
        links.page_link(links.LAUNCH_BATCH, label="Start your first batch", icon=":material/rocket_launch:")


main()
