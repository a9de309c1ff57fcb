"""The scores of each class, of one endpoint or of two side by side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from core.escaping import terminal
from core.evaluation.report import Row, class_rows
from core.evaluation.results import Evaluation
from core.imaging.scores import TRIMAP_WIDTH
from pages.parts import elements

MOST_ROWS = 30
"""Up to so many classes the table has no scroll bar."""

OTHERS = {
    "dice": ("Dice", "Twice the intersection over the sum of ground-truth and predicted pixels (F1 score)."),
    "accuracy": ("Accuracy", "The share of the class's ground-truth pixels that are predicted correctly."),
    "trimap_iou": (
        "Trimap",
        f"Trimap IoU: IoU over pixels within {TRIMAP_WIDTH} pixels of a class border in the ground truth.",
    ),
    "boundary_iou": (
        "Boundary IoU",
        "IoU of the pixels near the contour of their own mask, inside of it (Cheng et al. 2021).",
    ),
    "boundary_f1": (
        "Boundary F1",
        "F1 of the contour pixels near the other mask's contour, averaged over the images (Csurka et al. 2013).",
    ),
    "image_iou": ("Per image", "The class's IoU in each image, averaged over the images with this class."),
}


def show(evaluation: Evaluation) -> None:
    """Draw a row per class."""
    rows = class_rows(evaluation)
    size = len(evaluation.classes)
    frame, columns = (
        _single(rows) if len(evaluation.endpoints) == 1 else _compared(evaluation, rows[:size], rows[size:])
    )
    colors = ["background-color: #{:02x}{:02x}{:02x}".format(*color) for color in evaluation.classes.colors]
    elements.dataframe(
        frame.style.apply(lambda _: colors, subset=["color"]),
        hide_index=True,
        column_config=columns,
        height="content" if size <= MOST_ROWS else 600,
        placeholder="–",
        alt="Scores of each class",
    )


def _start(rows: Sequence[Row]) -> tuple[pd.DataFrame, dict[str, Any]]:
    column = st.column_config
    frame = pd.DataFrame({"color": [""] * len(rows), "class": [row["class"] for row in rows]})
    frame["share"] = _percents(rows, "true_share")
    return frame, {
        "color": column.TextColumn("Color", width=60, pinned=True),
        "class": column.TextColumn("Class", width=130, pinned=True),
        "share": column.NumberColumn("Share", format="%.1f%%", width=75, help="Of all ground-truth pixels."),
    }


def _single(rows: Sequence[Row]) -> tuple[pd.DataFrame, dict[str, Any]]:
    frame, columns = _start(rows)
    frame["iou"], columns["iou"] = _percents(rows, "iou"), _bar("IoU")
    for name, (title, meaning) in OTHERS.items():
        frame[name] = _percents(rows, name)
        columns[name] = st.column_config.NumberColumn(title, format="%.1f%%", width=95, help=meaning)
    return frame, columns


def _compared(
    evaluation: Evaluation, first: Sequence[Row], second: Sequence[Row]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    frame, columns = _start(first)
    for name, rows, scores in zip(("iou", "other"), (first, second), evaluation.endpoints, strict=True):
        frame[name], columns[name] = _percents(rows, "iou"), _bar(f"IoU of {terminal(scores.endpoint)}")
    frame["difference"] = _percents(first, "iou_difference")
    columns["difference"] = st.column_config.NumberColumn(
        "Difference",
        format="%+.1f",
        width=100,
        help="In percentage points of IoU: the first endpoint minus the second.",
    )
    return frame, columns


def _percents(rows: Sequence[Row], name: str) -> pd.Series[float]:
    return pd.Series([row[name] for row in rows], dtype="float64") * 100


_bar = partial(st.column_config.ProgressColumn, format="%.1f%%", min_value=0, max_value=100, width=170)
