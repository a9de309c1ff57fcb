"""The results of an evaluation, of one endpoint or of two."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd
import streamlit as st

from core.evaluation.files import make, worst_samples
from core.evaluation.pairs import LabeledImage
from core.evaluation.report import failure_rows
from core.evaluation.results import WHY_JOBS_DIFFER, Evaluation
from core.evaluation.store import FILES, PredictedMasks
from core.imaging.scores import MEASURES
from core.text import percent, plural
from pages.parts import downloads, elements, formatting, messages
from pages.parts.evaluate import class_table, confusion, image_view

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
    image_view.show(pairs, masks, evaluation)


def _overall(evaluation: Evaluation) -> None:
    """Draw the first endpoint's scores, with the difference from the second one, if there is one."""
    first, other = evaluation.endpoints[0], evaluation.endpoints[-1]
    with st.container(horizontal=True, gap="small"):
        for name in FIRST:
            title, meaning = MEASURES[name]
            ahead = first.measures[name] - other.measures[name]
            delta = f"{ahead * 100:+.1f} points" if other is not first and not math.isnan(ahead) else None
            value = percent(first.measures[name])
            st.metric(title, value, delta=delta, border=True, help=meaning, width="stretch")
    if other is not first:
        names = messages.plain(first.endpoint), messages.plain(other.endpoint)
        st.caption(f"**{names[0]}**, with the difference from **{names[1]}**.")
    with st.expander("All scores"):
        rows = {
            MEASURES[name][0]: [scores.measures[name] for scores in evaluation.endpoints] for name in MEASURES
        }
        columns = [scores.endpoint for scores in evaluation.endpoints]
        frame = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
        frame["meaning"] = [meaning for _, meaning in MEASURES.values()]
        shown = {name: st.column_config.NumberColumn(format="%.4f") for name in columns}
        elements.dataframe(
            frame,
            column_config={**shown, "meaning": st.column_config.TextColumn("Meaning")},
            alt="All scores",
        )


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
            downloads.button(
                label, partial(_file, pairs, masks, evaluation, name), f"{names}-{name}", FILES[name],
                key=f"get-{name}", icon=icon, help=help_text,
            )  # fmt: skip


def _file(pairs: Sequence[LabeledImage], masks: PredictedMasks, evaluation: Evaluation, name: str) -> bytes:
    return make(evaluation, name, lambda: worst_samples(evaluation, pairs, masks), formatting.now())
