"""One training job: what it is doing, how good it is, what it costs, and why it failed."""

from __future__ import annotations

import streamlit as st

from core.aws.connection import Connection
from core.cost.training import training_cost
from core.plans.plan import plan_stop
from core.training.curves import MIOU, early_stop, named
from core.training.diagnosis import diagnose
from core.training.job import TrainingJob
from pages.parts import backend, cached, links, messages, plan_dialog, refresh, state
from pages.parts.jobs import charts as job_charts
from pages.parts.jobs import data, details, filters, header
from pages.parts.log_view import JobLog
from pages.parts.shared_cache import OptionalPart, Snapshot

REFRESH = 5  # seconds between two looks at a job that runs


def main() -> None:
    """The way back, then all about the job, again and again until it has ended."""
    filters.way_back()
    if said := state.take_told():
        st.toast(said, icon=":material/check_circle:")
    name = state.job_asked_for()
    if not name:
        st.info("**No training job is named in the address.** Choose one from the list of training jobs.")
        return
    st.set_page_config(page_title=f"{name} · Segdeck")
    connection = backend.connection()
    refresh.live(
        f"training job {name}",
        lambda: _look(connection, name),
        lambda: _tick(cached.training_job(connection, name)),
    )


def _tick(seen: Snapshot[TrainingJob]) -> float | None:
    return REFRESH if seen.value.running else None


def _look(connection: Connection, name: str) -> float | None:
    """Draw the job as it is now; its name is there before anything of it is known."""
    title = st.container(horizontal=True, vertical_alignment="center", gap="small")
    title.title(messages.plain(name), width="stretch")
    seen = cached.training_job(connection, name)
    job = seen.value
    with title:
        header.chip(job)
    _head(connection, job)
    details.freshness(seen, every=REFRESH)
    curves, log = data.curves(connection, job), data.log(connection, job)
    found = diagnose(job, _lines(log))
    if found is not None:
        messages.diagnosis(found, failed=job.status == "Failed")
    cost = training_cost(job, cached.prices(connection), seen.at)
    header.figures(job, curves.value, cost, seen.at, sandbox=connection.is_sandbox)
    charts, steps = st.columns([3, 1], gap="medium")
    with charts:
        messages.why_not(curves, seen)
        if curves.waiting is None:
            stopped = early_stop(job, named(curves.value, MIOU), log.value.events)
            job_charts.training(curves.value, running=job.running, early=stopped)
    with steps:
        header.timeline(job, seen.at)
    details.show(connection, seen, log)
    return _tick(seen)


def _head(connection: Connection, job: TrainingJob) -> None:
    """Draw what it is, and what can be done with it. Nothing is done before a plan was shown."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        header.facts(job)
        _actions(connection, job)


def _actions(connection: Connection, job: TrainingJob) -> None:
    with st.container(horizontal=True, width="content", gap="small"):
        if job.running and st.button(
            "Stop", icon=":material/stop_circle:", disabled=job.status == "Stopping"
        ):
            plan_dialog.ask(plan_stop(job), connection, st.rerun)
        if st.button("Clone", icon=":material/content_copy:"):
            links.open_page(links.LAUNCH_TRAINING, {state.CLONE: job.name})
        if job.model_uri and st.button("Deploy", icon=":material/deployed_code:"):
            links.open_page(links.DEPLOY, {state.JOB: job.name})
        if job.model_uri and st.button("Continue", icon=":material/resume:"):
            links.open_page(links.LAUNCH_TRAINING, {state.CONTINUE: job.name})


def _lines(log: OptionalPart[JobLog]) -> list[str] | None:
    """What the log says; None where it could not be read."""
    unknown = (log.failure or log.waiting) and not log.value.has_log
    return None if unknown else [event.message for event in log.value.events]


main()
