"""The page of one training job: its status, metrics, cost and log, and why it failed."""

from __future__ import annotations

import streamlit as st

from core.aws.connection import Connection
from core.cost.training import training_cost
from core.plans.plan import plan_stop
from core.training.curves import MIOU, early_stop, named
from core.training.diagnosis import diagnose
from core.training.job import TrainingJob
from pages.parts import backend, buttons, cached, links, messages, plan_dialog, refresh, state
from pages.parts.jobs import charts as job_charts
from pages.parts.jobs import data, details, filters, header
from pages.parts.log_view import JobLog
from pages.parts.shared_cache import OptionalPart, Snapshot

REFRESH = 5  # seconds between two refreshes of a running job


def main() -> None:
    """Draw the back link, then the job, which refreshes automatically until it has ended."""
    filters.back_link()
    if message := state.take_notification():
        st.toast(message, icon=":material/check_circle:")
    name = state.job_in_url()
    if not name:
        st.info("**No training job selected.** Choose one from the list of training jobs.")
        return
    st.set_page_config(page_title=f"{name} · Segdeck")
    connection = backend.connection()
    refresh.live(
        f"training job {name}",
        lambda: _job(connection, name),
        lambda: _interval(cached.training_job(connection, name)),
    )


def _interval(snapshot: Snapshot[TrainingJob]) -> float | None:
    return REFRESH if snapshot.value.running else None


def _job(connection: Connection, name: str) -> float | None:
    """Draw the job as it is now. The title comes first: it needs nothing from AWS."""
    title = st.container(horizontal=True, vertical_alignment="center", gap="small")
    title.title(messages.plain(name), width="stretch")
    snapshot = cached.training_job(connection, name)
    job = snapshot.value
    with title:
        header.status_badge(job)
    _head(connection, job)
    details.freshness(snapshot, every=REFRESH)
    curves, log = data.curves(connection, job), data.log(connection, job)
    diagnosis = diagnose(job, _log_lines(log))
    if diagnosis is not None:
        messages.diagnosis(diagnosis, failed=job.status == "Failed")
    cost = training_cost(job, cached.prices(connection), snapshot.at)
    series, notes = curves.value.series, curves.value.notes
    unread = not series and bool(notes or curves.failure or curves.waiting)
    header.metrics_row(job, series, cost, snapshot.at, sandbox=connection.is_sandbox, unread=unread)
    cuts = data.interruptions(connection, job)
    header.interruptions(cuts.value, job, sandbox=connection.is_sandbox)
    messages.why_not(cuts, snapshot)
    charts, steps = st.columns([3, 1], gap="medium")
    with charts:
        messages.why_not(curves, snapshot)
        for note in notes:
            st.caption(f":material/show_chart: {messages.plain(note)}")
        if not unread:
            stopped = early_stop(job, named(series, MIOU), log.value.events)
            job_charts.training(series, running=job.running, early=stopped)
    with steps:
        header.timeline(job, snapshot.at, cuts.value)
    details.show(connection, snapshot, log)
    return _interval(snapshot)


def _head(connection: Connection, job: TrainingJob) -> None:
    """Draw the job's key facts and the buttons that act on it. A button only opens a plan or another page."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        header.facts(job)
        _actions(connection, job)


def _actions(connection: Connection, job: TrainingJob) -> None:
    with st.container(horizontal=True, width="content", gap="small"):
        if job.running and buttons.button(
            "Stop",
            key=f"stop-{job.name}",
            acts_on=job.name,
            icon=":material/stop_circle:",
            disabled=job.status == "Stopping",
        ):
            plan_dialog.open_plan(plan_stop(job), connection, st.rerun)
        if buttons.button("Clone", key=f"clone-{job.name}", acts_on=job.name, icon=":material/content_copy:"):
            links.open_page(links.LAUNCH_TRAINING, {state.CLONE: job.name})
        if job.model_uri and buttons.button(
            "Deploy", key=f"deploy-{job.name}", acts_on=job.name, icon=":material/deployed_code:"
        ):
            links.open_page(links.DEPLOY, {state.JOB: job.name})
        if job.model_uri and buttons.button(
            "Continue training", key=f"continue-{job.name}", acts_on=job.name, icon=":material/resume:"
        ):
            links.open_page(links.LAUNCH_TRAINING, {state.CONTINUE: job.name})


def _log_lines(log: OptionalPart[JobLog]) -> list[str] | None:
    """Return the log's lines; None where it could not be read."""
    unknown = (log.failure or log.waiting) and not log.value.has_log
    return None if unknown else [event.message for event in log.value.events]


main()
