"""The top of a transform job's page: status badge, key facts, progress and metrics row."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import streamlit as st

from core.batch.job import TransformJob
from core.batch.progress import Progress
from core.cost.batch import NOTE, cost_so_far
from core.cost.training import PriceTable
from core.text import duration, plural
from pages.parts import formatting, messages
from pages.parts.batch.filters import status_label
from pages.parts.shared_cache import Snapshot

Color = Literal["blue", "green", "gray", "red"]
COLORS: dict[str, Color] = {"Completed": "green", "Failed": "red", "Stopped": "gray"}
ICONS = {
    "Completed": ":material/check_circle:",
    "Failed": ":material/error:",
    "Stopped": ":material/stop_circle:",
}


def status_badge(job: TransformJob) -> None:
    """Draw the job's status as a badge."""
    icon = ICONS.get(job.status, ":material/progress_activity:")
    st.badge(messages.plain(status_label(job.status)), icon=icon, color=COLORS.get(job.status, "blue"))


def facts(job: TransformJob) -> None:
    """Draw the model, the instances and the time of creation in one line."""
    machines = f"{job.instance_count} × {job.instance_type}"
    created = f"created {formatting.moment(job.created_at)}, {formatting.ago(job.created_at)}"
    st.caption(messages.plain("  ·  ".join((job.model, machines, created))))


def freshness(snapshot: Snapshot[TransformJob], *, every: float) -> None:
    """Draw when a running job was updated; where AWS fails, why it is not newer."""
    at = formatting.moment(snapshot.at)
    if snapshot.failure is not None:
        st.warning(f"**Last updated {at}.** {messages.line(snapshot.failure)}", icon=":material/history:")
    elif snapshot.value.running:
        st.caption(f":material/sync: Refreshes every {every:g} s · Updated {at}")


def progress(job: TransformJob, progress: Progress) -> None:
    """Draw the bar of a running job, and that it hangs."""
    if not job.running:
        return
    if progress.share is not None:
        left = progress.seconds_left
        time_left = "" if left is None else f" · about {duration(left)} left"
        st.progress(progress.share, f"{progress.done:,} of {plural(progress.total or 0, 'mask')}{time_left}")
    if hangs := progress.hangs(job.started_at):
        st.warning(messages.plain(hangs), icon=":material/hourglass_disabled:")


def metrics_row(
    job: TransformJob,
    progress: Progress | None,
    prices: PriceTable,
    now: datetime,
    *,
    missing: int | None,
    sandbox: bool,
) -> None:
    """Draw masks, speed, missing images, duration and cost. progress: None if unknown. missing: the same."""
    cost = cost_so_far(job, prices, now)
    speed = progress.per_second if progress is not None else None
    total = "" if progress is None or progress.total is None else f" of {progress.total:,}"
    label = "AWS price" if sandbox else "Cost"
    with st.grid(5, min_column_width=140, gap="small"):
        st.metric("Masks", "unknown" if progress is None else f"{progress.done:,}{total}", border=True)
        st.metric("Without a mask", "unknown" if missing is None else f"{missing:,}", border=True)
        st.metric("Speed", "unknown" if speed is None else f"{speed:,.2g} per s", border=True)
        st.metric("Duration", duration(job.seconds(now)) if job.started_at else "not started", border=True)
        st.metric(
            f"{label} so far" if job.running else label,
            "unknown" if cost is None else str(cost),
            border=True,
            help=messages.plain(f"{NOTE} {prices.attribution}"),
        )
