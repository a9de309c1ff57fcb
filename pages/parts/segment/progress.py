"""How far each picture is, while the page stays free for its visitor."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import streamlit as st

from core.text import listing
from pages.parts import messages, state
from pages.parts.segment.run import InferenceTask, Stage, queue, wait_a_little

TICK = 0.3
"""Seconds between two looks, while there is something to wait for."""

WATCH = 0.12
"""Seconds of each look that wait for a picture: it is shown at once, and clicks are never late by more than this."""

ICONS = {
    "waiting": ":gray[:material/hourglass_empty:]",
    "done": ":green[:material/check_circle:]",
    "failed": ":red[:material/error:]",
}


def show(works: Sequence[InferenceTask]) -> None:
    """A line a picture; runs the page again whenever one is over."""
    pending = any(not work.over for work in works)
    if pending or len(works) > 1:  # of a single picture, the page says the rest
        look = st.fragment(_look, run_every=TICK if pending else None)
        look(works, sum(work.over for work in works))
    failed = [work for work in works if work.error is not None]
    for _, group in groupby(sorted(failed, key=_reason), key=_reason):
        _failure(list(group))


def _look(works: Sequence[InferenceTask], over_at_draw: int) -> None:
    wait_a_little(works, WATCH)
    over = sum(work.over for work in works)
    _lines(works, over)
    if over > over_at_draw:
        st.rerun()


def _lines(works: Sequence[InferenceTask], over: int) -> None:
    stages = [work.stage for work in works]  # read once: they change while this is drawn
    done = over == len(works)
    failed = sum(work.error is not None for work in works)
    with st.status(
        _heading(works, stages, over, failed),
        expanded=not done,
        state="error" if done and failed == over else "complete" if done else "running",
    ):
        st.markdown("  \n".join(_line(work, stage) for work, stage in zip(works, stages, strict=True)))


def _heading(works: Sequence[InferenceTask], stages: Sequence[Stage], over: int, failed: int) -> str:
    if len(works) == 1:
        return _said(works[0], stages[0]).capitalize()
    if over < len(works):
        return f"{over} of {len(works)} pictures done"
    busy = sum(work.seconds for work in works)
    return f"{over - failed} pictures done in {busy:.1f} s" + (f", {failed} failed" if failed else "")


def _line(work: InferenceTask, stage: Stage) -> str:
    icon = ICONS.get(stage, ":primary[:material/progress_activity:]")
    text = _said(work, stage)
    return f"{icon} **{messages.plain(work.picture.name)}** · {text if stage in ICONS else f':shimmer[{text} …]'}"


def _said(work: InferenceTask, stage: Stage) -> str:
    return f"done in {work.seconds:.1f} s" if stage == "done" else stage


def _reason(work: InferenceTask) -> str:
    """What failures are told together by; a picture's own faults name it, so they stay apart."""
    return f"{type(work.error).__name__} {work.error}"


def _failure(works: list[InferenceTask]) -> None:
    """Why these failed, with a button that tries them again."""
    error = works[0].error
    assert error is not None  # noqa: S101  # for the type checker
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.error(f"{_names(works, error)}{messages.any_card(error)}", icon=":material/error:")
        st.button(
            "Try again" if len(works) == 1 else f"Try these {len(works)} again",
            key=f"again-{works[0].picture.id}",
            icon=":material/refresh:",
            on_click=_again,
            args=(works,),
        )


def _names(works: list[InferenceTask], error: BaseException) -> str:
    """Whose error it is, unless its text says so itself."""
    names = [work.picture.name for work in works]
    if len(names) == 1 and names[0] in str(error):
        return ""
    return f"{listing([messages.plain(name) for name in names], grouping='')}\n\n"


def _again(works: list[InferenceTask]) -> None:
    queue().retry(works)
    state.ask_retry()
