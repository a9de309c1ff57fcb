"""The top of a training job's page: status badge, key facts, metrics row and timeline."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import streamlit as st

from core.cost.training import Cost
from core.text import duration
from core.training.curves import MIOU, MetricSeries, best_epoch, epochs_done, named
from core.training.hyperparameters import LIGHT
from core.training.job import SECONDARY_WORDS, TrainingJob, Transition, status_in_words
from pages.parts import formatting, messages

Color = Literal["blue", "green", "gray", "orange", "red"]
StepState = Literal["running", "complete", "error"]

COLORS: dict[str, Color] = {"Completed": "green", "Failed": "red", "Stopped": "gray"}
ICONS = {
    "Completed": ":material/check_circle:",
    "Failed": ":material/error:",
    "Stopped": ":material/stop_circle:",
}
INTERRUPTED = ("MaxRuntimeExceeded", "MaxWaitTimeExceeded", "Interrupted")
ENDS = ("Completed", "Failed", "Stopped", *INTERRUPTED[:2])
"""Secondary statuses that end a job, so that they have no duration."""


def status_badge(job: TrainingJob) -> None:
    """Draw the job's status as a badge."""
    color: Color = "orange" if job.secondary_status in INTERRUPTED else COLORS.get(job.status, "blue")
    icon = ICONS.get(job.status, ":material/progress_activity:")
    st.badge(messages.plain(status_in_words(job)), icon=icon, color=color)


def facts(job: TrainingJob) -> None:
    """Draw the network, the instance and the time of creation in one line."""
    count = f"{job.instance_count} × " if job.instance_count > 1 else ""
    parts = [
        _network(job),
        f"{count}{job.instance_type}{' (spot)' if job.spot else ''}",
        f"created {formatting.moment(job.created_at)}, {formatting.ago(job.created_at)}",
    ]
    st.caption(messages.plain("  ·  ".join(parts)))


def metrics_row(
    job: TrainingJob,
    curves: Sequence[MetricSeries],
    cost: Cost,
    now: datetime,
    *,
    sandbox: bool,
    unread: bool = False,
) -> None:
    """Draw epochs, duration, cost and best mIOU. unread: whether the metrics could not be read."""
    miou = named(curves, MIOU)
    best = best_epoch(miou) if miou is not None else None
    by_epoch = miou is not None and miou.epochs is not None
    none = "unknown" if unread else "none yet" if job.running else "none"
    with st.grid(4, min_column_width=150, gap="small"):
        st.metric("Epochs", "unknown" if unread else _epochs(job, curves), border=True)
        st.metric("Duration", duration(job.seconds(now)) if job.started_at else "not started", border=True)
        st.metric(
            _cost_label(cost, sandbox=sandbox),
            _cost(cost),
            border=True,
            help=_cost_help(cost, sandbox=sandbox),
        )
        st.metric(
            f"Best mIOU, epoch {best.epoch}" if best is not None and by_epoch else "Best mIOU",
            none if best is None else f"{best.value:.3f}",
            border=True,
            help="Epochs are numbered from 0. An endpoint serves the model of the best epoch.",
        )


def timeline(job: TrainingJob, now: datetime) -> None:
    """Draw one step per status transition, oldest first, with its duration and AWS's message."""
    for step in job.transitions:
        last = step is job.transitions[-1]
        started = f"Started {formatting.moment(step.started_at)}"
        # Not as a context manager: a status counts as complete when its block ends.
        status = st.status(_step_label(step, now), type="step", state=_step_state(job, step, last=last))
        status.caption(f"{started}. {messages.plain(step.message)}" if step.message else started)
    if not job.transitions:
        st.caption("No status transitions yet." if job.running else "No status transitions.")


def _network(job: TrainingJob) -> str:
    if not job.is_semantic_segmentation:
        return "another algorithm"
    return job.algorithm if job.algorithm == LIGHT else f"{job.algorithm} · {job.backbone}"


def _epochs(job: TrainingJob, curves: Sequence[MetricSeries]) -> str:
    """Return the epochs completed; CloudWatch reports minutes, which do not count epochs."""
    if curves and all(series.epochs is None for series in curves):
        return f"unknown of {job.epochs}" if job.epochs else "unknown"
    done = max((epochs_done(series) for series in curves if series.epochs is not None), default=0)
    return f"{done} of {job.epochs}" if job.epochs else str(done)


def _cost_label(cost: Cost, *, sandbox: bool) -> str:
    label = "AWS cost" if sandbox else "Cost"
    return label if cost.final else f"{label} so far"


def _cost(cost: Cost) -> str:
    return "unknown" if cost.so_far is None else str(cost.so_far)


def _cost_help(cost: Cost, *, sandbox: bool) -> str:
    """Return the upper limit, what spot saved, and the source of the price."""
    free = "Sandbox: nothing is billed. Prices are AWS estimates." if sandbox else ""
    most = f"At most {cost.at_max}, at the maximum run time." if cost.at_max else ""
    saved = f"Spot saved {cost.saved_share:.0%}." if cost.saved_share else ""
    return messages.plain(" ".join(part for part in (free, most, saved, cost.source) if part))


def _step_label(step: Transition, now: datetime) -> str:
    words = SECONDARY_WORDS.get(step.status, step.status)
    label = messages.plain(f"{words[:1].upper()}{words[1:]}")
    return label if step.status in ENDS else f"{label} · {duration(step.seconds(now))}"


def _step_state(job: TrainingJob, step: Transition, *, last: bool) -> StepState:
    if step.status == "Failed":
        return "error"
    return "running" if last and job.running else "complete"
