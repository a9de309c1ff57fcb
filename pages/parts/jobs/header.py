"""The top of a training job's page: status badge, key facts, metrics row and timeline."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import streamlit as st

from core.cost.training import Cost, cost_label
from core.text import duration
from core.training.curves import MIOU, MetricSeries, best_epoch, epochs_done, named
from core.training.eta import seconds_left
from core.training.hyperparameters import LIGHT
from core.training.interruptions import Interruption
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
    """Draw epochs, duration, cost and best mean IoU. unread: whether the metrics could not be read."""
    miou = named(curves, MIOU)
    best = best_epoch(miou) if miou is not None else None
    by_epoch = miou is not None and miou.epochs is not None
    none = "unknown" if unread else "none yet" if job.running else "none"
    ran = duration(job.seconds(now)) if job.started_at else "not started"
    with st.grid(4, min_column_width=150, gap="small"):
        st.metric("Epochs", "unknown" if unread else _epochs(job, curves), border=True, height="stretch")
        st.metric(
            "Duration",
            ran,
            _left(job, miou, now),
            border=True,
            height="stretch",
            delta_color="off",
            delta_arrow="off",
            help="The time left is estimated from the epochs completed so far. Early stopping can end a job sooner."
            if job.running
            else None,
        )
        st.metric(
            _cost_label(cost, sandbox=sandbox),
            _cost(cost),
            _saving(job, cost),
            border=True,
            height="stretch",
            delta_color="off",
            delta_arrow="off",
            help=_cost_help(job, cost, sandbox=sandbox),
        )
        st.metric(
            f"Best mean IoU, epoch {best.epoch}" if best is not None and by_epoch else "Best mean IoU",
            none if best is None else f"{best.value:.3f}",
            border=True,
            height="stretch",
            help="Epochs are numbered from 0. An endpoint serves the model of the best epoch.",
        )


def _left(job: TrainingJob, miou: MetricSeries | None, now: datetime) -> str | None:
    """Return the time left of a running job as text; None for a job that has ended."""
    if not job.running:
        return None
    seconds = seconds_left(job, miou, now)
    return "time left unknown" if seconds is None else f"{duration(seconds)} left"


def _saving(job: TrainingJob, cost: Cost) -> str | None:
    """Return what spot capacity saved, which AWS reports when the job has ended; None for a job without it."""
    if not job.spot:
        return None
    if cost.saved_share is None:
        return "spot: saving known at the end" if job.running else "spot: saving unknown"
    amount = "" if cost.saved_by_spot is None else f" ({cost.saved_by_spot})"
    return f"spot saved {cost.saved_share:.0%}{amount}"


def interruptions(cuts: Sequence[Interruption], job: TrainingJob, *, sandbox: bool) -> None:
    """Draw when a spot job was interrupted and where it resumed; in the sandbox, how to rehearse an interruption."""
    for cut in cuts:
        st.caption(
            f":material/power_off: **Interrupted {formatting.moment(cut.at)}.** {messages.plain(str(cut))}"
        )
    if sandbox and job.spot and job.running and job.status != "Stopping":
        command = f"python -m sandbox interrupt {job.name}"
        st.caption(f":material/science: To rehearse an interruption: {messages.code(command)}")


def timeline(job: TrainingJob, now: datetime, cuts: Sequence[Interruption] = ()) -> None:
    """Draw one step per status transition, oldest first, with its duration and AWS's message.

    cuts: the job's interruptions; where training continued, the step says from which checkpoint.
    """
    resumed = {cut.resumed_at: cut for cut in cuts if cut.resumed_at is not None}
    for step in job.transitions:
        last = step is job.transitions[-1]
        started = f"Started {formatting.moment(step.started_at)}"
        # Not as a context manager: a status counts as complete when its block ends.
        cut = resumed.get(step.started_at) if step.status == "Training" else None
        status = st.status(_step_label(step, now, cut), type="step", state=_step_state(job, step, last=last))
        status.caption(f"{started}. {messages.plain(step.message)}" if step.message else started)
        if cut is not None:
            outcome = f"{cut.outcome[:1].upper()}{cut.outcome[1:]}"
            status.caption(f":material/restore: {messages.plain(outcome)}")
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
    label = cost_label("Cost", sandbox=sandbox)
    return label if cost.final else f"{label} so far"


def _cost(cost: Cost) -> str:
    return "unknown" if cost.so_far is None else str(cost.so_far)


def _cost_help(job: TrainingJob, cost: Cost, *, sandbox: bool) -> str:
    """Return the upper limit, how the saving of spot capacity is known, and the source of the price."""
    most = f"At most {cost.at_max}, at the maximum run time." if cost.at_max else ""
    saved = ""
    if cost.saved_share is not None:
        trained, billed = duration(job.training_seconds or 0), duration(job.billable_seconds or 0)
        saved = f"Trained for {trained}, billed for {billed}."
        saved += " The sandbox assumes a saving of 70%; on AWS it follows the spot market." if sandbox else ""
    return messages.plain(" ".join(part for part in (most, saved, cost.source) if part))


def _step_label(step: Transition, now: datetime, cut: Interruption | None = None) -> str:
    """Return a step with its duration. cut: the interruption after which the step continued."""
    words = SECONDARY_WORDS.get(step.status, step.status)
    if cut is not None and cut.next_epoch is not None:
        words += f" from epoch {cut.next_epoch}"
    label = messages.plain(f"{words[:1].upper()}{words[1:]}")
    return label if step.status in ENDS else f"{label} · {duration(step.seconds(now))}"


def _step_state(job: TrainingJob, step: Transition, *, last: bool) -> StepState:
    if step.status == "Failed":
        return "error"
    return "running" if last and job.running else "complete"
