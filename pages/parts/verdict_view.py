"""The verdict on one endpoint or two: its numbers, the classes, and what was taken for what."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from core.classes import IGNORE, Classes
from core.evaluation.report import class_rows, failure_rows
from core.evaluation.store import FILES
from core.evaluation.verdict import WHY_JOBS_DIFFER, Evaluation, Verdict
from core.evaluation.write import make, worst_shots
from core.render.difference import DIFFERENCE, RIGHT, WRONG
from core.scores import MEASURES
from core.wire.source import counted
from pages.parts import judged_view, messages, state, times
from pages.parts.judging import Judging

NONE_OF_THESE = "none of these"
"""What a prediction is called whose id is none of the classes."""

FIRST = ("mean_iou", "image_mean_iou", "boundary_mean_iou", "pixel_accuracy")
"""Shown large; the others stand behind a button."""

LABELS: Mapping[str, tuple[str, str, str]] = {
    "report.html": (
        "Report",
        ":material/description:",
        "One page with pictures, to send around or to print.",
    ),
    "classes.csv": ("Classes", ":material/table:", "CSV: a row an endpoint and class."),
    "images.csv": ("Photos", ":material/table_rows:", "CSV: a row an endpoint and photo, worst first."),
    "confusion.csv": ("Confusion", ":material/grid_on:", "CSV: what was taken for what, in pixels."),
    "report.json": ("JSON", ":material/data_object:", "All of it, for programs."),
}
CELL_PIXELS = 30
WIDEST = 620


def show(judging: Judging, found: Evaluation) -> None:
    """All of it, from the one number down to the single photo."""
    names = " and ".join(messages.plain(verdict.endpoint) for verdict in found.verdicts)
    st.subheader(f"{names} on {counted(found.photos, 'photo')}")
    _measures(found)
    _beside_jobs(found)
    for note in found.notes:
        st.caption(f":material/info: {messages.plain(note)}")
    _failures(found)
    left, right = st.columns([1, 1], gap="medium")
    with left:
        st.subheader("By class")
        _classes(found)
        _downloads(judging, found)
    with right:
        st.subheader("What was taken for what")
        _confusion(found)
    judged_view.show(judging, found)


def _measures(found: Evaluation) -> None:
    """The numbers of one endpoint; of two, those of the first with what the second gains."""
    last = found.verdicts[-1]
    with st.container(horizontal=True, gap="small"):
        for name in FIRST:
            title, meaning = MEASURES[name]
            value = last.measures[name]
            less = value - found.verdicts[0].measures[name]
            several = len(found.verdicts) > 1
            delta = f"{less * 100:+.1f} points" if several and not math.isnan(less) else None
            st.metric(title, _percent(value), delta=delta, border=True, help=meaning, width="stretch")
    if len(found.verdicts) > 1:
        first, second = (messages.plain(verdict.endpoint) for verdict in found.verdicts)
        st.caption(f"The numbers of **{second}**, and how far they are from those of **{first}**.")
    with st.expander("All scores"):
        rows = {
            MEASURES[name][0]: [verdict.measures[name] for verdict in found.verdicts] for name in MEASURES
        }
        columns = [verdict.endpoint for verdict in found.verdicts]
        frame = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
        frame["meaning"] = [meaning for _, meaning in MEASURES.values()]
        shown = {name: st.column_config.NumberColumn(format="%.4f") for name in columns}
        st.dataframe(
            frame,
            column_config={**shown, "meaning": st.column_config.TextColumn("What it is")},
            alt="All scores",
        )


def _beside_jobs(found: Evaluation) -> None:
    """What the training jobs said of the same models, and why that is another number."""
    for verdict in found.verdicts:
        job = (found.jobs or {}).get(verdict.endpoint)
        if job is None:
            continue
        st.markdown(
            f":material/model_training: The training job **{messages.plain(job.job)}** reported a validation mIOU of "
            f"**{_percent(job.best)}** at its best epoch and {_percent(job.last)} at its last; "
            f"here {messages.plain(verdict.endpoint)} has **{_percent(verdict.scores.mean_iou)}**.",
            help=WHY_JOBS_DIFFER,
        )


def _failures(found: Evaluation) -> None:
    if not found.failures:
        return
    rows = failure_rows(found)
    with st.expander(f"{counted(len(rows), 'answer')} could not be judged", icon=":material/error:"):
        for row in rows[:50]:
            whose = f" at {messages.plain(row['endpoint'])}" if row["endpoint"] else ""
            said = " ".join(messages.plain(row[part]) for part in ("what", "why", "todo") if row[part])
            st.markdown(f"**{messages.plain(row['name'])}**{whose}: {said}")
        if len(rows) > 50:
            st.caption(f"and {len(rows) - 50:,} more; all of them are in the JSON.")


def _classes(found: Evaluation) -> None:
    rows = class_rows(found)
    size = len(found.classes)
    first = rows[:size]
    table = pd.DataFrame(
        {
            "color": ["" for _ in first],
            "class": [row["class"] for row in first],
            "share": [row["true_share"] for row in first],
        }
    )
    bar = partial(st.column_config.ProgressColumn, format="percent", min_value=0, max_value=1, width=110)
    share = st.column_config.NumberColumn("Share", format="percent", width=65, help="Of the true pixels.")
    columns: dict[str, Any] = {
        "color": st.column_config.TextColumn("", width=24, pinned=True),
        "class": st.column_config.TextColumn("Class", width=110, pinned=True),
        "share": share,
    }
    if len(found.verdicts) == 1:
        titles = {
            "dice": "Dice",
            "accuracy": "Accuracy",
            "boundary_iou": "Boundary",
            "image_iou": "Per image",
        }
        table["iou"] = pd.Series([row["iou"] for row in first], dtype="float64")
        columns["iou"] = bar("IoU")
        for name, title in titles.items():
            table[name] = pd.Series([row[name] for row in first], dtype="float64")
            columns[name] = st.column_config.NumberColumn(title, format="percent", width=80)
    else:
        second = rows[size:]
        table["iou"] = pd.Series([row["iou"] for row in first], dtype="float64")
        table["other"] = pd.Series([row["iou"] for row in second], dtype="float64")
        table["difference"] = pd.Series([row["iou_difference"] for row in second], dtype="float64") * 100
        columns["iou"], columns["other"] = (bar(f"IoU {verdict.endpoint}") for verdict in found.verdicts)
        columns["difference"] = st.column_config.NumberColumn(
            "Difference",
            format="%+.1f",
            width=90,
            help="In percentage points of IoU: the second less the first.",
        )
    colors = ["background-color: #{:02x}{:02x}{:02x}".format(*color) for color in found.classes.colors]
    painted = table.style.apply(lambda _: colors, subset=["color"])
    st.dataframe(painted, hide_index=True, column_config=columns, placeholder="–", alt="IoU of each class")


def _confusion(found: Evaluation) -> None:
    """The matrix of one endpoint; a click on a cell chooses the photos below."""
    verdict = judged_view.looked_at(found)
    st.caption(
        "A row a true class, a column what it was taken for: the share of the true pixels. "
        ":blue[**Blue**] is right, :orange[**orange**] is wrong. Click a cell to see its photos."
    )
    frame = cells(verdict, found.classes)
    st.altair_chart(
        matrix(frame, found.classes, outside=bool(verdict.total.outside.any())),
        key=state.cell_key(),
        on_select="rerun",
        selection_mode="cell",
        width="stretch",
        alt="Confusion of true and predicted classes",
    )


def cells(verdict: Verdict, classes: Classes) -> pd.DataFrame:
    """A row a cell: true and predicted class, pixels, share of the true class's pixels, and whether it is right."""
    truth = verdict.total.truth
    found = {(true, to): pixels for true, to, pixels in verdict.total.triples()}
    columns = [*range(len(classes)), *([IGNORE] if verdict.total.outside.any() else [])]
    rows = [
        {
            "truth": classes.names[true],
            "predicted": NONE_OF_THESE if to == IGNORE else classes.names[to],
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
    order = [*classes.names, *([NONE_OF_THESE] if outside else [])]
    click = alt.selection_point(name="cell", fields=["truth", "predicted"], on="click", empty=False)
    colors = ["#{:02x}{:02x}{:02x}".format(*DIFFERENCE.colors[kind]) for kind in (RIGHT, WRONG)]
    base = alt.Chart(frame).encode(
        x=alt.X("predicted:N", sort=order, title="Taken for", axis=alt.Axis(labelAngle=-45, orient="top")),
        y=alt.Y("truth:N", sort=list(classes.names), title="Truth"),
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
    if len(classes) <= 14:
        text = base.transform_filter("datum.share >= 0.005").mark_text(fontSize=11)
        layers.append(
            text.encode(
                text=alt.Text("share:Q", format=".0%"),
                color=alt.condition("datum.share > 0.5", alt.value("white"), alt.value("gray")),
            )
        )
    height = max(220, min(CELL_PIXELS * len(classes), WIDEST)) + 90
    return alt.LayerChart(layer=layers, height=height)


def _downloads(judging: Judging, found: Evaluation) -> None:
    """A button a file. Each is made when its button is pressed."""
    names = "-against-".join(verdict.endpoint for verdict in found.verdicts)
    with st.grid(3, min_column_width=118, gap="xsmall"):
        for name, (label, icon, why) in LABELS.items():
            st.download_button(
                label, partial(_file, judging, found, name), f"{names}-{name}", FILES[name],
                key=f"get-{name}", icon=icon, help=why, on_click="ignore", width="stretch",
            )  # fmt: skip


def _file(judging: Judging, found: Evaluation, name: str) -> bytes:
    return make(found, name, lambda: worst_shots(found, judging.task.pairs, judging.store), times.now())


def _percent(share: float | None) -> str:
    return "–" if share is None or math.isnan(share) else f"{share:.1%}"
