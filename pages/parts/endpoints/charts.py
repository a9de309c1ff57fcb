"""Charts of one endpoint over a time window: calls, latency, errors, utilization."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
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
"""From this step length on, the axis shows days instead of hours."""

USUAL: Window = "24 h"
MACHINE = {
    "CPUUtilization": "CPU",
    "MemoryUtilization": "Memory",
    "GPUUtilization": "GPU",
    "GPUMemoryUtilization": "GPU memory",
}
CALLS, LATENCY = {"Invocations": "Calls"}, {"p50": "p50", "p90": "p90"}
ERRORS = {"Errors 4xx": "4xx (client)", "Errors 5xx": "5xx (model)"}
FAILED = dict(zip(ERRORS.values(), ("#f59e0b", "#ef4444"), strict=True))


def show(connection: Connection, endpoint: Endpoint, seen: Snapshot[Any]) -> None:
    """Draw the choice of the time window, and four charts."""
    window: Window = st.pills(
        "Window",
        list(WINDOWS),
        default=USUAL,
        required=True,
        key=slots.WINDOW,
        bind="query-params",
        label_visibility="collapsed",
    )
    series = data.series(connection, endpoint, window)
    messages.why_not(series, seen)
    if series.waiting is not None:
        return
    if not series.value:
        st.caption(f"No CloudWatch metrics for the last {window}." if series.failure is None else "")
        return
    by_name = {metric.name: metric for metric in series.value}
    every = WINDOWS[window][1]
    axis = alt.X(
        "x:T",
        title=None,
        axis=alt.Axis(format="%H:%M" if every < DAILY_FROM else "%b %-d", labelOverlap=True, tickCount=7),
        scale=_time_scale(series.at - WINDOWS[window][0], series.at),
    )
    with st.grid(2, min_column_width=320, gap="small"):
        _bars(_frame(by_name, CALLS), f"Calls {_step(every)}", axis, every, none="No calls.")
        _lines(_frame(by_name, LATENCY, 1 / 1000), "Latency (s)", axis, none="No latency data.")
        _bars(_frame(by_name, ERRORS), f"Failed calls {_step(every)}", axis, every, none="No failed calls.")
        _lines(_frame(by_name, MACHINE), "Utilization (%)", axis, none="No utilization metrics.")
    st.caption(
        "CloudWatch metrics of all variants. CPU is summed over cores and GPU over GPUs, so both can exceed 100%."
    )


def _time_scale(start: datetime, end: datetime) -> alt.Scale:
    """Return the scale of a time axis. Not with `domain`: for bars with an end, Vega-Lite reads that in two ways."""
    return alt.Scale(domainMin=1000 * start.timestamp(), domainMax=1000 * end.timestamp())


def _step(every: timedelta) -> str:
    step = duration(every.total_seconds())
    return f"per {step.removesuffix(' 00 s').removesuffix(' 00 min')}"


def _bars(frame: pd.DataFrame, title: str, axis: alt.X, every: timedelta, *, none: str) -> None:
    """Draw counts as stacked bars, each as wide as its time step."""
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
    """Return colors; errors get warning colors. A single line has a legend too, which keeps all charts aligned."""
    labels = list(dict.fromkeys(frame["name"]))
    failed = set(labels) & set(ERRORS.values())
    colors = [FAILED[label] for label in labels] if failed else list(charts.colors(len(labels)))
    legend = alt.Legend(title=None, orient="top")
    return alt.Color("name:N", scale=alt.Scale(domain=labels, range=colors), legend=legend)


def _tooltip(form: str) -> list[object]:
    return [
        "name:N",
        alt.Tooltip("value:Q", format=form),
        alt.Tooltip("x:T", format="%b %-d, %H:%M", title="from"),
    ]


def _draw(chart: alt.Chart, frame: pd.DataFrame, title: str, none: str) -> None:
    """Draw the chart, or a placeholder text if it has no points."""
    if frame.empty:
        with st.container(
            border=True, height=HEIGHT, vertical_alignment="center", horizontal_alignment="center"
        ):
            st.caption(none, width="content")
        return
    st.altair_chart(chart.properties(height=HEIGHT), width="stretch", alt=title)


def _frame(series: Mapping[str, MetricSeries], names: Mapping[str, str], scale: float = 1) -> pd.DataFrame:
    """Return one row per finite point, its value scaled; times are UTC and shown in the browser's time zone."""
    frames = [
        pd.DataFrame(
            {"name": label, "x": pd.to_datetime(metric.times, utc=True), "value": scale * metric.values}
        )[np.isfinite(metric.values)]
        for name, label in names.items()
        if (metric := series.get(name)) is not None
    ]
    empty = pd.DataFrame({"name": [], "x": pd.to_datetime([], utc=True), "value": np.empty(0)})
    return pd.concat(frames, ignore_index=True) if frames else empty
