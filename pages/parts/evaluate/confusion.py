"""The confusion matrix as a heat map, and the most confused classes; each leads to its images."""

from __future__ import annotations

from functools import partial

import altair as alt
import pandas as pd
import streamlit as st

from core.escaping import terminal
from core.evaluation.results import EndpointScores, Evaluation
from core.imaging.classes import IGNORE, Classes
from core.render.difference import CORRECT, DIFFERENCE, WRONG
from pages.parts import messages
from pages.parts.evaluate import image_view, slots

UNKNOWN_ID = "unknown ID"
"""The name of predictions whose class id is none of the classes."""

MOST_CLASSES, MOST_NUMBERED = 40, 14
"""Up to so many classes the matrix is drawn, and has a number in each cell."""

MISTAKES = 8
CELL_PIXELS, HIGHEST = 30, 640


def show(evaluation: Evaluation) -> None:
    """Draw the matrix of one endpoint, and the most confused classes next to it."""
    st.header("Confusion matrix")
    scores = image_view.choose_endpoint(evaluation)
    frame = cells(scores, evaluation.classes)
    if len(evaluation.classes) > MOST_CLASSES:
        _mistakes(frame, scores)
        return
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.altair_chart(
            matrix(frame, evaluation.classes, outside=bool(scores.total.outside.any())),
            key=slots.cell_key(),
            on_select=slots.take_cell,
            selection_mode="cell",
            alt="Confusion matrix of actual and predicted classes",
        )
    with right:
        st.caption(
            "Rows are actual classes, columns are predicted classes; a cell is the share of the actual class's "
            "pixels. Blue is correct, orange is wrong. Click a cell to see its images below."
        )
        _mistakes(frame, scores)


def _mistakes(frame: pd.DataFrame, scores: EndpointScores) -> None:
    """Draw a button for each pair of confused classes, which shows its images."""
    wrong = frame[(frame["kind"] == "wrong") & (frame["pixels"] > 0)].nlargest(MISTAKES, "pixels")
    if wrong.empty:
        st.markdown("**No misclassified pixels.**")
        return
    st.markdown("**Most confused classes**, share of all pixels")
    with st.container(gap=None):
        for row in wrong.itertuples():
            share = row.pixels / max(1, scores.total.pixels)
            st.button(
                f"**{share:.1%}**\u2003{messages.plain(row.actual)} predicted as {messages.plain(row.predicted)}",
                key=f"mistake-{row.Index}",
                type="tertiary",
                on_click=slots.choose_cell,
                args=((row.actual, row.predicted),),
            )


def cells(scores: EndpointScores, classes: Classes) -> pd.DataFrame:
    """Return a row per cell: actual and predicted class, pixels, share of the actual class, and whether correct."""
    actual_pixels = scores.total.ground_truth
    counts = {(actual, predicted): pixels for actual, predicted, pixels in scores.total.triples()}
    columns = [*range(len(classes)), *([IGNORE] if scores.total.outside.any() else [])]
    rows = [
        {
            "actual": terminal(classes.names[actual]),
            "predicted": UNKNOWN_ID if predicted == IGNORE else terminal(classes.names[predicted]),
            "pixels": counts.get((actual, predicted), 0),
            "share": counts.get((actual, predicted), 0) / max(1, int(actual_pixels[actual])),
            "kind": "correct" if actual == predicted else "wrong",
        }
        for actual in range(len(classes))
        for predicted in columns
    ]
    return pd.DataFrame(rows)


def matrix(frame: pd.DataFrame, classes: Classes, *, outside: bool) -> alt.LayerChart:
    """Return the heat map; every cell can be clicked."""
    names = list(map(terminal, classes.names))
    order = [*names, *([UNKNOWN_ID] if outside else [])]
    click = alt.selection_point(name="cell", fields=["actual", "predicted"], on="click", empty=False)
    colors = ["#{:02x}{:02x}{:02x}".format(*DIFFERENCE.colors[kind]) for kind in (CORRECT, WRONG)]
    base = alt.Chart(frame).encode(
        x=alt.X("predicted:N", sort=order, title="Predicted", axis=_axis(labelAngle=-45, orient="top")),
        y=alt.Y("actual:N", sort=names, title="Actual", axis=_axis()),
        tooltip=[
            alt.Tooltip("actual:N", title="Actual"),
            alt.Tooltip("predicted:N", title="Predicted"),
            alt.Tooltip("share:Q", title="Share", format=".1%"),
            alt.Tooltip("pixels:Q", title="Pixels", format=","),
        ],
    )
    fill = base.mark_rect(stroke="gray", strokeOpacity=0.25, cursor="pointer").encode(
        color=alt.Color("kind:N", scale=alt.Scale(domain=["correct", "wrong"], range=colors), legend=None),
        opacity=alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.04, 1]), legend=None),
        strokeWidth=alt.condition(click, alt.value(3), alt.value(1)),
    )
    layers: list[alt.Chart] = [fill.add_params(click)]
    if len(classes) <= MOST_NUMBERED:
        text = base.transform_filter("datum.share >= 0.005").mark_text(fontSize=11)
        layers.append(
            text.encode(
                text=alt.Text("share:Q", format=".0%"),
                color=alt.condition("datum.share > 0.4", alt.value("white"), alt.value("gray")),
            )
        )
    height = max(220, min(CELL_PIXELS * len(classes), HIGHEST)) + 90
    return alt.LayerChart(layer=layers, height=height)


_axis = partial(alt.Axis, labelOverlap=False, labelLimit=110)
