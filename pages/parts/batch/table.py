"""The table of transform jobs: what ListTransformJobs returns, without a further call per job."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zlib import crc32

import pandas as pd
import streamlit as st

from core.aws.batch import MAX_PAGES, PAGE, TransformList
from core.batch.filters import STATUSES
from core.batch.job import TransformJob
from core.text import duration
from pages.parts import elements, links, state
from pages.parts.batch import slots
from pages.parts.batch.filters import status_label

ROW, HEADER, ROWS = 37, 39, 12
"""Heights in pixels of a row and of the header, and how many rows are visible before the table scrolls."""

COLORS = {"Completed": "green", "Failed": "red", "Stopped": "gray"}


def show(jobs: Sequence[TransformJob], now: datetime) -> None:
    """Draw the table. A click on a name opens that job's page."""
    names = tuple(job.name for job in jobs)
    # Streamlit identifies clicked cells by position, so another order of rows gets another key.
    key = f"batches-{crc32(','.join(names).encode())}"
    clicked = state.clicked_row(f"{key}-open")
    if clicked is not None and clicked < len(names):
        links.open_page(links.BATCH, {state.JOB: names[clicked]})
    column = st.column_config
    elements.dataframe(
        jobs_frame(jobs, now),
        column_config={
            "name": column.ButtonColumn(
                "Job",
                type="tertiary",
                alignment="left",
                pinned=True,
                width=280,
                help="Open the job",
                key=f"{key}-open",
            ),
            "status": column.MultiselectColumn(
                "Status",
                options=[status_label(status) for status in STATUSES],
                color=[COLORS.get(status, "blue") for status in STATUSES],
                width=110,
            ),
            "created": column.DatetimeColumn("Created", format="distance", width=120),
            "duration": column.TextColumn(
                "Duration",
                width=110,
                alignment="right",
                help="From its creation to its end, with the time that instances take to start.",
            ),
            "reason": column.TextColumn("Failure reason", width=420),
        },
        hide_index=True,
        row_height=ROW,
        placeholder="–",
        height=HEADER + ROW * min(len(jobs), ROWS),
        key=key,
        alt="Transform jobs, newest first",
    )


def jobs_frame(jobs: Sequence[TransformJob], now: datetime) -> pd.DataFrame:
    """Return one row per job. now: when the jobs were read, so that a snapshot always gives equal rows."""
    return pd.DataFrame(
        {
            "name": [job.name for job in jobs],
            "status": [[status_label(job.status)] for job in jobs],
            "created": [job.created_at for job in jobs],
            "duration": [
                duration(max(0.0, ((job.ended_at or now) - job.created_at).total_seconds())) for job in jobs
            ],
            "reason": [job.failure_reason or None for job in jobs],
        }
    )


def offer_more(listed: TransformList) -> None:
    """Draw how many jobs are shown, and a button that shows the next hundred, unless these are all."""
    if listed.complete:
        return
    pages = slots.pages()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(f"Showing the newest {len(listed.jobs):,} jobs. Filters search all of them.")
        if pages < MAX_PAGES:
            st.button(f"Show {PAGE} more", type="tertiary", on_click=slots.show_pages, args=(pages + 1,))
