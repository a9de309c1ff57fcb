"""The lower part of a job's page, by tabs: log, hyperparameters, data and model, machine."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.aws.connection import Connection
from core.training.job import TrainingJob
from pages.parts import formatting, messages, state
from pages.parts.jobs import charts, data, job_tables
from pages.parts.jobs import log as job_log
from pages.parts.shared_cache import Snapshot

TABS = ("Log", "Hyperparameters", "Data and model", "Machine")


def freshness(seen: Snapshot[TrainingJob], *, every: int) -> None:
    """Of a running job, when this was; where AWS fails, why it is no newer."""
    if seen.failure is not None:
        st.warning(
            f"**This is what AWS said at {formatting.moment(seen.at)}.** {messages.line(seen.failure)}",
            icon=":material/history:",
        )
    elif seen.value.running:
        st.caption(f":material/sync: Looks again every {every} s · data from {formatting.moment(seen.at)}")


def why_not(part: data.OptionalPart[Any], seen: Snapshot[Any]) -> None:
    """Draw why a part of the page is not there or not new, unless the head says so of all."""
    if part.waiting is not None:
        messages.waiting(part.waiting)
    elif part.failure is not None and seen.failure is None:
        st.warning(messages.line(part.failure), icon=":material/history:")


def show(connection: Connection, seen: Snapshot[TrainingJob], log: data.OptionalPart[data.JobLog]) -> None:
    """All tabs. What is dear is asked for when its tab is open."""
    job = seen.value
    tabs = st.tabs(TABS, key=state.JOB_TAB, on_change="rerun", bind="query-params")
    with tabs[0]:
        why_not(log, seen)
        if log.value.has_log or (log.failure is None and log.waiting is None):
            job_log.show(job.name, log.value, _no_log(job))
    with tabs[1]:
        job_tables.hyperparameters(job)
    with tabs[2]:
        job_tables.places(job, sandbox=connection.is_sandbox, region=connection.region)
    with tabs[3]:
        if tabs[3].open:
            machine = data.machine(connection, job)
            why_not(machine, seen)
            if machine.waiting is None:
                charts.machine(machine.value, running=job.running)


def _no_log(job: TrainingJob) -> str:
    if job.running:
        return "No line has come yet: the log begins when the container does."
    return "It has no log: its container never ran."
