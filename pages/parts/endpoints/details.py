"""The lower part of an endpoint's page, by tabs. What is dear is asked for when its tab is open."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from core.aws.connection import Connection
from core.endpoints.detail import EndpointDetail
from core.escaping import json_text, terminal
from pages.parts import elements, messages, state
from pages.parts.endpoints import charts, data, lineage, scaling, test_call
from pages.parts.endpoints.data import EndpointSnapshot
from pages.parts.jobs import details
from pages.parts.jobs import log as job_log
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


def show(connection: Connection, found: EndpointSnapshot) -> None:
    """Draw all tabs; only the open one is drawn. Those that need what is absent say why it is."""
    seen, detail = found.seen, found.seen.value
    parts: dict[str, Callable[[], None]] = {
        TRAFFIC: lambda: charts.show(connection, detail.endpoint, seen),
        TRY: lambda: test_call.show(connection, detail),
        SCALE: lambda: scaling.show(connection, detail),
        LOG: lambda: _log(connection, seen),
        CONFIG: lambda: _config(detail),
        LINEAGE: lambda: lineage.show(connection, detail),
    }
    tabs = st.tabs(list(parts), key=state.ENDPOINT_TAB, on_change="rerun", bind="query-params")
    for tab, (name, draw) in zip(tabs, parts.items(), strict=True):
        if tab.open:
            with tab, messages.error_door(name):
                if found.absent is not None and name in WHOLE:
                    raise found.absent
                draw()


def _log(connection: Connection, seen: Snapshot[EndpointDetail]) -> None:
    """The log of one machine, by default of the one that wrote last."""
    name = seen.value.name
    streams = data.streams(connection, name)
    details.why_not(streams, seen)
    if (streams.failure is not None or streams.waiting is not None) and not streams.value:
        return
    stream = streams.value[0] if streams.value else ""
    if len(streams.value) > 1:
        stream = (
            st.selectbox("Machine", streams.value, format_func=terminal, key=f"stream-{name}", width=420)
            or stream
        )
    log = data.log(connection, name, stream)
    details.why_not(log, seen)
    if log.value.has_log or (log.failure is None and log.waiting is None):
        job_log.show(name, log.value, "No line has come: the log begins when its container does.")


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
