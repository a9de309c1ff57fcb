"""The curves of one training job."""

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
    MIOU: "mIOU",
    PIXEL_ACCURACY: "Pixel accuracy",
    THROUGHPUT: "Throughput",
    "CPUUtilization": "CPU",
    "MemoryUtilization": "Memory",
    "GPUUtilization": "GPU",
    "GPUMemoryUtilization": "GPU memory",
}
SOURCES = {
    "BatchGetMetrics": "SageMaker's metrics",
    "CloudWatch": "CloudWatch",
    "log": "the job's own log",
}


def training(curves: Sequence[MetricSeries], *, running: bool, early: EarlyStop | None) -> None:
    """Scores with the best epoch marked, and the loss; where they come from, and what is odd about them."""
    scores = [one for name in (MIOU, PIXEL_ACCURACY) if (one := named(curves, name)) is not None]
    loss = named(curves, LOSS)
    if not scores and loss is None:
        none = (
            "No metric has come yet: the first ones follow the first epoch."
            if running
            else "It has no metrics."
        )
        st.caption(none)
        return
    with st.grid(2, min_column_width=300, gap="small"):
        if scores:
            _chart(scores, "Validation", best=named(curves, MIOU))
        if loss is not None:
            _chart([loss], "Loss")
    shown = [*scores, *([loss] if loss is not None else [])]
    for text in (text for one in shown for text in notes(one)):
        st.caption(f":material/info: {messages.plain(text)}")
    if early is not None:
        st.caption(
            f":material/info: It stopped early, after {early.done} of {early.asked} epochs: no more gain."
        )
    st.caption(f"From {' and '.join(dict.fromkeys(SOURCES[one.source] for one in shown))}.")


def machine(found: Sequence[MetricSeries], *, running: bool) -> None:
    """CPU, memory and GPU in percent."""
    if not found:
        more = " yet; the first come a minute after its start" if running else ""
        st.caption(f"CloudWatch has no figures of the machine{more}.")
        return
    _chart(found, "Percent")
    st.caption("By CloudWatch, minute by minute. CPU is the sum over the cores, GPU the sum over the GPUs.")


def _chart(several: Sequence[MetricSeries], title: str, best: MetricSeries | None = None) -> None:
    """Lines over the epochs, or over time where the source tells no epochs."""
    by_epoch = all(one.epochs is not None for one in several)
    frame = pd.concat([_frame(one, by_epoch=by_epoch) for one in several], ignore_index=True)
    x = (
        alt.X("x:Q", title="Epoch", axis=alt.Axis(tickMinStep=1, format="d"))
        if by_epoch
        else alt.X("x:T", title=None, axis=alt.Axis(labelOverlap=True, tickCount=7))
    )
    names = list(dict.fromkeys(frame["name"]))
    base = alt.Chart(frame).encode(
        x=x,
        y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=False)),
        # A single line has a legend too: so charts side by side begin at one height.
        color=alt.Color("name:N", sort=names, legend=alt.Legend(title=None, orient="top")),
        tooltip=["name:N", alt.Tooltip("value:Q", format=".4f"), "x:Q" if by_epoch else "x:T"],
    )
    layers = [base.mark_line(point=len(frame) < 120, strokeWidth=2)]
    if best is not None and by_epoch:
        layers += _mark(best)
    st.altair_chart(alt.layer(*layers).properties(height=HEIGHT), width="stretch", alt=f"{title} by epoch")


def _mark(series: MetricSeries) -> list[alt.Chart]:
    """A line down at the best epoch, with its value above the curves, where nothing crosses it."""
    best = best_epoch(series)
    if best is None:
        return []
    said = f"best: {best.value:.3f} at {best.epoch}"
    base = alt.Chart(pd.DataFrame({"x": [best.epoch], "value": [best.value], "said": [said]})).encode(x="x:Q")
    rule = base.mark_rule(strokeDash=[4, 4], opacity=0.6, color="#8b5cf6")
    right = best.place > len(series) / 2
    text = base.mark_text(
        align="right" if right else "left",
        dx=4 if right else -4,
        baseline="bottom",
        color="#8b5cf6",
        fontSize=12,
        fontWeight=600,
    ).encode(text="said:N", y=alt.value(-5))
    return [rule, text]


def _frame(series: MetricSeries, *, by_epoch: bool) -> pd.DataFrame:
    """A row a finite point."""
    x = series.epochs if by_epoch else series.times
    frame = pd.DataFrame(
        {"name": terminal(NAMES.get(series.name, series.name)), "x": x, "value": series.values}
    )
    return frame[np.isfinite(series.values)]
