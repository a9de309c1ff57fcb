"""The Segment page: images in, masks out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import streamlit as st

from core.aws.connection import Connection
from core.evaluation.pairs import InputFile
from core.inference.export import unique_stems
from core.runs.responses import model_identity
from core.runs.run import Run, new_id
from core.runs.store import RunStore
from pages.parts import (
    backend,
    endpoint_picker,
    formatting,
    large_images,
    last_used,
    links,
    messages,
    run_store,
)
from pages.parts.endpoint_picker import EndpointChoice
from pages.parts.run_store import RUN
from pages.parts.segment import files, many_images, progress, recording, restore, results, slots, uploads
from pages.parts.segment.cache import ResponseSource
from pages.parts.segment.images import InputImage
from pages.parts.segment.recording import RunRecord
from pages.parts.segment.restore import Restored
from pages.parts.segment.run import InferenceTask, SegmentRequest, queue


def main() -> None:
    """Draw the page: the drop zone before anything is read from AWS, so that no error can empty it."""
    connection = backend.connection()
    store = run_store.store()
    title, choices = st.container(horizontal=True, vertical_alignment="center"), st.container()
    title.title("Segment images", width="stretch")
    linked = large_images.linked_map(store)
    if endpoint_picker.tiles_chosen():
        large_images.show(connection, store, linked, (title, choices))
        return
    restore.from_link(store)
    if store is not None:
        files.read_from(store)
    uploaded = uploads.from_files(backend.settings())
    images = list(uploaded.images)
    more, camera, below = (
        st.container(horizontal=True, vertical_alignment="center"),
        st.container(),
        # Emptied at once: what introduces the page must not stay above the first image while the run waits for it.
        st.empty() if slots.has_images() else st.container(),
    )
    choice = None
    with choices, messages.error_boundary():
        # The examples of one endpoint may show nothing that another one was trained on.
        choice = endpoint_picker.choose(connection, tiles=True, on_change=slots.clear_examples)
    if choice is None:
        return
    with title:
        endpoint_picker.describe(choice)
    with choices:
        endpoint_picker.warn(choice.endpoint)
        if not slots.has_images():
            endpoint_picker.introduce(choice.endpoint)
    with more if slots.has_images() else below:
        images += uploads.from_examples(connection, choice.endpoint)
    uploads.from_camera(more, camera)
    images += [image for image in files.kept() if image not in images and image.id not in uploaded.others]
    by_id = {
        image.id: image for image in reversed(images)
    }  # of two with the same content, the first one's name
    images = [by_id[key] for key in dict.fromkeys(image.id for image in images)]
    slots.show_newest([image.id for image in images])
    if not images:
        with below.container():
            many_images.offer(connection, choice.endpoint)
        queue().keep_only([])  # what still waits must not be sent
        RUN.set("")
        restore.forget()
    elif choice.pending is not None:
        messages.waiting(choice.pending)
    elif not choice.tiles:  # else the next run of the page shows them
        uploads.name_copies({image.name: files.copies(image) for image in images})
        inferences, run_id = _segment(connection, choice, images, uploaded.ground_truth, store)
        with more:
            _actions(run_id)
        _show(inferences, uploaded.ground_truth)


def _segment(
    connection: Connection,
    choice: EndpointChoice,
    images: list[InputImage],
    ground_truth: Mapping[str, InputFile],
    store: RunStore | None,
) -> tuple[list[InferenceTask], str]:
    """Segment what is not segmented yet. Return the tasks, and the id of the run of these images; "" without one."""
    restored = restore.restored_for((choice.endpoint.name, choice.want, choice.fit))
    inferences = _submit(connection, choice, images, store, restored)
    run_id = ""
    if store is not None:  # before anything is shown, so that a reload finds the images
        record = _record(store, connection, choice, inferences[0].request, restored)
        record.follow(
            inferences, ground_truth, lambda run: replace(run, id=new_id(), started_at=formatting.now())
        )
        run_id = "" if record.deleted else record.run.id
        RUN.set(run_id)
        run_store.show_problem()
    return inferences, run_id


def _submit(
    connection: Connection,
    choice: EndpointChoice,
    images: list[InputImage],
    store: RunStore | None,
    restored: Restored | None,
) -> list[InferenceTask]:
    """Return the task of each image; a new one is started where there is none."""
    last_used.remember(choice.endpoint.name)
    location = run_store.location_id(backend.settings(), connection)
    model = None if store is None else model_identity(choice.endpoint, location)
    source = None
    if store is not None and model is not None:
        source = ResponseSource(store, run_store.recorder(), model, connection)
    inferences = [
        queue().submit(
            image,
            SegmentRequest(image.id, connection, choice.endpoint.name, choice.want, choice.fit, model),
            choice.endpoint.classes,
            source=source,
            may_invoke=restored is None or image.id not in restored.ids,
        )
        for image in images
    ]
    queue().keep_only(inferences)
    return inferences


def _record(
    store: RunStore,
    connection: Connection,
    choice: EndpointChoice,
    request: SegmentRequest,
    restored: Restored | None,
) -> RunRecord:
    """Return the run that these requests belong to."""

    def make() -> RunRecord:
        run = Run(
            id=new_id(),
            kind="segmentation",
            started_at=formatting.now(),
            user=run_store.user(connection),
            location=run_store.location_name(connection),
            endpoints=(recording.endpoint_of(request, choice.endpoint.job),),
            want=choice.want,
            fit=choice.fit,
            classes=choice.endpoint.classes,
        )
        if restored is None:
            return RunRecord(store, run_store.recorder(), run)
        return RunRecord(store, run_store.recorder(), replace(run, id=restored.run.id), opened=restored.ids)

    return recording.record_for(request, make)


def _show(inferences: list[InferenceTask], ground_truth: Mapping[str, InputFile]) -> None:
    stems = unique_stems([inference.image.name for inference in inferences])
    many = len(inferences) > 1
    with st.container():  # the viewer keeps its place, and with it its zoom, when an image fails above it
        selected = results.progress_of_many(inferences, queue(), slots.remove) if many else inferences[0]
    # While the run waits, an error of the last try is gone.
    lines = st.container() if selected.over else st.empty()
    with results.awaited(selected, wait=not many):
        drawn = progress.Drawn.now(inferences, selected)
        results.show(
            selected,
            stems[inferences.index(selected)],
            ground_truth.get(selected.image.id),
            on_tiles=large_images.open_image,
        )
    results.download_all(inferences, stems)
    if not many:
        # Where the result is pending, below the placeholder: nothing moves when the mask replaces both.
        with lines.container() if drawn.all_over else st.container():
            progress.show(inferences, queue(), slots.remove, drawn=drawn)


def _actions(run_id: str) -> None:
    """Draw where the results are stored, and how to start with other images."""
    if run_id:
        links.page_link(
            links.RUNS,
            label="Stored as a run",
            icon=":material/history:",
            query_params={RUN.name: run_id},
            help="Open it at an address of its own, which you can send to a colleague. Opening it costs nothing.",
        )
    st.button("Remove all images", icon=":material/close:", type="tertiary", on_click=_clear)


def _clear() -> None:
    slots.clear()
    restore.forget()
    RUN.set("")  # else the next run of the page would bring the images back from the address


main()
