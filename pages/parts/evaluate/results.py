"""The verdict on one endpoint or two."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import pandas as pd
import streamlit as st

from core.evaluation.files import make, worst_samples
from core.evaluation.report import failure_rows
from core.evaluation.results import WHY_JOBS_DIFFER, Evaluation
from core.evaluation.store import FILES
from core.imaging.scores import MEASURES
from core.text import percent, plural
from pages.parts import elements, formatting, messages
from pages.parts.evaluate import class_table, confusion, image_view
from pages.parts.evaluate.run import BackgroundEvaluation

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


def show(judging: BackgroundEvaluation, found: Evaluation) -> None:
    """All of it, from the one number down to the single photo."""
    names = " against ".join(messages.plain(verdict.endpoint) for verdict in found.endpoints)
    st.subheader(f"{names} on {plural(found.image_count, 'photo')}")
    _measures(found)
    _beside_jobs(found)
    if found.notes:
        st.warning("\n\n".join(map(messages.plain, found.notes)), icon=":material/warning:")
    _failures(found)
    _downloads(judging, found)
    st.subheader("By class")
    class_table.show(found)
    confusion.show(found)
    image_view.show(judging, found)


def _measures(found: Evaluation) -> None:
    """The numbers of the endpoint; where it is compared with another, how far it is ahead."""
    first, other = found.endpoints[0], found.endpoints[-1]
    with st.container(horizontal=True, gap="small"):
        for name in FIRST:
            title, meaning = MEASURES[name]
            less = first.measures[name] - other.measures[name]
            delta = f"{less * 100:+.1f} points" if other is not first and not math.isnan(less) else None
            value = percent(first.measures[name])
            st.metric(title, value, delta=delta, border=True, help=meaning, width="stretch")
    if other is not first:
        names = messages.plain(first.endpoint), messages.plain(other.endpoint)
        st.caption(f"The numbers of **{names[0]}**, and how far it is ahead of **{names[1]}**.")
    with st.expander("All scores"):
        rows = {
            MEASURES[name][0]: [verdict.measures[name] for verdict in found.endpoints] for name in MEASURES
        }
        columns = [verdict.endpoint for verdict in found.endpoints]
        frame = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
        frame["meaning"] = [meaning for _, meaning in MEASURES.values()]
        shown = {name: st.column_config.NumberColumn(format="%.4f") for name in columns}
        elements.dataframe(
            frame,
            column_config={**shown, "meaning": st.column_config.TextColumn("What it is")},
            alt="All scores",
        )


def _beside_jobs(found: Evaluation) -> None:
    """What the training jobs said of the same models, and why that is another number."""
    for verdict in found.endpoints:
        job = (found.jobs or {}).get(verdict.endpoint)
        if job is None:
            continue
        st.markdown(
            f":material/model_training: The training job **{messages.plain(job.job)}** reported a validation mIOU of "
            f"**{percent(job.best)}** at its best epoch and {percent(job.last)} at its last; "
            f"here {messages.plain(verdict.endpoint)} has **{percent(verdict.scores.mean_iou)}**."
        )
    if found.jobs:
        with st.expander("Why these two numbers may differ"):
            st.write(WHY_JOBS_DIFFER)


def _failures(found: Evaluation) -> None:
    if not found.failures:
        return
    rows = failure_rows(found)
    with st.expander(f"{plural(len(rows), 'answer')} could not be judged", icon=":material/error:"):
        for row in rows[:50]:
            whose = f" at {messages.plain(row['endpoint'])}" if row["endpoint"] else ""
            said = " ".join(messages.plain(row[part]) for part in ("what", "why", "todo") if row[part])
            st.markdown(f"**{messages.plain(row['name'])}**{whose}: {said}")
        if len(rows) > 50:
            st.caption(f"and {len(rows) - 50:,} more; all of them are in the JSON.")


def _downloads(judging: BackgroundEvaluation, found: Evaluation) -> None:
    """A button a file. Each is made when its button is pressed."""
    names = "-against-".join(verdict.endpoint for verdict in found.endpoints)
    with st.container(horizontal=True, gap="xsmall"):
        for name, (label, icon, why) in LABELS.items():
            st.download_button(
                label, partial(_file, judging, found, name), f"{names}-{name}", FILES[name],
                key=f"get-{name}", icon=icon, help=why, on_click="ignore",
            )  # fmt: skip


def _file(judging: BackgroundEvaluation, found: Evaluation, name: str) -> bytes:
    return make(
        found, name, lambda: worst_samples(found, judging.task.pairs, judging.store), formatting.now()
    )
