"""The progress of each image, while the page stays usable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

import streamlit as st

from core.text import listing
from pages.parts import messages, refresh, state, tasks
from pages.parts.segment.run import InferenceTask, SegmentationQueue

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

TICK = 0.3
"""Seconds between two updates, while there is something to wait for."""

PATIENCE = 0.12
"""Seconds of each update that wait for an image: it is shown at once, and clicks are delayed by no more than this."""

ICONS = {
    "waiting": ":gray[:material/hourglass_empty:]",
    "done": ":green[:material/check_circle:]",
    "failed": ":red[:material/error:]",
}


def show(
    inferences: Sequence[InferenceTask],
    queue: SegmentationQueue | None,
    on_remove: Callable[[list[str]], None] | None = None,
    *,
    drawn: Drawn | None = None,
    selected: Callable[[], InferenceTask] | None = None,
    strip: Callable[[InferenceTask], None] | None = None,
) -> InferenceTask:
    """Draw how many images are done and the errors, and keep them current; return the image to show.

    The line of each image is hidden until it is asked for: it must not push the first mask off the screen.

    The page runs again when the image that it shows is over, when another one is to be shown, when one has failed,
    and when all are over. For every other image, only this part of the page is drawn.

    queue:     the images' own, to try failed ones again; None: they cannot be tried again here.
    on_remove: removes images by their ids; None where failed images cannot be removed.
    drawn:     what the page has drawn already; None: it draws the image to show after this.
    selected:  returns the image to show; None: the first one.
    strip:     draws all images as a row in which the selected one is marked; None: no row.
    """
    selected = selected or (lambda: inferences[0])
    shown = selected()
    # Not the state of now: what ended since the page was drawn is not on it.
    drawn = drawn or Drawn.now(inferences, shown)
    if not drawn.all_over or len(inferences) > 1:  # of a single image, the page shows the rest
        every = None if drawn.all_over else TICK
        refresh.timed(_update, every)(inferences, drawn, selected, strip)
    failed = [inference for inference in inferences if inference.error is not None]
    for _, group in groupby(sorted(failed, key=_reason), key=_reason):
        _failure(list(group), queue, on_remove)
    return shown


def stage(inference: InferenceTask, place: DeltaGenerator) -> None:
    """Draw the stage of an image in place of what was there."""
    with place.container():
        _lines([inference], 0)


@dataclass(frozen=True, slots=True)
class Drawn:
    """What decides whether the page is still right. shown: the id of the image that it shows."""

    shown: str
    shown_over: bool
    failed: int
    all_over: bool

    @classmethod
    def now(cls, inferences: Sequence[InferenceTask], selected: InferenceTask) -> Drawn:
        """Return this for the images as they are."""
        return cls(
            selected.image.id,
            selected.over,
            sum(inference.error is not None for inference in inferences),
            all(inference.over for inference in inferences),
        )


def _update(
    inferences: Sequence[InferenceTask],
    drawn: Drawn,
    selected: Callable[[], InferenceTask],
    strip: Callable[[InferenceTask], None] | None,
) -> None:
    if selected().image.id == drawn.shown:  # else a click waits
        tasks.wait_for_any(inferences, PATIENCE)
    now = Drawn.now(inferences, selected())
    _lines(inferences, sum(inference.over for inference in inferences))
    if strip is not None:
        strip(selected())
    # In a run of the page, failures alone wait for the timer: the page would begin again for each, and draw none.
    if (now if refresh.in_part() else replace(now, failed=drawn.failed)) != drawn:
        refresh.rerun_at_tick()


def _lines(inferences: Sequence[InferenceTask], over: int) -> None:
    stages = [inference.stage for inference in inferences]  # read once: they change while this is drawn
    done = over == len(inferences)
    failed = sum(inference.error is not None for inference in inferences)
    with st.status(
        _heading(inferences, stages, over, failed),
        expanded=False,
        state="error" if done and failed == over else "complete" if done else "running",
    ):
        lines = [_line(inference, stage) for inference, stage in zip(inferences, stages, strict=True)]
        st.markdown("  \n".join(lines))


def _heading(inferences: Sequence[InferenceTask], stages: Sequence[str], over: int, failed: int) -> str:
    if len(inferences) == 1:
        return _stage_text(inferences[0], stages[0]).capitalize()
    if over < len(inferences):
        return f"{over} of {len(inferences)} images done"
    elapsed = tasks.elapsed(inferences)
    return f"{over - failed} images done in {elapsed:.1f} s" + (f", {failed} failed" if failed else "")


def _line(inference: InferenceTask, stage: str) -> str:
    icon = ICONS.get(stage, ":primary[:material/progress_activity:]")
    text = _stage_text(inference, stage)
    name = messages.plain(inference.image.name)
    return f"{icon} **{name}** · {text if stage in ICONS else f':shimmer[{text} …]'}"


def _stage_text(inference: InferenceTask, stage: str) -> str:
    return f"done in {inference.seconds:.1f} s" if stage == "done" else stage


def _reason(inference: InferenceTask) -> str:
    """Return what failures are grouped by. Errors of an image itself name it, so they stay apart."""
    return f"{type(inference.error).__name__} {inference.error}"


def _failure(
    inferences: list[InferenceTask],
    queue: SegmentationQueue | None,
    on_remove: Callable[[list[str]], None] | None,
) -> None:
    """Draw why these failed, with buttons that try them again or remove them."""
    error = inferences[0].error
    assert error is not None  # noqa: S101  # for the type checker
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.error(f"{_names(inferences, error)}{messages.any_card(error)}", icon=":material/error:")
        if queue is None:
            return
        st.button(
            "Try again" if len(inferences) == 1 else f"Try all {len(inferences)} again",
            key=f"again-{inferences[0].image.id}",
            icon=":material/refresh:",
            on_click=_retry,
            args=(inferences, queue),
        )
        if on_remove is not None:
            st.button(
                "Remove" if len(inferences) == 1 else f"Remove all {len(inferences)}",
                key=f"remove-{inferences[0].image.id}",
                icon=":material/close:",
                on_click=on_remove,
                args=([inference.image.id for inference in inferences],),
            )


def _names(inferences: list[InferenceTask], error: BaseException) -> str:
    """Return the names of the images, unless the error's text has the name."""
    names = [inference.image.name for inference in inferences]
    if len(names) == 1 and names[0] in str(error):
        return ""
    return f"{listing([messages.plain(name) for name in names], grouping='')}\n\n"


def _retry(inferences: list[InferenceTask], queue: SegmentationQueue) -> None:
    queue.retry(inferences)
    state.request_retry()
