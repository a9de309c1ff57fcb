"""The lower part of a job's page, by tabs: log, hyperparameters, data and model, machine."""

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


def show(connection: Connection, seen: Snapshot[TrainingJob], log: OptionalPart[JobLog]) -> None:
    """All tabs. What is dear is asked for when its tab is open."""
    job = seen.value
    tabs = st.tabs(TABS, key=slots.TAB, on_change="rerun", bind="query-params")
    with tabs[0]:
        messages.why_not(log, seen)
        if log.value.has_log or (log.failure is None and log.waiting is None):
            log_view.show(job.name, log.value, _no_log(job))
    with tabs[1]:
        _hyperparameters(job)
    with tabs[2]:
        _places(job, sandbox=connection.is_sandbox, region=connection.region)
    with tabs[3]:
        if tabs[3].open:
            machine = data.machine(connection, job)
            messages.why_not(machine, seen)
            if machine.waiting is None:
                charts.machine(machine.value, running=job.running)


def _no_log(job: TrainingJob) -> str:
    if job.running:
        return "No line has come yet: the log begins when the container does."
    return "It has no log: its container never ran."


def _hyperparameters(job: TrainingJob) -> None:
    """Each with its default; what differs from it is marked."""
    given, used = clean(job.hyperparameters), effective(job.hyperparameters)
    names = [row.name for row in HYPERPARAMETERS] + [name for name in given if name not in BY_NAME]
    usual = [BY_NAME[name].default or "" if name in BY_NAME else "" for name in names]
    frame = pd.DataFrame(
        {
            "name": names,
            "value": [given.get(name, used.get(name, "")) for name in names],
            "default": usual,
            "said": [_difference(name, given) for name in names],
        }
    )
    bold = ["font-weight: 700" if said in ("changed", "unknown") else "" for said in frame["said"]]
    painted = frame.style.apply(lambda _: bold, subset=["name", "value"])
    columns = {
        "name": st.column_config.TextColumn("Hyperparameter", width=190),
        "value": st.column_config.TextColumn("Value", width=120),
        "default": st.column_config.TextColumn("Default", width=90),
        "said": st.column_config.TextColumn("", width=130),
    }
    elements.dataframe(
        painted, hide_index=True, column_config=columns, height="content", alt="Hyperparameters"
    )


def _places(job: TrainingJob, *, sandbox: bool, region: str) -> None:
    """Channels, output and model as addresses to copy; with AWS, links to its console too."""
    rows = [(f"Channel {channel.name}", channel.uri) for channel in job.channels]
    rows += [("Model", job.model_uri)] if job.model_uri else [("Output", job.output_uri)]
    for label, uri in rows:
        link = "" if sandbox else f" {markdown_link(':material/open_in_new:', links.s3_console(uri, region))}"
        st.caption(f"{messages.plain(label)}{link}")
        elements.code(uri, language=None, wrap_lines=True)
    if job.model_uri:
        st.page_link(
            links.DEPLOY,
            label="Deploy this model",
            icon=":material/deployed_code:",
            query_params={state.JOB: job.name},
        )
    st.caption("Image")
    elements.code(job.image, language=None, wrap_lines=True)
    st.caption("Role")
    elements.code(job.role_arn, language=None, wrap_lines=True)
    st.caption("ARN")
    elements.code(job.arn, language=None, wrap_lines=True)


def _difference(name: str, given: dict[str, str]) -> str:
    if name not in BY_NAME:
        return "unknown"
    if not applies(BY_NAME[name], given):
        return "has no effect"
    if name not in given:
        return "not set"
    return "default" if given[name] == BY_NAME[name].default else "changed"
