"""How far each picture is, while the page stays free for its visitor."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import streamlit as st

from pages.parts import messages, state
from pages.parts.work import Work, wait_a_little

TICK = 0.3
"""Seconds between two looks, while there is something to wait for."""

WATCH = 0.12
"""Seconds of each look that wait for a picture: it is shown at once, and clicks are never late by more than this."""

ICONS = {
    "waiting": ":gray[:material/hourglass_empty:]",
    "done": ":green[:material/check_circle:]",
    "failed": ":red[:material/error:]",
}


def show(works: Sequence[Work]) -> None:
    """A line a picture; runs the page again whenever one is over."""
    pending = any(not work.over for work in works)
    st.fragment(_look, run_every=TICK if pending else None)(works, sum(work.over for work in works))
    failed = [work for work in works if work.error is not None]
    for _, group in groupby(sorted(failed, key=_reason), key=_reason):
        _failure(list(group))


def _look(works: Sequence[Work], over_at_draw: int) -> None:
    wait_a_little(works, WATCH)
    over = sum(work.over for work in works)
    _lines(works, over)
    if over > over_at_draw:
        st.rerun()


def _lines(works: Sequence[Work], over: int) -> None:
    failed = sum(work.error is not None for work in works)
    words = f"{over} of {len(works)} pictures" if over < len(works) else f"{len(works)} pictures"
    label = "1 picture" if len(works) == 1 else words
    done = over == len(works)
    with st.status(
        f"{label}{_ending(works, over, failed)}",
        expanded=not done,
        state="error" if done and failed == over else "complete" if done else "running",
    ):
        st.markdown("  \n".join(map(_line, works)))


def _ending(works: Sequence[Work], over: int, failed: int) -> str:
    if over < len(works):
        return f": {works[0].stage}" if len(works) == 1 else " done"
    if failed:
        return f", {failed} failed" if len(works) > 1 else " failed"
    return f" done in {sum(work.seconds for work in works):.1f} s"


def _line(work: Work) -> str:
    icon = ICONS.get(work.stage, ":primary[:material/progress_activity:]")
    text: str = work.stage
    if work.stage == "done":
        text = f"done in {work.seconds:.1f} s"
    elif work.stage not in ICONS:
        text = f":shimmer[{work.stage} …]"
    return f"{icon} **{messages.plain(work.picture.name)}** · {text}"


def _reason(work: Work) -> str:
    """What failures are told together by; a picture's own faults name it, so they stay apart."""
    return f"{type(work.error).__name__} {work.error}"


def _failure(works: list[Work]) -> None:
    """Why these failed, with a button that tries them again."""
    error = works[0].error
    assert error is not None  # noqa: S101  # for the type checker
    names = ", ".join(messages.plain(work.picture.name) for work in works[:5])
    more = f" and {len(works) - 5} more" if len(works) > 5 else ""
    with st.container(gap="xsmall"):
        st.error(f"**{names}{more}**\n\n{messages.any_card(error)}", icon=":material/error:")
        st.button(
            "Try again" if len(works) == 1 else f"Try these {len(works)} again",
            key=f"again-{works[0].picture.id}",
            icon=":material/refresh:",
            on_click=_again,
            args=(works,),
        )


def _again(works: list[Work]) -> None:
    state.bench().retry(works)
    state.ask_retry()
