"""Two to six training jobs side by side: their curves, their results, and the settings that differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import streamlit as st

from core.aws.connection import Connection
from core.cost.training import cost_label
from core.errors import CoreError
from core.training.curves import LOSS, MIOU, MetricSeries, named
from core.training.job import TrainingJob
from pages.parts import cached, charts, elements, messages
from pages.parts.jobs import slots, table
from pages.parts.shared_cache import PendingError

MAX_JOBS = 6
"""More curves than this are hard to tell apart in one chart."""

SHOW_ALL = "compare_everything"


def show(connection: Connection, jobs: Sequence[TrainingJob], now: datetime) -> None:
    """Draw the comparison of the jobs named in the URL; where it names none, how to select them."""
    names = slots.compared()
    if not names:
        if len(jobs) > 1:
            st.caption(f"Select 2-{MAX_JOBS} jobs to compare.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header("Comparison", width="stretch")
        st.button("Clear", icon=":material/close:", type="tertiary", key="compare_clear", on_click=_clear)
    selected = _jobs(connection, names[:MAX_JOBS], jobs)
    if len(names) > MAX_JOBS:
        st.caption(f"Showing the first {MAX_JOBS} of {len(names)}.")
    if len(selected) < 2:
        st.caption("Select a second job to compare.")
        return
    curves = _curves(connection, selected)
    _results(connection, selected, curves or {}, now)
    if curves is not None:
        _charts(selected, curves)
    _settings(selected)


def _jobs(connection: Connection, names: Sequence[str], listed: Sequence[TrainingJob]) -> list[TrainingJob]:
    """Return the jobs of these names, from the table where it lists them; a link may name others."""
    by_name = {job.name: job for job in listed if not job.summary}
    jobs = []
    for name in names:
        try:
            jobs.append(by_name.get(name) or cached.training_job(connection, name).value)
        except PendingError as pending:
            messages.waiting_line(pending)
        except CoreError as error:
            st.caption(f":material/error: {messages.line(error)}")
    return jobs


def _curves(
    connection: Connection, jobs: Sequence[TrainingJob]
) -> Mapping[str, Sequence[MetricSeries]] | None:
    """Return the curves by job; None where they cannot be read, after drawing why."""
    try:
        snapshot = cached.curves(connection, jobs)
    except PendingError as pending:
        messages.waiting(pending)
        return None
    except CoreError as error:
        st.warning(messages.card(error), icon=":material/show_chart:")
        return None
    if snapshot.failure is not None:
        st.caption(f":material/history: Showing earlier curves. {messages.line(snapshot.failure)}")
    for note in snapshot.value.notes:
        st.caption(f":material/show_chart: {messages.plain(note)}")
    return snapshot.value.found


def _charts(jobs: Sequence[TrainingJob], curves: Mapping[str, Sequence[MetricSeries]]) -> None:
    left, right = st.columns(2, gap="medium")
    with left:
        _chart(jobs, curves, MIOU, "Validation mean IoU")
    with right:
        _chart(jobs, curves, LOSS, "Training loss", lowest=True)


def _chart(
    jobs: Sequence[TrainingJob],
    curves: Mapping[str, Sequence[MetricSeries]],
    metric: str,
    title: str,
    *,
    lowest: bool = False,
) -> None:
    """Draw one metric of the jobs that have it; the others keep their color in the other charts."""
    by_job = {job.name: series for job in jobs if (series := named(curves.get(job.name, ()), metric))}
    if not by_job:
        st.caption(f"{title}: no values yet.")
        return
    chart = charts.overlay(by_job, title, [job.name for job in jobs], lowest=lowest)
    st.altair_chart(chart, key=f"compare-{metric}", alt=f"{title} by epoch of {len(by_job)} training jobs")


def _results(
    connection: Connection,
    jobs: Sequence[TrainingJob],
    curves: Mapping[str, Sequence[MetricSeries]],
    now: datetime,
) -> None:
    """Draw each job's results; the first column is the legend of the charts below."""
    frame, sandbox = table.best_frame(jobs, curves, cached.prices(connection), now), connection.is_sandbox
    colors = [f"background-color: {color}" for color in charts.colors(len(jobs))]
    columns = {
        "Color": st.column_config.TextColumn(width=60, pinned=True),
        "Job": st.column_config.TextColumn(pinned=True),
        "Best mean IoU": st.column_config.NumberColumn(format="%.3f", help=table.BEST),
        "Best epoch": st.column_config.NumberColumn(format="%d"),
        "Best pixel accuracy": st.column_config.NumberColumn(format="%.3f"),
        "Lowest loss": st.column_config.NumberColumn(format="%.4f"),
        "Cost": st.column_config.NumberColumn(
            cost_label("Cost", sandbox=sandbox), format="dollar", help=table.cost_help(sandbox=sandbox)
        ),
    }
    elements.dataframe(
        frame.style.apply(lambda _: colors, subset=["Color"]),
        hide_index=True,
        column_config=columns,
        placeholder="–",
        alt="Results of the compared jobs",
    )


def _settings(jobs: Sequence[TrainingJob]) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("**Settings that differ**", width="stretch")
        show_all = st.toggle("Show all", key=SHOW_ALL)
    frame = table.settings_frame(jobs, show_all=show_all)
    if frame.empty:
        st.caption("None: these jobs have the same settings.")
        return
    elements.dataframe(frame, alt="Settings of the compared jobs, one column per job")


def _clear() -> None:
    slots.compare(())
