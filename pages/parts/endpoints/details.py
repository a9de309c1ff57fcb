"""The lower part of an endpoint's page, by tabs. What is dear is asked for when its tab is open."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from core.aws.connection import Connection
from core.endpoints.detail import EndpointDetail, Model
from core.endpoints.endpoint import Variant
from core.escaping import json_text, markdown_link, terminal
from pages.parts import elements, formatting, links, log_view, messages, state
from pages.parts.endpoints import charts, data, scaling, slots, test_call
from pages.parts.endpoints.data import EndpointSnapshot
from pages.parts.shared_cache import Snapshot

TRAFFIC, TRY, SCALE, LOG, CONFIG, LINEAGE = (
    "Traffic",
    "Test call",
    "Scale",
    "Log",
    "Configuration",
    "Lineage",
)
WHOLE = (TRY, SCALE, CONFIG, LINEAGE)
"""Tabs that show the configuration or what describes the endpoint."""

ARROW = ":gray[:material/arrow_downward:]"


def show(connection: Connection, found: EndpointSnapshot) -> None:
    """Draw all tabs; only the open one is drawn. Those that need what is absent say why it is."""
    seen, detail = found.seen, found.seen.value
    parts: dict[str, Callable[[], None]] = {
        TRAFFIC: lambda: charts.show(connection, detail.endpoint, seen),
        TRY: lambda: test_call.show(connection, detail),
        SCALE: lambda: scaling.show(connection, detail),
        LOG: lambda: _log(connection, seen),
        CONFIG: lambda: _config(detail),
        LINEAGE: lambda: _lineage(connection, detail),
    }
    tabs = st.tabs(list(parts), key=slots.TAB, on_change="rerun", bind="query-params")
    for tab, (name, draw) in zip(tabs, parts.items(), strict=True):
        if tab.open:
            with tab, messages.error_boundary(name):
                if found.absent is not None and name in WHOLE:
                    raise found.absent
                draw()


def _log(connection: Connection, seen: Snapshot[EndpointDetail]) -> None:
    """The log of one machine, by default of the one that wrote last."""
    name = seen.value.name
    streams = data.streams(connection, name)
    messages.why_not(streams, seen)
    if (streams.failure is not None or streams.waiting is not None) and not streams.value:
        return
    stream = streams.value[0] if streams.value else ""
    if len(streams.value) > 1:
        stream = (
            st.selectbox("Machine", streams.value, format_func=terminal, key=f"stream-{name}", width=420)
            or stream
        )
    log = data.log(connection, name, stream)
    messages.why_not(log, seen)
    if log.value.has_log or (log.failure is None and log.waiting is None):
        log_view.show(name, log.value, "No line has come: the log begins when its container does.")


def _config(detail: EndpointDetail) -> None:
    endpoint = detail.endpoint
    elements.code(endpoint.arn, language=None, wrap_lines=True)
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown(f"**Configuration** {messages.plain(endpoint.config)}")
        if detail.config is None:
            st.caption("It is gone, or may not be read.")
        else:
            elements.code_block(_json(dict(detail.config.request)), language="json", wrap_lines=True)
    with right:
        for model in detail.models:
            st.markdown(f"**Model** {messages.plain(model.name)}")
            shown = {
                "Image": model.image,
                "ModelDataUrl": model.model_uri,
                "ExecutionRoleArn": model.role_arn,
            }
            elements.code_block(
                _json({**shown, "Environment": dict(model.environment)}), language="json", wrap_lines=True
            )
        st.markdown("**Tags**")
        if endpoint.tags:
            elements.code_block(_json(dict(endpoint.tags)), language="json", wrap_lines=True)
        else:
            st.caption("It has none.")


def _json(value: object) -> str:
    return json_text(value, indent=2, ascii_only=False, default=str)


def _lineage(connection: Connection, detail: EndpointDetail) -> None:
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
        else f" {markdown_link(':material/open_in_new:', links.s3_console(uri, connection.region))}"
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
