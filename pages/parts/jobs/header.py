"""One training job at a glance: its status, its figures, why it failed, and the stretches of its life."""

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
CUT_SHORT = ("MaxRuntimeExceeded", "MaxWaitTimeExceeded", "Interrupted")
ENDS = ("Completed", "Failed", "Stopped", *CUT_SHORT[:2])
"""Secondary statuses that are no stretch of time, but an end."""


def chip(job: TrainingJob) -> None:
    """Its status as a badge."""
    color: Color = "orange" if job.secondary_status in CUT_SHORT else COLORS.get(job.status, "blue")
    icon = ICONS.get(job.status, ":material/progress_activity:")
    st.badge(messages.plain(status_in_words(job)), icon=icon, color=color)


def facts(job: TrainingJob) -> None:
    """What it is and where it runs, in a line."""
    machines = f"{job.instance_count} × " if job.instance_count > 1 else ""
    parts = [
        _network(job),
        f"{machines}{job.instance_type}{' (spot)' if job.spot else ''}",
        f"created {formatting.moment(job.created_at)}, {formatting.ago(job.created_at)}",
    ]
    st.caption(messages.plain("  ·  ".join(parts)))


def figures(
    job: TrainingJob, curves: Sequence[MetricSeries], cost: Cost, now: datetime, *, sandbox: bool
) -> None:
    """Progress, duration, cost, best mIOU."""
    miou = named(curves, MIOU)
    best = best_epoch(miou) if miou is not None else None
    with st.grid(4, min_column_width=150, gap="small"):
        st.metric("Epochs", _epochs(job, curves), border=True)
        st.metric("Duration", duration(job.seconds(now)) if job.started_at else "not begun", border=True)
        st.metric(_cost_label(cost, sandbox=sandbox), _cost(cost), border=True, help=_cost_help(cost))
        st.metric(
            "Best mIOU" if best is None else f"Best mIOU, epoch {best.epoch}",
            ("none yet" if job.running else "none") if best is None else f"{best.value:.3f}",
            border=True,
            help="Epochs count from 0. The model of the best epoch is the one that an endpoint serves.",
        )


def timeline(job: TrainingJob, now: datetime) -> None:
    """A step for each stretch, oldest first; how long it took, and what AWS said."""
    for step in job.transitions:
        last = step is job.transitions[-1]
        said = f"From {formatting.moment(step.started_at)}"
        # Not by `with`, at whose end a status counts as complete.
        status = st.status(_step_label(step, now), type="step", state=_step_state(job, step, last=last))
        status.caption(f"{said}. {messages.plain(step.message)}" if step.message else said)
    if not job.transitions:
        st.caption("AWS tells of no step yet.")


def _network(job: TrainingJob) -> str:
    if not job.is_semantic_segmentation:
        return "not this algorithm"
    return job.algorithm if job.algorithm == LIGHT else f"{job.algorithm} · {job.backbone}"


def _epochs(job: TrainingJob, curves: Sequence[MetricSeries]) -> str:
    done = max((epochs_done(one) for one in curves if one.epochs is not None), default=0)
    return f"{done} of {job.epochs}" if job.epochs else str(done)


def _cost_label(cost: Cost, *, sandbox: bool) -> str:
    label = "Cost" if cost.final else "Cost so far"
    return f"{label} on AWS" if sandbox else label


def _cost(cost: Cost) -> str:
    return "unknown" if cost.so_far is None else str(cost.so_far)


def _cost_help(cost: Cost) -> str:
    """At most, what spot saved, and where the price comes from."""
    most = f"At most {cost.at_max}, at its maximum run time." if cost.at_max else ""
    saved = f"Spot saved {cost.saved_share:.0%}." if cost.saved_share else ""
    return messages.plain(" ".join(part for part in (most, saved, cost.source) if part))


def _step_label(step: Transition, now: datetime) -> str:
    words = SECONDARY_WORDS.get(step.status, step.status)
    label = f"{words[:1].upper()}{words[1:]}"
    label = messages.plain(label)
    return label if step.status in ENDS else f"{label} · {duration(step.seconds(now))}"


def _step_state(job: TrainingJob, step: Transition, *, last: bool) -> StepState:
    if step.status == "Failed":
        return "error"
    return "running" if last and job.running else "complete"
