"""The results of an evaluation, of one endpoint or of two."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from core.escaping import terminal
from core.evaluation.bootstrap import COMPARED_CONFIDENCE, CONFIDENCE, HOW, Interval
from core.evaluation.files import make, worst_samples
from core.evaluation.pairs import LabeledImage
from core.evaluation.report import failure_rows
from core.evaluation.results import WHY_JOBS_DIFFER, Evaluation
from core.evaluation.store import FILES, PredictedMasks
from core.imaging.scores import ABSENT_CLASSES, MEASURES
from core.text import percent, plural
from pages.parts import downloads, elements, formatting, messages
from pages.parts.evaluate import calibration, class_table, confusion, image_view

FIRST = ("mean_iou", "image_mean_iou", "trimap_mean_iou", "pixel_accuracy")
"""Shown large; the others are in the table of all scores."""

MOST_FAILURES = 50
"""Failed predictions that are listed."""

LABELS: Mapping[str, tuple[str, str, str]] = {
    "report.html": (
        "Report",
        ":material/description:",
        "A page with images, to share or to print.",
    ),
    "scores.csv": (
        "Scores",
        ":material/analytics:",
        "CSV: one row per endpoint and score, with its confidence interval.",
    ),
    "suspects.csv": (
        "Suspects",
        ":material/flag:",
        "CSV: regions in which a confident model contradicts the ground truth, with their boxes. Needs calibration.",
    ),
    "classes.csv": ("Classes", ":material/table:", "CSV: one row per endpoint and class."),
    "images.csv": ("Images", ":material/table_rows:", "CSV: one row per endpoint and image, worst first."),
    "confusion.csv": ("Confusion matrix", ":material/grid_on:", "CSV: the confusion matrix, in pixels."),
    "report.json": ("JSON", ":material/data_object:", "All results, for scripts."),
}


def show(pairs: Sequence[LabeledImage], masks: PredictedMasks, evaluation: Evaluation) -> None:
    """Draw everything, from the overall scores down to the single image.

    pairs: the images of the evaluation. masks: their predictions.
    """
    names = " vs. ".join(messages.plain(scores.endpoint) for scores in evaluation.endpoints)
    st.header(f"{names} on {plural(evaluation.image_count, 'image')}")
    _overall(evaluation)
    _training_scores(evaluation)
    if evaluation.notes:
        st.warning("\n\n".join(map(messages.plain, evaluation.notes)), icon=":material/warning:")
    _failures(evaluation)
    _downloads(pairs, masks, evaluation)
    st.header("Scores by class")
    class_table.show(evaluation)
    confusion.show(evaluation)
    calibration.show(evaluation)
    image_view.show(pairs, masks, evaluation)


def _overall(evaluation: Evaluation) -> None:
    """Draw the first endpoint's scores, with the difference from the second one, if there is one."""
    first, other = evaluation.endpoints[0], evaluation.endpoints[-1]
    with st.container(horizontal=True, gap="small"):
        for name in FIRST:
            title, meaning = MEASURES[name]
            ahead = first.measures[name] - other.measures[name]
            delta = f"{ahead * 100:+.1f} points" if other is not first and not math.isnan(ahead) else None
            value, bounds = percent(first.measures[name]), first.intervals[name]
            if bounds is not None:
                meaning = (
                    f"{CONFIDENCE:.0%} interval: {percent(bounds.low)} to {percent(bounds.high)}. {meaning}"
                )
            st.metric(title, value, delta=delta, border=True, help=meaning, width="stretch")
    comparison = evaluation.comparison
    if comparison is not None:
        st.markdown(f":material/balance: {messages.plain(comparison.sentence)}")
        names = messages.plain(first.endpoint), messages.plain(other.endpoint)
        st.caption(f"**{names[0]}**, with the difference from **{names[1]}**.")
    with st.expander("All scores"):
        st.caption(f"{ABSENT_CLASSES} {HOW}")
        frame, columns = all_scores(evaluation)
        elements.dataframe(frame, column_config=columns, alt="All scores")


