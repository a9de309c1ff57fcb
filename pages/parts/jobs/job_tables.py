"""What one training job was given: its hyperparameters, and where its data and its model lie."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.escaping import markdown_link
from core.training.hyperparameters import BY_NAME, HYPERPARAMETERS, applies, clean, effective
from core.training.job import TrainingJob
from pages.parts import elements, links, messages, state


def hyperparameters(job: TrainingJob) -> None:
    """Each with its default; what differs from it is marked."""
    given, used = clean(job.hyperparameters), effective(job.hyperparameters)
    names = [row.name for row in HYPERPARAMETERS] + [name for name in given if name not in BY_NAME]
    usual = [BY_NAME[name].default or "" if name in BY_NAME else "" for name in names]
    frame = pd.DataFrame(
        {
            "name": names,
            "value": [given.get(name, used.get(name, "")) for name in names],
            "default": usual,
            "said": [_said(name, given) for name in names],
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


def places(job: TrainingJob, *, sandbox: bool, region: str) -> None:
    """Channels, output and model as addresses to copy; with AWS, links to its console too."""
    rows = [(f"Channel {channel.name}", channel.uri) for channel in job.channels]
    rows += [("Model", job.model_uri)] if job.model_uri else [("Output", job.output_uri)]
    for label, uri in rows:
        link = "" if sandbox else f" {markdown_link(':material/open_in_new:', console(uri, region))}"
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


def _said(name: str, given: dict[str, str]) -> str:
    if name not in BY_NAME:
        return "unknown"
    if not applies(BY_NAME[name], given):
        return "has no effect"
    if name not in given:
        return "not set"
    return "default" if given[name] == BY_NAME[name].default else "changed"


def console(uri: str, region: str) -> str:
    """The page of AWS's console about an object or prefix in S3."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    kind = "object" if key and not key.endswith("/") and key.endswith(".gz") else "buckets"
    return f"https://{region}.console.aws.amazon.com/s3/{kind}/{bucket}?region={region}&prefix={key}"
