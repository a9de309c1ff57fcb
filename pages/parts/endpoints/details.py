"""The tabs of an endpoint's page. Expensive reads are made only while their tab is open."""

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
"""Tabs that need the configuration or the description of the endpoint."""

ARROW = ":gray[:material/arrow_downward:]"
GONE = "deleted, or no permission to read it"


def show(connection: Connection, snapshot: EndpointSnapshot) -> None:
    """Draw the tabs, and the content of the open one. A tab whose data is missing says why."""
    seen, detail = snapshot.seen, snapshot.seen.value
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
                if snapshot.absent is not None and name in WHOLE:
                    raise snapshot.absent
                draw()


def _log(connection: Connection, seen: Snapshot[EndpointDetail]) -> None:
    """Draw the log of one instance, by default the most recently written."""
    name = seen.value.name
    streams = data.streams(connection, name)
    messages.why_not(streams, seen)
    if (streams.failure is not None or streams.waiting is not None) and not streams.value:
        return
    stream = streams.value[0] if streams.value else ""
    if len(streams.value) > 1:
        stream = (
            st.selectbox("Instance", streams.value, format_func=terminal, key=f"stream-{name}", width=420)
            or stream
        )
    log = data.log(connection, name, stream)
    messages.why_not(log, seen)
    if log.value.has_log or (log.failure is None and log.waiting is None):
        empty = "No log lines yet: the log starts with the container."
        log_view.show(name, log.value, empty, stream=stream)


def _config(detail: EndpointDetail) -> None:
    endpoint = detail.endpoint
    elements.code(endpoint.arn, language=None, wrap_lines=True)
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown(f"**Configuration** {messages.plain(endpoint.config)}")
        if detail.config is None:
            st.caption("Deleted, or no permission to read it.")
        else:
            elements.code_block(_json(dict(detail.config.request)), language=None, wrap_lines=True)
    with right:
        for model in detail.models:
            st.markdown(f"**Model** {messages.plain(model.name)}")
            shown = {
                "Image": model.image,
                "ModelDataUrl": model.model_uri,
                "ExecutionRoleArn": model.role_arn,
            }
            elements.code_block(
                _json({**shown, "Environment": dict(model.environment)}), language=None, wrap_lines=True
            )
        st.markdown("**Tags**")
        if endpoint.tags:
            elements.code_block(_json(dict(endpoint.tags)), language=None, wrap_lines=True)
        else:
            st.caption("No tags.")


def _json(value: object) -> str:
    return json_text(value, indent=2, ascii_only=False, default=str)


def _lineage(connection: Connection, detail: EndpointDetail) -> None:
    """Draw a chain per variant; on AWS, the artifact links to the S3 console."""
    for variant in detail.endpoint.variants:
        if len(detail.endpoint.variants) > 1:
            st.markdown(f"**{messages.plain(variant.name)}**")
        _chain(connection, detail, variant)
    if not detail.endpoint.variants:
        st.caption("The model is unknown: no permission to read the configuration.")


def _chain(connection: Connection, detail: EndpointDetail, variant: Variant) -> None:
    model = detail.model(variant.model)
    job = (model.job if model else "") or detail.endpoint.job
    with st.container(border=True, gap="xsmall"):
        _job(job)
        st.markdown(ARROW)
        _artifact(connection, model.model_uri if model else "")
        st.markdown(ARROW)
        _line("deployed_code", "Model", variant.model or "unknown", _created(model))
        st.markdown(ARROW)
        config = detail.config
        created = f"created {formatting.moment(config.created_at)}" if config else GONE
        _line("tune", "Configuration", detail.endpoint.config or "unknown", created)
        st.markdown(ARROW)
        _line("dns", "Endpoint", detail.name, f"created {formatting.moment(detail.endpoint.created_at)}")
        st.markdown(ARROW)
        _masks(detail)


def _job(name: str) -> None:
    if not name:
        _line("model_training", "Training job", "unknown", "neither the artifact's URI nor a tag names it")
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(":material/model_training: Training job", width="content")
        links.page_link(links.TRAINING_JOB, label=messages.plain(name), query_params={state.JOB: name})


def _artifact(connection: Connection, uri: str) -> None:
    if not uri:
        _line("folder_zip", "Artifact", "unknown")
        return
    console = "" if connection.is_sandbox else links.s3_console(uri, connection.region)
    link = f" {markdown_link(':material/open_in_new:', console)}" if console else ""
    st.markdown(f":material/folder_zip: Artifact{link}")
    elements.code(uri, language=None, wrap_lines=True)


def _masks(detail: EndpointDetail) -> None:
    names = (
        f"{len(detail.classes)} classes: {', '.join(detail.classes.names)}"
        if detail.classes
        else "class names unknown"
    )
    _line("imagesmode", "Masks", "", names)


def _created(model: Model | None) -> str:
    if model is None:
        return GONE
    return f"created {formatting.moment(model.created_at)}" if model.created_at else ""


def _line(icon: str, what: str, name: str, more: str = "") -> None:
    bold = f" **{messages.plain(name)}**" if name else ""
    after = f" :gray[· {messages.plain(more)}]" if more else ""
    st.markdown(f":material/{icon}: {what}{bold}{after}")