def all_scores(evaluation: Evaluation) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return a row per score: of each endpoint with its interval, the difference of two, and the meaning."""
    column = st.column_config
    data: dict[str, list[Any]] = {}
    columns: dict[str, Any] = {}
    for index, scores in enumerate(evaluation.endpoints):
        data[f"value {index}"] = [scores.measures[name] for name in MEASURES]
        columns[f"value {index}"] = column.NumberColumn(
            f"Score of {terminal(scores.endpoint)}", format="%.4f"
        )
        data[f"interval {index}"] = [_bounds(scores.intervals[name]) for name in MEASURES]
        columns[f"interval {index}"] = column.TextColumn(f"{CONFIDENCE:.0%} interval")
    if (comparison := evaluation.comparison) is not None:
        data["ahead"] = [comparison.differences[name] for name in MEASURES]
        columns["ahead"] = column.NumberColumn("Difference", format="%+.4f")
        data["ahead interval"] = [_bounds(comparison.intervals[name], "+") for name in MEASURES]
        columns["ahead interval"] = column.TextColumn(f"{COMPARED_CONFIDENCE:.0%} interval")
    data["meaning"] = [meaning for _, meaning in MEASURES.values()]
    columns["meaning"] = column.TextColumn("Meaning")
    return pd.DataFrame(data, index=[title for title, _ in MEASURES.values()]), columns


def _bounds(bounds: Interval | None, sign: str = "") -> str | None:
    return None if bounds is None else f"{bounds.low:{sign}.4f} to {bounds.high:{sign}.4f}"


def _training_scores(evaluation: Evaluation) -> None:
    """Draw what the training jobs reported for the same models, and why that is another number."""
    for scores in evaluation.endpoints:
        job = (evaluation.jobs or {}).get(scores.endpoint)
        if job is None:
            continue
        st.markdown(
            f":material/model_training: The training job **{messages.plain(job.job)}** reported a validation mean "
            f"IoU of **{percent(job.best)}** at its best epoch and {percent(job.last)} at its last; "
            f"this evaluation of {messages.plain(scores.endpoint)} has **{percent(scores.scores.mean_iou)}**."
        )
    if evaluation.jobs:
        with st.expander("Why these numbers may differ"):
            st.write(WHY_JOBS_DIFFER)


def _failures(evaluation: Evaluation) -> None:
    if not evaluation.failures:
        return
    rows = failure_rows(evaluation)
    with st.expander(f"{plural(len(rows), 'prediction')} failed", icon=":material/error:"):
        for row in rows[:MOST_FAILURES]:
            endpoint = f" at {messages.plain(row['endpoint'])}" if row["endpoint"] else ""
            text = " ".join(messages.plain(row[part]) for part in ("what", "why", "todo") if row[part])
            st.markdown(f"**{messages.plain(row['name'])}**{endpoint}: {text}")
        if len(rows) > MOST_FAILURES:
            st.caption(f"and {len(rows) - MOST_FAILURES:,} more. The JSON has all of them.")


def _downloads(pairs: Sequence[LabeledImage], masks: PredictedMasks, evaluation: Evaluation) -> None:
    """Draw a button per file. Each file is made when its button is clicked."""
    names = "-vs-".join(scores.endpoint for scores in evaluation.endpoints)
    with st.container(horizontal=True, gap="xsmall"):
        for name, (label, icon, help_text) in LABELS.items():
            if name == "suspects.csv" and all(scores.calibration is None for scores in evaluation.endpoints):
                continue
            downloads.button(
                label, partial(_file, pairs, masks, evaluation, name), f"{names}-{name}", FILES[name],
                key=f"get-{name}", icon=icon, help=help_text,
            )  # fmt: skip


def _file(pairs: Sequence[LabeledImage], masks: PredictedMasks, evaluation: Evaluation, name: str) -> bytes:
    return make(evaluation, name, lambda: worst_samples(evaluation, pairs, masks), formatting.now())
