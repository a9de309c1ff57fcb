"""The tabs on the page of one training job: log, hyperparameters, data and model, instance metrics."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.aws.connection import Connection
from core.escaping import markdown_link
from core.training.hyperparameters import BY_NAME, HYPERPARAMETERS, applies, clean, effective
from core.training.job import TrainingJob
from pages.parts import elements, formatting, links, log_view, messages, state
from pages.parts.jobs import charts, data, slots
from pages.parts.log_view import JobLog
from pages.parts.shared_cache import OptionalPart, Snapshot

TABS = ("Log", "Hyperparameters", "Data and model", "Instance")


def freshness(snapshot: Snapshot[TrainingJob], *, every: int) -> None:
    """Draw when a running job was updated; where AWS fails, why it is not newer. every: seconds between refreshes."""
    if snapshot.failure is not None:
        st.warning(
            f"**Last updated {formatting.moment(snapshot.at)}.** {messages.line(snapshot.failure)}",
            icon=":material/history:",
        )
    elif snapshot.value.running:
        st.caption(f":material/sync: Refreshes every {every} s · Updated {formatting.moment(snapshot.at)}")
    for note in snapshot.value.notes:
        st.caption(f":material/info: {messages.plain(note)}")


def show(connection: Connection, snapshot: Snapshot[TrainingJob], log: OptionalPart[JobLog]) -> None:
    """Draw all tabs. Instance metrics, which are slow to read, are read only while their tab is open."""
    job = snapshot.value
    tabs = st.tabs(TABS, key=slots.TAB, on_change="rerun", bind="query-params")
    with tabs[0]:
        messages.why_not(log, snapshot)
        if log.value.has_log or (log.failure is None and log.waiting is None):
            log_view.show(job.name, log.value, _no_log(job))
    with tabs[1]:
        _hyperparameters(job)
    with tabs[2]:
        _resources(job, sandbox=connection.is_sandbox, region=connection.region)
    with tabs[3]:
        if tabs[3].open:
            series = data.instance_metrics(connection, job)
            messages.why_not(series, snapshot)
            if series.waiting is None:
                charts.instance_metrics(series.value, running=job.running)


def _no_log(job: TrainingJob) -> str:
    if job.running:
        return "No log lines yet: the log starts when the container does."
    if job.container_ran:
        return "No log: it has expired, or the container wrote nothing."
    return "This job has no log: its container never ran."


def _hyperparameters(job: TrainingJob) -> None:
    """Draw every hyperparameter with its default; those that differ from it are bold."""
    given, used = clean(job.hyperparameters), effective(job.hyperparameters)
    names = [row.name for row in HYPERPARAMETERS] + [name for name in given if name not in BY_NAME]
    defaults = [BY_NAME[name].default or "" if name in BY_NAME else "" for name in names]
    frame = pd.DataFrame(
        {
            "name": names,
            "value": [given.get(name, used.get(name, "")) for name in names],
            "default": defaults,
            "status": [_status(name, given) for name in names],
        }
    )
    bold = ["font-weight: 700" if status in ("changed", "unknown") else "" for status in frame["status"]]
    styled = frame.style.apply(lambda _: bold, subset=["name", "value"])
    columns = {
        "name": st.column_config.TextColumn("Hyperparameter", width=190),
        "value": st.column_config.TextColumn("Value", width=120),
        "default": st.column_config.TextColumn("Default", width=90),
        "status": st.column_config.TextColumn("Status", width=130),
    }
    elements.dataframe(
        styled, hide_index=True, column_config=columns, height="content", alt="Hyperparameters"
    )


def _resources(job: TrainingJob, *, sandbox: bool, region: str) -> None:
    """Draw the URIs of channels, output and model to copy, with links to the AWS console unless in the sandbox."""
    rows = [(f"Channel {channel.name}", channel.uri) for channel in job.channels]
    rows += [("Model", job.model_uri)] if job.model_uri else [("Output", job.output_uri)]
    rows += [("Checkpoints", job.checkpoint_uri)] if job.checkpoint_uri else []
    for label, uri in rows:
        console = "" if sandbox else links.s3_console(uri, region)
        link = f" {markdown_link(':material/open_in_new:', console)}" if console else ""
        st.caption(f"{messages.plain(label)}{link}")
        elements.code(uri, language=None, wrap_lines=True)
    if job.model_uri:
        links.page_link(
            links.DEPLOY,
            label="Deploy this model",
            icon=":material/deployed_code:",
            query_params={state.JOB: job.name},
        )
    for label, value in job.security.in_words:
        st.caption(label)
        elements.code(value, language=None, wrap_lines=True)
    st.caption("Container image")
    elements.code(job.image, language=None, wrap_lines=True)
    st.caption("IAM role")
    elements.code(job.role_arn, language=None, wrap_lines=True)
    st.caption("ARN")
    elements.code(job.arn, language=None, wrap_lines=True)


def _status(name: str, given: dict[str, str]) -> str:
    """Return how a job's value of a hyperparameter relates to the default, in a word or two."""
    if name not in BY_NAME:
        return "unknown"
    if not applies(BY_NAME[name], given):
        return "unused"
    if name not in given:
        return "not set"
    return "default" if given[name] == BY_NAME[name].default else "changed"
