"""What was taken for what: the confusion as a heat map, and its largest mistakes; each leads to its photos."""

from __future__ import annotations

from functools import partial

import altair as alt
import pandas as pd
import streamlit as st

from core.escaping import terminal
from core.evaluation.results import EndpointScores, Evaluation
from core.imaging.classes import IGNORE, Classes
from core.render.difference import DIFFERENCE, RIGHT, WRONG
from pages.parts import messages
from pages.parts.evaluate import image_view, slots

NONE_OF_THESE = "none of these"
"""What a prediction is called whose id is none of the classes."""

MOST_CLASSES, MOST_NUMBERED = 40, 14
"""Up to so many classes the map is drawn, and has a number in each cell."""

MISTAKES = 8
CELL_PIXELS, HIGHEST = 30, 640


def show(found: Evaluation) -> None:
    """The map of one endpoint at the left, the largest mistakes at the right."""
    st.subheader("What was taken for what")
    verdict = image_view.looked_at(found)
    frame = cells(verdict, found.classes)
    if len(found.classes) > MOST_CLASSES:
        _mistakes(frame, verdict)
        return
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.altair_chart(
            matrix(frame, found.classes, outside=bool(verdict.total.outside.any())),
            key=slots.cell_key(),
            on_select=slots.take_cell,
            selection_mode="cell",
            alt="Confusion of true and predicted classes",
        )
    with right:
        st.caption(
            "A row a true class, a column what it was taken for, with the share of the true class's pixels. "
            "Blue is right, orange is wrong. Click a cell to see its photos below."
        )
        _mistakes(frame, verdict)


def _mistakes(frame: pd.DataFrame, verdict: EndpointScores) -> None:
    """Each is a button that shows its photos."""
    wrong = frame[(frame["kind"] == "wrong") & (frame["pixels"] > 0)].nlargest(MISTAKES, "pixels")
    if wrong.empty:
        st.markdown("**No mistake at all.**")
        return
    st.markdown("**Largest mistakes**, of all pixels")
    with st.container(gap=None):
        for row in wrong.itertuples():
            share = row.pixels / max(1, verdict.total.pixels)
            st.button(
                f"**{share:.1%}**\u2003{messages.plain(row.truth)} taken for {messages.plain(row.predicted)}",
                key=f"mistake-{row.Index}",
                type="tertiary",
                on_click=slots.choose_cell,
                args=((row.truth, row.predicted),),
            )


def cells(verdict: EndpointScores, classes: Classes) -> pd.DataFrame:
    """A row a cell: true and predicted class, pixels, share of the true class's pixels, and whether it is right."""
    truth = verdict.total.truth
    found = {(true, to): pixels for true, to, pixels in verdict.total.triples()}
    columns = [*range(len(classes)), *([IGNORE] if verdict.total.outside.any() else [])]
    rows = [
        {
            "truth": terminal(classes.names[true]),
            "predicted": NONE_OF_THESE if to == IGNORE else terminal(classes.names[to]),
            "pixels": found.get((true, to), 0),
            "share": found.get((true, to), 0) / max(1, int(truth[true])),
            "kind": "right" if true == to else "wrong",
        }
        for true in range(len(classes))
        for to in columns
    ]
    return pd.DataFrame(rows)


def matrix(frame: pd.DataFrame, classes: Classes, *, outside: bool) -> alt.LayerChart:
    """The heat map; every cell can be clicked."""
    names = list(map(terminal, classes.names))
    order = [*names, *([NONE_OF_THESE] if outside else [])]
    click = alt.selection_point(name="cell", fields=["truth", "predicted"], on="click", empty=False)
    colors = ["#{:02x}{:02x}{:02x}".format(*DIFFERENCE.colors[kind]) for kind in (RIGHT, WRONG)]
    base = alt.Chart(frame).encode(
        x=alt.X("predicted:N", sort=order, title="Taken for", axis=_axis(labelAngle=-45, orient="top")),
        y=alt.Y("truth:N", sort=names, title="Truth", axis=_axis()),
        tooltip=[
            alt.Tooltip("truth:N", title="Truth"),
            alt.Tooltip("predicted:N", title="Taken for"),
            alt.Tooltip("share:Q", title="Share", format=".1%"),
            alt.Tooltip("pixels:Q", title="Pixels", format=","),
        ],
    )
    fill = base.mark_rect(stroke="gray", strokeOpacity=0.25, cursor="pointer").encode(
        color=alt.Color("kind:N", scale=alt.Scale(domain=["right", "wrong"], range=colors), legend=None),
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
