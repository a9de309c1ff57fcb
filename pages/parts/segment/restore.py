"""Bring the images of a stored run back onto the Segment page.

Opening an address never costs anything: images that it brings are shown from the store, and sent only after a click,
or after another endpoint or other options were chosen for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import streamlit as st

from core.errors import InputError
from core.inference.invoke import Want
from core.runs.run import Run
from core.runs.store import RunStore
from pages.parts import messages, run_store, state
from pages.parts.run_store import RUN
from pages.parts.segment import files, recording, slots
from pages.parts.segment.images import InputImage
from pages.parts.state import Slot, UrlParam

Choice = tuple[str, Want, tuple[int, int] | None]
"""An endpoint's name, the output and the input size."""


@dataclass(slots=True)
class Restored:
    """A run that an address brought onto the page.

    ids:    of its images. choice: what was chosen when they were first shown; None before that.
    """

    run: Run
    ids: frozenset[str]
    choice: Choice | None = None


WRITTEN_SECONDS = 10.0
"""How long the images of a run may still be on their way to the disk, after a reload in the middle of it."""

_ENDPOINT = UrlParam(state.ENDPOINT)
_RESTORED: Slot[Restored] = Slot("segment.restored")


def from_link(store: RunStore | None) -> None:
    """Put the images of the run that the URL names onto the page, unless it is there already."""
    run_id = RUN.get()
    restored = _RESTORED.get()
    if not run_id or recording.is_open(run_id) or (restored is not None and restored.run.id == run_id):
        return
    RUN.set("")
    if store is None:
        st.warning("**Runs are not stored here.** SEGDECK_RESULTS_MB is 0.", icon=":material/cloud_off:")
        return
    run_store.recorder().wait(WRITTEN_SECONDS)  # what another session of this process has just added
    try:
        run = store.get(run_id)
    except InputError as error:
        st.warning(messages.line(error), icon=":material/link_off:")
        return
    if run.kind == "map":
        return  # shown where tiles are chosen
    if run.kind != "segmentation":
        st.warning("**This run is an evaluation.** Open it in Runs.", icon=":material/link_off:")
        return
    open_run(store, run)
    _RESTORED.set(Restored(run, frozenset(image.id for image in run.images if image.content)))
    if not _ENDPOINT.get():
        _ENDPOINT.set(run.endpoint.name)


def open_run(store: RunStore, run: Run) -> None:
    """Replace the images on the page by those of a run, with their ground truth."""
    stored = [
        InputImage(image.id, image.name, partial(store.content, image.content))
        for image in run.images
        if image.content
    ]
    masks = [
        InputImage(image.mask, image.mask_name, partial(store.content, image.mask))
        for image in run.images
        if image.mask
    ]
    slots.clear_examples()
    forget()
    files.replace_all([*stored, *masks])


def forget() -> None:
    """Forget the runs of the images that were on the page: what comes next is another run."""
    _RESTORED.clear()
    recording.RECORDS.clear()


def restored_for(choice: Choice) -> Restored | None:
    """Return the restored run as long as the choice is that with which it was first shown; else None."""
    restored = _RESTORED.get()
    if restored is None:
        return None
    if restored.choice is None:
        restored.choice = choice
    if restored.choice != choice:
        _RESTORED.clear()  # the user has chosen something else for these images: they may be sent
        return None
    return restored
