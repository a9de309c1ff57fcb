"""The scores of each class, of one endpoint or of two side by side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from core.evaluation.report import Row, class_rows
from core.evaluation.results import Evaluation
from core.imaging.scores import BAND
from pages.parts import elements

WHOLE = 30
"""Up to so many classes the table is as high as it is long."""

OTHERS = {
    "dice": ("Dice", "Twice the common pixels over those of truth and prediction together; also called F1."),
    "accuracy": ("Accuracy", "The share of the class's true pixels that is right."),
    "boundary_iou": ("Boundary", f"IoU of the pixels within {BAND} of a border of the truth."),
    "image_iou": ("Per image", "The IoU of each photo with this class, averaged over those photos."),
}


def show(found: Evaluation) -> None:
    """A row a class."""
    rows = class_rows(found)
    size = len(found.classes)
    frame, columns = _alone(rows) if len(found.endpoints) == 1 else _compared(found, rows[:size], rows[size:])
    colors = ["background-color: #{:02x}{:02x}{:02x}".format(*color) for color in found.classes.colors]
    elements.dataframe(
        frame.style.apply(lambda _: colors, subset=["color"]),
        hide_index=True,
        column_config=columns,
        height="content" if size <= WHOLE else 600,
        placeholder="–",
        alt="Scores of each class",
    )


def _start(rows: Sequence[Row]) -> tuple[pd.DataFrame, dict[str, Any]]:
    column = st.column_config
    frame = pd.DataFrame({"color": [""] * len(rows), "class": [row["class"] for row in rows]})
    frame["share"] = _percents(rows, "true_share")
    return frame, {
        "color": column.TextColumn("", width=24, pinned=True),
        "class": column.TextColumn("Class", width=130, pinned=True),
        "share": column.NumberColumn("Share", format="%.1f%%", width=75, help="Of all true pixels."),
    }


def _alone(rows: Sequence[Row]) -> tuple[pd.DataFrame, dict[str, Any]]:
    frame, columns = _start(rows)
    frame["iou"], columns["iou"] = _percents(rows, "iou"), _bar("IoU")
    for name, (title, meaning) in OTHERS.items():
        frame[name] = _percents(rows, name)
        columns[name] = st.column_config.NumberColumn(title, format="%.1f%%", width=95, help=meaning)
    return frame, columns


def _compared(
    found: Evaluation, first: Sequence[Row], second: Sequence[Row]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    frame, columns = _start(first)
    for name, rows, verdict in zip(("iou", "other"), (first, second), found.endpoints, strict=True):
        frame[name], columns[name] = _percents(rows, "iou"), _bar(f"IoU of {verdict.endpoint}")
    frame["difference"] = _percents(first, "iou_difference")
    columns["difference"] = st.column_config.NumberColumn(
        "Difference",
        format="%+.1f",
        width=100,
        help="In percentage points of IoU: the first less the second.",
    )
    return frame, columns


def _percents(rows: Sequence[Row], name: str) -> pd.Series[float]:
    return pd.Series([row[name] for row in rows], dtype="float64") * 100


_bar = partial(st.column_config.ProgressColumn, format="%.1f%%", min_value=0, max_value=100, width=170)
