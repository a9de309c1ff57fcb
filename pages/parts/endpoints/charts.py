"""The curves of one endpoint over a window of time: calls, latency, errors, utilisation."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from core.aws.connection import Connection
from core.aws.traffic import WINDOWS, Window
from core.endpoints.endpoint import Endpoint
from core.text import duration
from core.training.curves import MetricSeries
from pages.parts import charts, messages
from pages.parts.endpoints import data, slots
from pages.parts.shared_cache import Snapshot

HEIGHT = 220
DAILY_FROM = timedelta(hours=1)
"""With steps of this length on, the axis tells days and no longer hours."""

USUAL: Window = "24 h"
MACHINE = {
    "CPUUtilization": "CPU",
    "MemoryUtilization": "Memory",
    "GPUUtilization": "GPU",
    "GPUMemoryUtilization": "GPU memory",
}
CALLS, LATENCY = {"Invocations": "Calls"}, {"p50": "p50", "p90": "p90"}
ERRORS = {"Errors 4xx": "4xx, the caller's", "Errors 5xx": "5xx, the model's"}
FAILED = dict(zip(ERRORS.values(), ("#f59e0b", "#ef4444"), strict=True))


def show(connection: Connection, endpoint: Endpoint, seen: Snapshot[Any]) -> None:
    """The choice of the window, and four charts."""
    window: Window = st.pills(
        "Window",
        list(WINDOWS),
        default=USUAL,
        required=True,
        key=slots.WINDOW,
        bind="query-params",
        label_visibility="collapsed",
    )
    found = data.series(connection, endpoint, window)
    messages.why_not(found, seen)
    if found.waiting is not None:
        return
    if not found.value:
        st.caption(f"CloudWatch has no figures of the last {window}." if found.failure is None else "")
        return
    by_name = {one.name: one for one in found.value}
    every = WINDOWS[window][1]
    axis = alt.X(
        "x:T",
        title=None,
        axis=alt.Axis(format="%H:%M" if every < DAILY_FROM else "%d %b", labelOverlap=True, tickCount=7),
        scale=alt.Scale(domain=[at.isoformat() for at in (found.at - WINDOWS[window][0], found.at)]),
    )
    with st.grid(2, min_column_width=320, gap="small"):
        _bars(_frame(by_name, CALLS), f"Calls, {_step(every)}", axis, every, none="No call.")
        _lines(_frame(by_name, LATENCY, 1 / 1000), "Latency, seconds", axis, none="No latency was measured.")
        _bars(_frame(by_name, ERRORS), f"Failed calls, {_step(every)}", axis, every, none="No call failed.")
        _lines(_frame(by_name, MACHINE), "Machines, percent", axis, none="No figures of the machines.")
    st.caption(
        "By CloudWatch, all variants together. CPU is the sum over the cores, GPU the sum over the GPUs."
    )


def _step(every: timedelta) -> str:
    said = duration(every.total_seconds())
    return f"each {said.removesuffix(' 00 s').removesuffix(' 00 min')}"


def _bars(frame: pd.DataFrame, title: str, axis: alt.X, every: timedelta, *, none: str) -> None:
    """Counts, one kind on top of the other; a bar lasts as long as its step."""
    frame = frame[frame["value"] > 0].copy()
    frame["end"], frame["top"] = frame["x"] + 0.9 * every, frame.groupby("x")["value"].cumsum()
    frame["foot"] = frame["top"] - frame["value"]
    whole = alt.Axis(tickMinStep=1, tickCount=4, format="d")
    chart = (
        alt.Chart(frame)
        .mark_rect()
        .encode(
            x=axis,
            x2="end:T",
            y=alt.Y("foot:Q", title=title, axis=whole),
            y2="top:Q",
            color=_color(frame),
            tooltip=_tooltip(".0f"),
        )
    )
    _draw(chart, frame, title, none)


def _lines(frame: pd.DataFrame, title: str, axis: alt.X, *, none: str) -> None:
    chart = (
        alt.Chart(frame)
        .mark_line(point=alt.OverlayMarkDef(size=18), strokeWidth=2)
        .encode(
            x=axis,
            y=alt.Y("value:Q", title=title, axis=alt.Axis(tickCount=4)),
            color=_color(frame),
            tooltip=_tooltip(".3~f"),
        )
    )
    _draw(chart, frame, title, none)


def _color(frame: pd.DataFrame) -> alt.Color:
    """What failed is told in the colours of warnings. A single line has a legend too: so all begin at one height."""
    labels = list(dict.fromkeys(frame["name"]))
    failed = set(labels) & set(ERRORS.values())
    colors = [FAILED[label] for label in labels] if failed else list(charts.colors(len(labels)))
    legend = alt.Legend(title=None, orient="top")
    return alt.Color("name:N", scale=alt.Scale(domain=labels, range=colors), legend=legend)


def _tooltip(form: str) -> list[object]:
    return [
        "name:N",
        alt.Tooltip("value:Q", format=form),
        alt.Tooltip("x:T", format="%d %b %H:%M", title="from"),
    ]


def _draw(chart: alt.Chart, frame: pd.DataFrame, title: str, none: str) -> None:
    """A chart without a point says so in its place."""
    if frame.empty:
        with st.container(
            border=True, height=HEIGHT, vertical_alignment="center", horizontal_alignment="center"
        ):
            st.caption(none, width="content")
        return
    st.altair_chart(chart.properties(height=HEIGHT), width="stretch", alt=title)


def _frame(found: Mapping[str, MetricSeries], names: Mapping[str, str], scale: float = 1) -> pd.DataFrame:
    """A row a finite point, its value multiplied; times are UTC, which the browser tells in its own zone."""
    several = [
        pd.DataFrame({"name": label, "x": pd.to_datetime(one.times, utc=True), "value": scale * one.values})[
            np.isfinite(one.values)
        ]
        for name, label in names.items()
        if (one := found.get(name)) is not None
    ]
    empty = pd.DataFrame({"name": [], "x": pd.to_datetime([], utc=True), "value": np.empty(0)})
    return pd.concat(several, ignore_index=True) if several else empty
