"""How far an evaluation is, with a button that stops it."""

from __future__ import annotations

import time

import streamlit as st

from core.imaging.pixel_budget import PIXELS
from core.text import duration, plural
from pages.parts import messages
from pages.parts.evaluate.run import MOST_KEPT, BackgroundEvaluation, forget_answers

TICK = 0.5
"""Seconds between two looks."""


def show(judging: BackgroundEvaluation) -> None:
    """The bar while it runs, a line afterwards; the page runs again when it is over."""
    look = st.fragment(_look, run_every=None if judging.over else TICK)
    look(judging, judging.over)


def _look(judging: BackgroundEvaluation, over_at_draw: bool) -> None:
    if judging.over and not over_at_draw:
        st.rerun()
    total = len(judging.task.pairs)
    if not judging.over:
        _bar(judging, total)
        return
    if judging.error is not None:
        st.error(messages.any_card(judging.error), icon=":material/error:")
        return
    known = f", {judging.remembered:,} of them known from before" if judging.remembered else ""
    failed = f", {judging.failed:,} failed" if judging.failed else ""
    if judging.repeated:
        st.warning(
            f"{plural(judging.repeated, 'call')} made again: an earlier evaluation was interrupted while they were "
            "in flight, and AWS may have billed them then.",
            icon=":material/warning:",
        )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(
            f":material/timer: {judging.done:,} of {plural(total, 'photo')} of {messages.plain(judging.title)} "
            f"in {duration(judging.seconds)}{known}{failed}.",
            width="content",
        )
        _kept(judging)


def _kept(judging: BackgroundEvaluation) -> None:
    """What lies on the disk, and the way to be rid of it."""
    with st.popover(
        f"{plural(len(judging.store), 'kept answer')}", icon=":material/inventory_2:", type="tertiary"
    ):
        st.markdown(
            f"Answers are kept in {messages.code(str(judging.store.folder))}: what is there is not asked, or "
            f"billed, again. Those of the {MOST_KEPT} endpoints, or pairs of two, that were evaluated last stay."
        )
        st.button("Forget these answers", icon=":material/delete:", on_click=forget_answers)


def _bar(judging: BackgroundEvaluation, total: int) -> None:
    done = judging.done
    left = _left(judging, done, total)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        names = " and ".join(messages.plain(one.name) for one in judging.task.endpoints)
        failed = f", {judging.failed:,} failed" if judging.failed else ""
        st.progress(
            done / total,
            f"Asking {names} · {done:,} of {plural(total, 'photo')}{failed}{left}{_waiting()}",
            width="stretch",
        )
        st.button(
            "Stopping …" if judging.stopping else "Stop",
            icon=":material/stop_circle:",
            on_click=judging.stop,
            disabled=judging.stopping,
            help="What is done is judged and kept; started again, it goes on from there.",
        )


def _waiting() -> str:
    """Say that images wait for memory, whoever uses it."""
    notice = PIXELS.notice()
    return f" · {notice}" if notice else ""


def _left(judging: BackgroundEvaluation, done: int, total: int) -> str:
    """How long it will take, once that can be guessed."""
    asked = done - judging.remembered
    if asked < 3:
        return ""
    seconds = (time.monotonic() - judging.started) / done * (total - done)
    return f" · {duration(seconds)} left"
