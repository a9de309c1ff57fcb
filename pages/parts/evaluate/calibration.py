"""Confidence compared with accuracy: the reliability diagram, accuracy against coverage, and the thresholds."""

from __future__ import annotations

import math

import altair as alt
import pandas as pd
import streamlit as st

from core.escaping import terminal
from core.evaluation.calibration import HOW, Calibration
from core.evaluation.results import Evaluation
from core.text import percent
from pages.parts import elements, messages

HEIGHT = 300


def show(evaluation: Evaluation) -> None:
    """Draw the section, if probabilities were requested."""
    calibrated = [
        (scores.endpoint, scores.calibration) for scores in evaluation.endpoints if scores.calibration
    ]
    if not calibrated:
        return
    st.header("Calibration")
    for endpoint, calibration in calibrated:
        st.markdown(
            f"**{messages.plain(endpoint)}**: expected calibration error **{percent(calibration.error)}**"
        )
    left, right = st.columns(2, gap="medium")
    with left:
        st.altair_chart(reliability(calibrated), alt="Reliability diagram: accuracy by confidence")
    with right:
        st.altair_chart(coverage(calibrated), alt="Accuracy against coverage")
    with st.expander("Thresholds and classes"):
        st.caption(HOW)
        elements.dataframe(thresholds(calibrated), hide_index=True, alt="Scores by threshold")
        elements.dataframe(
            class_errors(evaluation, calibrated), hide_index=True, alt="Expected calibration error by class"
        )


def reliability(calibrated: list[tuple[str, Calibration]]) -> alt.LayerChart:
    """Return the accuracy of each bin by its mean confidence, next to the diagonal of perfect calibration."""
    rows = [
        {
            "endpoint": terminal(endpoint),
            "confidence": row.confidence,
            "accuracy": row.accuracy,
            "pixels": row.pixels,
        }
        for endpoint, calibration in calibrated
        for row in calibration.reliability
        if row.pixels
    ]
    share = alt.Scale(domain=[0, 1])
    diagonal = alt.Chart(pd.DataFrame({"confidence": [0, 1], "accuracy": [0, 1]})).mark_line(
        strokeDash=[4, 4], color="gray"
    )
    line = (
        alt.Chart(pd.DataFrame(rows))
        .mark_line(point=True)
        .encode(
            color=_color(calibrated),
            tooltip=[
                alt.Tooltip("endpoint:N", title="Endpoint"),
                alt.Tooltip("confidence:Q", title="Mean confidence", format=".1%"),
                alt.Tooltip("accuracy:Q", title="Accuracy", format=".1%"),
                alt.Tooltip("pixels:Q", title="Pixels", format=","),
            ],
        )
    )
    layers = [
        chart.encode(
            x=alt.X("confidence:Q", scale=share, title="Confidence", axis=alt.Axis(format="%")),
            y=alt.Y("accuracy:Q", scale=share, title="Accuracy", axis=alt.Axis(format="%")),
        )
        for chart in (diagonal, line)
    ]
    return alt.LayerChart(layer=layers, height=HEIGHT)


def coverage(calibrated: list[tuple[str, Calibration]]) -> alt.Chart:
    """Return the accuracy of the surest pixels by their share of all."""
    rows = [
        {"endpoint": terminal(endpoint)} | row._asdict()
        for endpoint, calibration in calibrated
        for row in calibration.curve
        if not math.isnan(row.accuracy)
    ]
    chart: alt.Chart = alt.Chart(pd.DataFrame(rows), height=HEIGHT).mark_line(point=True)
    encoded: alt.Chart = chart.encode(
        x=alt.X("coverage:Q", scale=alt.Scale(domain=[0, 1]), title="Coverage", axis=alt.Axis(format="%")),
        y=alt.Y("accuracy:Q", scale=alt.Scale(zero=False), title="Accuracy", axis=alt.Axis(format="%")),
        color=_color(calibrated),
        tooltip=[
            alt.Tooltip("endpoint:N", title="Endpoint"),
            alt.Tooltip("threshold:Q", title="Threshold", format=".2f"),
            alt.Tooltip("coverage:Q", title="Coverage", format=".1%"),
            alt.Tooltip("accuracy:Q", title="Accuracy", format=".1%"),
        ],
    )
    return encoded


def thresholds(calibrated: list[tuple[str, Calibration]]) -> pd.DataFrame:
    """Return a row per endpoint and threshold."""
    return pd.DataFrame(
        {
            "Endpoint": endpoint,
            "Threshold": row.threshold,
            "Coverage": percent(row.coverage),
            "Accuracy": percent(row.accuracy),
            "Mean IoU": percent(row.mean_iou),
        }
        for endpoint, calibration in calibrated
        for row in calibration.table
    )


def class_errors(evaluation: Evaluation, calibrated: list[tuple[str, Calibration]]) -> pd.DataFrame:
    """Return a row per class with the expected calibration error of each endpoint."""
    frame = pd.DataFrame({"Class": list(evaluation.classes.names)})
    for endpoint, calibration in calibrated:
        frame[endpoint] = [percent(error) for error in calibration.class_errors]
    return frame


def _color(calibrated: list[tuple[str, Calibration]]) -> alt.Color:
    legend = alt.Legend(orient="bottom", title=None) if len(calibrated) > 1 else None
    return alt.Color("endpoint:N", legend=legend)
