"""The list of training jobs: a row opens its job, ticked rows are compared."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zlib import crc32

import streamlit as st

from core.aws.connection import Connection
from core.aws.training import MAX_PAGES, JobList
from core.errors import CoreError
from core.training.curves import MetricSeries
from core.training.filters import PAGE
from core.training.job import TrainingJob
from pages.parts import cached, elements, formatting, links, messages, state, tables
from pages.parts.shared_cache import PendingError

ROW, HEADER, ROWS = 37, 39, 12
"""Heights in pixels, and how many rows are seen before the table scrolls."""


def show(connection: Connection, jobs: Sequence[TrainingJob], now: datetime) -> None:
    """The table. A click on a name leaves for that job's page."""
    names = tuple(job.name for job in jobs)
    # Streamlit knows ticked rows and clicked cells by their place. So another order of rows is another table.
    key = f"jobs-{crc32(','.join(names).encode())}"
    clicked = state.clicked_row(f"{key}-open")
    if clicked is not None and clicked < len(names):
        st.switch_page(links.TRAINING_JOB, query_params={state.JOB: names[clicked]})
    compared = state.compared_jobs()
    elements.dataframe(
        tables.jobs_frame(jobs, _lines(connection, jobs), cached.prices(connection), now),
        column_config=tables.jobs_columns(key=f"{key}-open"),
        hide_index=True,
        row_height=ROW,
        placeholder="–",
        height=HEADER + ROW * min(len(jobs), ROWS),
        key=key,
        selection_mode="multi-row",
        selection_default={"selection": {"rows": [n for n, name in enumerate(names) if name in compared]}},
        on_select=lambda: _tick(key, names),
        alt="Training jobs, newest first",
    )


def offer_more(found: JobList) -> None:
    """How many there are, and a button for the next hundred."""
    if found.complete:
        return
    total = f" of {found.total:,}" if found.total else ""
    pages = state.job_pages()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(f"The newest {len(found.jobs):,}{total} jobs. Filters look through all of them.")
        if pages < MAX_PAGES:
            st.button(f"Show {PAGE} more", type="tertiary", on_click=state.show_job_pages, args=(pages + 1,))


def _tick(key: str, names: tuple[str, ...]) -> None:
    """Compare what is ticked, and what a link named that this table does not hold."""
    others = [name for name in state.compared_jobs() if name not in names]
    state.compare_jobs([*others, *(names[row] for row in state.ticked_rows(key))])


def _lines(connection: Connection, jobs: Sequence[TrainingJob]) -> dict[str, MetricSeries]:
    """The table stands without its curves, too."""
    try:
        curves = cached.sparklines(connection, jobs)
    except PendingError as pending:
        messages.waiting_line(pending)
        return {}
    except CoreError as error:
        st.caption(f":material/show_chart: {messages.line(error)}")
        return {}
    if curves.failure is not None:
        st.caption(f":material/show_chart: The curves are from {formatting.moment(curves.at)}.")
    return curves.value.found
