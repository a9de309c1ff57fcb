"""Two to six training jobs side by side: their curves, what they reached, and where their settings differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import streamlit as st

from core.aws.connection import Connection
from core.errors import CoreError
from core.training.curves import LOSS, MIOU, MetricSeries, named
from core.training.job import TrainingJob
from pages.parts import cached, charts, elements, messages
from pages.parts.jobs import slots, table
from pages.parts.shared_cache import PendingError

MOST = 6
"""More curves than these nobody can tell apart."""

EVERYTHING = "compare_everything"


def show(connection: Connection, jobs: Sequence[TrainingJob], now: datetime) -> None:
    """The comparison of the jobs that the address names; where it names none, how to name them."""
    names = slots.compared()
    if not names:
        if len(jobs) > 1:
            st.caption(f"Tick 2 to {MOST} jobs to compare them.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Comparison", width="stretch")
        st.button("Clear", icon=":material/close:", type="tertiary", key="compare_clear", on_click=_clear)
    chosen = _jobs(connection, names[:MOST], jobs)
    if len(names) > MOST:
        st.caption(f"The first {MOST} of {len(names)} are shown.")
    if len(chosen) < 2:
        st.caption("Tick a second job to compare.")
        return
    found = _curves(connection, chosen)
    _reached(connection, chosen, found, now)
    _charts(chosen, found)
    _settings(chosen)


def _jobs(connection: Connection, names: Sequence[str], listed: Sequence[TrainingJob]) -> list[TrainingJob]:
    """Those in the table as they stand there; a link may name others."""
    by_name = {job.name: job for job in listed}
    found = []
    for name in names:
        try:
            found.append(by_name.get(name) or cached.training_job(connection, name).value)
        except PendingError as pending:
            messages.waiting_line(pending)
        except CoreError as error:
            st.caption(f":material/error: {messages.line(error)}")
    return found


def _curves(connection: Connection, jobs: Sequence[TrainingJob]) -> Mapping[str, Sequence[MetricSeries]]:
    try:
        reading = cached.curves(connection, jobs)
    except PendingError as pending:
        messages.waiting(pending)
        return {}
    except CoreError as error:
        st.warning(messages.card(error), icon=":material/show_chart:")
        return {}
    if reading.failure is not None:
        st.caption(f":material/history: Curves from before. {messages.line(reading.failure)}")
    for note in reading.value.notes:
        st.caption(f":material/show_chart: {messages.plain(note)}")
    return reading.value.found


def _charts(jobs: Sequence[TrainingJob], found: Mapping[str, Sequence[MetricSeries]]) -> None:
    left, right = st.columns(2, gap="medium")
    with left:
        _chart(jobs, found, MIOU, "Validation mIOU")
    with right:
        _chart(jobs, found, LOSS, "Training loss", lowest=True)


def _chart(
    jobs: Sequence[TrainingJob],
    found: Mapping[str, Sequence[MetricSeries]],
    metric: str,
    title: str,
    *,
    lowest: bool = False,
) -> None:
    """Jobs without this metric keep their colour, and a place in the legend."""
    several = {job.name: series for job in jobs if (series := named(found.get(job.name, ()), metric))}
    if not several:
        st.caption(f"{title}: no values yet.")
        return
    chart = charts.overlay(several, title, [job.name for job in jobs], lowest=lowest)
    st.altair_chart(chart, key=f"compare-{metric}", alt=f"{title} by epoch of {len(several)} training jobs")


def _reached(
    connection: Connection,
    jobs: Sequence[TrainingJob],
    found: Mapping[str, Sequence[MetricSeries]],
    now: datetime,
) -> None:
    """What each came to; its first column says which colour is whose in the charts."""
    frame = table.best_frame(jobs, found, cached.prices(connection), now)
    painted = [f"background-color: {color}" for color in charts.colors(len(jobs))]
    columns = {
        "": st.column_config.TextColumn(width=24, pinned=True),
        "Job": st.column_config.TextColumn(pinned=True),
        "Best mIOU": st.column_config.NumberColumn(format="%.3f", help=table.BEST),
        "At epoch": st.column_config.NumberColumn(format="%d"),
        "Best pixel accuracy": st.column_config.NumberColumn(format="%.3f"),
        "Lowest loss": st.column_config.NumberColumn(format="%.4f"),
        "Cost": st.column_config.NumberColumn(format="dollar", help=table.COST),
    }
    elements.dataframe(
        frame.style.apply(lambda _: painted, subset=[""]),
        hide_index=True,
        column_config=columns,
        placeholder="–",
        alt="What the compared jobs reached",
    )


def _settings(jobs: Sequence[TrainingJob]) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("**Settings that differ**", width="stretch")
        everything = st.toggle("Show all", key=EVERYTHING)
    frame = table.settings_frame(jobs, everything=everything)
    if frame.empty:
        st.caption("None: these jobs were started with the same settings.")
        return
    elements.dataframe(frame, alt="Settings of the compared jobs, a column each")


def _clear() -> None:
    slots.compare(())
