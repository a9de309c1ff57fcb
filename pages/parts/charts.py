"""Curves of metrics, drawn over each other."""

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
    several: Mapping[str, MetricSeries],
    title: str,
    names: Sequence[str],
    *,
    lowest: bool = False,
) -> alt.LayerChart:
    """One metric of several jobs by epoch, each in its colour, with a dot at its best epoch. Without a legend.

    several: job -> series.
    names:   all the jobs, also without a series, so that the same jobs have the same colours in every chart.
    lowest:  whether the lowest is the best, as with a loss.
    """
    color = alt.Color(
        "job:N", scale=alt.Scale(domain=list(names), range=list(colors(len(names)))), legend=None
    )
    base = alt.Chart(points(several, lowest=lowest)).encode(
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
    every = base.mark_point(size=60, opacity=0)  # what the pointer finds
    return alt.LayerChart(layer=[line, best, every], height=HEIGHT)


def colors(number: int) -> tuple[str, ...]:
    """The theme's colours for so many things, over and over where there are more."""
    found: list[str] = st.get_option("theme.chartCategoricalColors")
    return tuple(islice(cycle(found), number))


def points(several: Mapping[str, MetricSeries], *, lowest: bool = False) -> pd.DataFrame:
    """Job, epoch, value and whether it is the job's best: a row a finite point."""
    frames = []
    for name, series in several.items():
        epochs = np.arange(len(series)) if series.epochs is None else series.epochs
        best = best_epoch(series, lowest=lowest)
        marks = np.arange(len(series)) == (-1 if best is None else best.place)
        frame = pd.DataFrame({"job": name, "epoch": epochs, "value": series.values, "best": marks})
        frames.append(frame[np.isfinite(series.values)])
    columns = ["job", "epoch", "value", "best"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)
