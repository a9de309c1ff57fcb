"""Charts with the metric curves of several jobs in one plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle, islice

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from core.training.curves import MetricSeries, best_epoch

HEIGHT = 260


def overlay(
    by_job: Mapping[str, MetricSeries],
    title: str,
    names: Sequence[str],
    *,
    lowest: bool = False,
) -> alt.LayerChart:
    """Return a chart of one metric of several jobs by epoch, with a dot at each job's best epoch and no legend.

    by_job: job name -> series.
    names:  all jobs, including those without a series, so that a job has the same color in every chart.
    lowest: whether the lowest value is the best, as with a loss.
    """
    color = alt.Color(
        "job:N", scale=alt.Scale(domain=list(names), range=list(colors(len(names)))), legend=None
    )
    base = alt.Chart(points(by_job, lowest=lowest)).encode(
        x=alt.X("epoch:Q", title="Epoch", axis=alt.Axis(tickMinStep=1, format="d")),
        y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=False)),
        color=color,
        tooltip=[
            alt.Tooltip("job:N", title="Job"),
            alt.Tooltip("epoch:Q", title="Epoch"),
            alt.Tooltip("value:Q", title=title, format=".4f"),
        ],
    )
    line = base.mark_line(strokeWidth=2)
    best = base.transform_filter("datum.best").mark_point(size=70, filled=True, opacity=1)
    hover = base.mark_point(size=60, opacity=0)  # invisible targets for the tooltip
    return alt.LayerChart(layer=[line, best, hover], height=HEIGHT)


def colors(number: int) -> tuple[str, ...]:
    """Return this many of the theme's chart colors; they repeat where there are more series than colors."""
    theme: list[str] = st.get_option("theme.chartCategoricalColors")
    return tuple(islice(cycle(theme), number))


def points(by_job: Mapping[str, MetricSeries], *, lowest: bool = False) -> pd.DataFrame:
    """Return one row per finite point: job, epoch, value, and whether it is the job's best."""
    frames = []
    for name, series in by_job.items():
        epochs = np.arange(len(series)) if series.epochs is None else series.epochs
        best = best_epoch(series, lowest=lowest)
        is_best = np.arange(len(series)) == (-1 if best is None else best.place)
        frame = pd.DataFrame({"job": name, "epoch": epochs, "value": series.values, "best": is_best})
        frames.append(frame[np.isfinite(series.values)])
    columns = ["job", "epoch", "value", "best"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)
