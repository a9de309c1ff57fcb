"""Where an endpoint's model came from: job, artifact, model, configuration, endpoint; each with its link."""

from __future__ import annotations

import streamlit as st

from core.aws.connection import Connection
from core.endpoints.detail import EndpointDetail, Model
from core.endpoints.endpoint import Variant
from core.escaping import markdown_link
from pages.parts import elements, formatting, links, messages, state
from pages.parts.jobs.job_tables import console

ARROW = ":gray[:material/arrow_downward:]"


def show(connection: Connection, detail: EndpointDetail) -> None:
    """A chain for each variant; with AWS, the artifact links to its console."""
    for variant in detail.endpoint.variants:
        if len(detail.endpoint.variants) > 1:
            st.markdown(f"**{messages.plain(variant.name)}**")
        _chain(connection, detail, variant)
    if not detail.endpoint.variants:
        st.caption("It is not known what it serves: its configuration may not be read.")


def _chain(connection: Connection, detail: EndpointDetail, variant: Variant) -> None:
    model = detail.model(variant.model)
    job = (model.job if model else "") or detail.endpoint.job
    with st.container(border=True, gap="xsmall"):
        _job(job)
        st.markdown(ARROW)
        _artifact(connection, model.model_uri if model else "")
        st.markdown(ARROW)
        _line("deployed_code", "Model", variant.model or "not known", _made(model))
        st.markdown(ARROW)
        config = detail.config
        made = f"made {formatting.moment(config.created_at)}" if config else "gone, or may not be read"
        _line("tune", "Configuration", detail.endpoint.config or "not known", made)
        st.markdown(ARROW)
        created = f"since {formatting.moment(detail.endpoint.created_at)}"
        _line("dns", "Endpoint", detail.name, created)
        st.markdown(ARROW)
        _masks(detail)


def _job(name: str) -> None:
    if not name:
        _line(
            "model_training", "Training job", "not known", "the artifact's address names none, nor does a tag"
        )
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(":material/model_training: Training job", width="content")
        st.page_link(links.TRAINING_JOB, label=messages.plain(name), query_params={state.JOB: name})


def _artifact(connection: Connection, uri: str) -> None:
    if not uri:
        _line("folder_zip", "Artifact", "not known")
        return
    link = (
        ""
        if connection.is_sandbox
        else f" {markdown_link(':material/open_in_new:', console(uri, connection.region))}"
    )
    st.markdown(f":material/folder_zip: Artifact{link}")
    elements.code(uri, language=None, wrap_lines=True)


def _masks(detail: EndpointDetail) -> None:
    known = (
        f"{len(detail.classes)} classes: {', '.join(detail.classes.names)}" if detail.classes else "unknown"
    )
    _line("imagesmode", "Masks", "", f"classes {known}" if detail.classes is None else known)


def _made(model: Model | None) -> str:
    if model is None:
        return "gone, or may not be read"
    return f"made {formatting.moment(model.created_at)}" if model.created_at else ""


def _line(icon: str, what: str, name: str, more: str = "") -> None:
    bold = f" **{messages.plain(name)}**" if name else ""
    after = f" :gray[· {messages.plain(more)}]" if more else ""
    st.markdown(f":material/{icon}: {what}{bold}{after}")
