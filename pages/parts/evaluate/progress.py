"""The progress of an evaluation, and what it took."""

from __future__ import annotations

import time
from functools import partial

import streamlit as st

from core.evaluation.results import Evaluation
from core.imaging.pixel_budget import PIXELS
from core.text import duration, plural
from pages.parts import messages, tasks
from pages.parts.evaluate.run import MOST_KEPT, BackgroundEvaluation, delete_predictions

FEW_CALLS = 3
"""Images that must have been sent before the remaining time can be estimated."""


def show(evaluation: BackgroundEvaluation) -> Evaluation | None:
    """Draw the progress bar; once it is done, draw a summary and return the result."""
    result = tasks.show(
        evaluation,
        "evaluation",
        status=partial(_status, evaluation),
        stop_help="Images that are done are scored and cached. Start it again to continue.",
    )
    if result is not None:
        _summary(evaluation)
    return result


def _status(evaluation: BackgroundEvaluation) -> str:
    done, total = evaluation.done, evaluation.total
    names = " and ".join(messages.plain(endpoint.name) for endpoint in evaluation.task.endpoints)
    failed = f", {evaluation.failed:,} failed" if evaluation.failed else ""
    waiting = f" · {notice}" if (notice := PIXELS.notice()) else ""  # for memory that others use
    return f"Evaluating {names} · {done:,} of {plural(total, 'image')}{failed}{_left(evaluation)}{waiting}"


def _left(evaluation: BackgroundEvaluation) -> str:
    """Return the estimated remaining time; empty before it can be estimated."""
    done = evaluation.done
    if done - evaluation.cached < FEW_CALLS:
        return ""
    seconds = (time.monotonic() - evaluation.started) / done * (evaluation.total - done)
    return f" · {duration(seconds)} left"


def _summary(evaluation: BackgroundEvaluation) -> None:
    if evaluation.repeated:
        st.warning(
            f"Repeated {plural(evaluation.repeated, 'call')} that an interrupted evaluation had in flight; "
            "AWS may bill both attempts.",
            icon=":material/warning:",
        )
    cached = f", {evaluation.cached:,} of them cached" if evaluation.cached else ""
    failed = f", {evaluation.failed:,} failed" if evaluation.failed else ""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(
            f":material/timer: {evaluation.done:,} of {plural(evaluation.total, 'image')} from "
            f"{messages.plain(evaluation.title)} in {duration(evaluation.seconds)}{cached}{failed}.",
            width="content",
        )
        _cache(evaluation)


def _cache(evaluation: BackgroundEvaluation) -> None:
    """Draw where predictions are cached, and a button that deletes them."""
    with st.popover(
        plural(len(evaluation.store), "cached prediction"), icon=":material/inventory_2:", type="tertiary"
    ):
        st.markdown(
            f"Predictions are cached in {messages.code(str(evaluation.store.folder))}. A cached image is not "
            "sent, or billed, again. The cache keeps predictions for the "
            f"{MOST_KEPT} most recently evaluated endpoints or endpoint pairs."
        )
        st.button("Delete cached predictions", icon=":material/delete:", on_click=delete_predictions)
