"""The charts of one training job: training curves and instance metrics."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from core.escaping import terminal
from core.training.curves import (
    LOSS,
    MIOU,
    PIXEL_ACCURACY,
    THROUGHPUT,
    EarlyStop,
    MetricSeries,
    best_epoch,
    named,
    notes,
)
from pages.parts import messages

HEIGHT = 240
NAMES = {
    LOSS: "Training loss",
    MIOU: "mean IoU",
    PIXEL_ACCURACY: "Pixel accuracy",
    THROUGHPUT: "Throughput",
    "CPUUtilization": "CPU",
    "MemoryUtilization": "Memory",
    "GPUUtilization": "GPU",
    "GPUMemoryUtilization": "GPU memory",
}
SOURCES = {
    "BatchGetMetrics": "SageMaker metrics",
    "CloudWatch": "CloudWatch",
    "log": "the job's log",
}


def training(curves: Sequence[MetricSeries], *, running: bool, early: EarlyStop | None) -> None:
    """Draw the validation scores with the best epoch marked, the loss, and notes on both, with their source."""
    scores = [series for name in (MIOU, PIXEL_ACCURACY) if (series := named(curves, name)) is not None]
    loss = named(curves, LOSS)
    if not scores and loss is None:
        st.caption(
            "No metrics yet: the first arrive after the first epoch."
            if running
            else "No metrics for this job."
        )
        return
    with st.grid(2, min_column_width=300, gap="small"):
        if scores:
            _chart(scores, "Validation", best=named(curves, MIOU))
        if loss is not None:
            _chart([loss], "Loss")
    shown = [*scores, *([loss] if loss is not None else [])]
    for note in (note for series in shown for note in notes(series)):
        st.caption(f":material/info: {messages.plain(note)}")
    if early is not None:
        st.caption(
            f":material/info: Stopped early after {early.done} of {early.requested} epochs: "
            "mean IoU stopped improving."
        )
    st.caption(f"Source: {' and '.join(dict.fromkeys(SOURCES[series.source] for series in shown))}.")


def instance_metrics(series: Sequence[MetricSeries], *, running: bool) -> None:
    """Draw the utilization of CPU, memory and GPU in percent."""
    if not series:
        yet = " yet: the first arrive about a minute after the start" if running else ""
        st.caption(f"CloudWatch has no instance metrics for this job{yet}.")
        return
    _chart(series, "Utilization (%)")
    st.caption("CloudWatch, one point per minute. CPU is summed over all cores, GPU over all GPUs.")


def _chart(curves: Sequence[MetricSeries], title: str, best: MetricSeries | None = None) -> None:
    """Draw lines by epoch, or over time where the source does not report epochs."""
    by_epoch = all(series.epochs is not None for series in curves)
    frame = pd.concat([_frame(series, by_epoch=by_epoch) for series in curves], ignore_index=True)
    x = (
        alt.X("x:Q", title="Epoch", axis=alt.Axis(tickMinStep=1, format="d"))
        if by_epoch
        else alt.X("x:T", title=None, axis=alt.Axis(labelOverlap=True, tickCount=7))
    )
    names = list(dict.fromkeys(frame["name"]))
    base = alt.Chart(frame).encode(
        x=x,
        y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=False)),
        # A single line has a legend too, so that the plots of charts side by side start at the same height.
        color=alt.Color("name:N", sort=names, legend=alt.Legend(title=None, orient="top")),
        tooltip=[
            alt.Tooltip("name:N", title="Metric"),
            alt.Tooltip("value:Q", title="Value", format=".4f"),
            alt.Tooltip("x:Q", title="Epoch")
            if by_epoch
            else alt.Tooltip("x:T", title="Time", format="%b %-d, %H:%M"),
        ],
    )
    layers = [base.mark_line(point=len(frame) < 120, strokeWidth=2)]
    if best is not None and by_epoch:
        layers += _best_mark(best)
    st.altair_chart(
        alt.layer(*layers).properties(height=HEIGHT),
        width="stretch",
        alt=f"{title} by epoch" if by_epoch else f"{title} over time",
    )


def _best_mark(series: MetricSeries) -> list[alt.Chart]:
    """Return a vertical line at the best epoch, with its value above the plot, where no curve crosses it."""
    best = best_epoch(series)
    if best is None:
        return []
    label = f"best: {best.value:.3f} at epoch {best.epoch}"
    base = alt.Chart(pd.DataFrame({"x": [best.epoch], "value": [best.value], "label": [label]})).encode(
        x="x:Q"
    )
    rule = base.mark_rule(strokeDash=[4, 4], opacity=0.6, color="#8b5cf6")
    right = best.place > len(series) / 2
    text = base.mark_text(
        align="right" if right else "left",
        dx=4 if right else -4,
        baseline="bottom",
        color="#8b5cf6",
        fontSize=12,
        fontWeight=600,
    ).encode(text="label:N", y=alt.value(-5))
    return [rule, text]


def _frame(series: MetricSeries, *, by_epoch: bool) -> pd.DataFrame:
    """Return one row per finite point: the metric's display name, x and value."""
    x = series.epochs if by_epoch else series.times
    frame = pd.DataFrame(
        {"name": terminal(NAMES.get(series.name, series.name)), "x": x, "value": series.values}
    )
    return frame[np.isfinite(series.values)]
