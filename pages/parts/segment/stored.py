"""A stored segmentation: its results, read from the disk. The endpoint is never invoked here."""

from __future__ import annotations

from functools import partial

import streamlit as st

from core.aws.connection import Connection
from core.evaluation.pairs import InputFile
from core.inference.export import unique_stems
from core.runs.responses import ModelIdentity
from core.runs.run import Run, RunImage
from core.runs.store import RunStore
from core.text import plural
from pages.parts import messages, refresh, run_store
from pages.parts.segment import progress, results
from pages.parts.segment.cache import ResponseSource
from pages.parts.segment.images import InputImage
from pages.parts.segment.run import InferenceTask, SegmentationQueue, SegmentRequest
from pages.parts.state import Slot

QUEUE: Slot[SegmentationQueue] = Slot("segment.stored_queue")

TICK = 2.0
"""Seconds between two looks at a run that is in progress."""


def show(store: RunStore, run: Run) -> None:
    """Draw the images of a run with their results, and which failed."""
    done = [image for image in run.images if image.response and image.content]
    if any(image.state == "pending" for image in run.images):
        _in_progress(store, run)
    _failures([image for image in run.images if image.state == "failed"])
    if not done:
        st.info("**No results are stored.**", icon=":material/info:")
        return
    tasks = _tasks(store, run, done)
    many = len(tasks) > 1
    with st.container():  # as on the Segment page
        selected = results.progress_of_many(tasks, None) if many else progress.show(tasks, None)
    stems = unique_stems([task.image.name for task in tasks])
    place = tasks.index(selected)
    results.show(selected, stems[place], _mask(store, done[place]), offer_again=False)
    results.download_all(tasks, stems)


def _tasks(store: RunStore, run: Run, images: list[RunImage]) -> list[InferenceTask]:
    queue = QUEUE.setdefault(SegmentationQueue)
    endpoint = run.endpoint
    # Not the identity of the account: the result is shown whatever the endpoint serves by now.
    model = ModelIdentity(run.id, endpoint.name, endpoint.config, endpoint.model_uri)
    source = ResponseSource(store, run_store.recorder(), model, None)
    nowhere = Connection(region="")
    tasks = [
        queue.submit(
            InputImage(image.id, image.name, partial(store.content, image.content)),
            SegmentRequest(image.id, nowhere, endpoint.name, run.want, run.fit, model),
            run.classes,
            source=source,
            may_invoke=False,
            response_key=image.response,
        )
        for image in images
    ]
    queue.keep_only(tasks)
    return tasks


def _mask(store: RunStore, image: RunImage) -> InputFile | None:
    return InputFile(image.mask_name, partial(store.content, image.mask)) if image.mask else None


def _failures(failed: list[RunImage]) -> None:
    if not failed:
        return
    with st.expander(f"{plural(len(failed), 'image')} failed", icon=":material/error:"):
        for image in failed:
            st.markdown(f"**{messages.plain(image.name)}**: {messages.plain(image.error)}")


def _in_progress(store: RunStore, run: Run) -> None:
    pending = sum(image.state == "pending" for image in run.images)

    def look() -> None:
        st.caption(
            f":material/hourglass_top: {plural(pending, 'image')} without a result: in progress, or interrupted by a "
            "restart of the dashboard."
        )
        if store.find(run.id) != run:
            refresh.rerun_at_tick()

    refresh.timed(look, TICK)()
