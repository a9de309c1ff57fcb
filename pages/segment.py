"""The Segment page: images in, masks out."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from core.aws.connection import Connection
from core.evaluation.pairs import InputFile
from core.inference.export import unique_stems
from pages.parts import backend, endpoint_picker, messages
from pages.parts.endpoint_picker import EndpointChoice
from pages.parts.segment import progress, results, slots, uploads
from pages.parts.segment.run import InferenceTask, InputImage, SegmentRequest, queue


def main() -> None:
    """Draw the page: the drop zone before anything is read from AWS, so that no error can empty it."""
    connection = backend.connection()
    title, choices = st.container(horizontal=True, vertical_alignment="center"), st.container()
    title.title("Segment images", width="stretch")
    uploaded = uploads.from_files(backend.settings())
    images = list(uploaded.images)
    more, camera, below = (
        st.container(horizontal=True, vertical_alignment="center"),
        st.container(),
        st.container(),
    )
    choice = None
    with choices, messages.error_boundary():
        # The examples of one endpoint may show nothing that another one was trained on.
        choice = endpoint_picker.choose(connection, on_change=slots.clear_examples)
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
    images += uploads.from_camera(more, camera)
    by_id = {
        image.id: image for image in reversed(images)
    }  # of two with the same content, the first one's name
    images = [by_id[key] for key in dict.fromkeys(image.id for image in images)]
    slots.show_newest([image.id for image in images])
    if choice.pending is not None and images:
        messages.waiting(choice.pending)
    elif inferences := _submit(connection, choice, images):
        _show(inferences, uploaded.ground_truth)


def _submit(connection: Connection, choice: EndpointChoice, images: list[InputImage]) -> list[InferenceTask]:
    """Return the task of each image; a new one is started where there is none."""
    inferences = [
        queue().submit(
            image,
            SegmentRequest(image.id, connection, choice.endpoint.name, choice.want, choice.fit),
            choice.endpoint.classes,
        )
        for image in images
    ]
    queue().keep_only(inferences)
    return inferences


def _show(inferences: list[InferenceTask], ground_truth: Mapping[str, InputFile]) -> None:
    stems = unique_stems([inference.image.name for inference in inferences])
    lines = st.container()
    selected = results.selected(inferences)
    if len(inferences) > 1:
        results.strip(inferences, selected)
    results.show(selected, stems[inferences.index(selected)], ground_truth.get(selected.image.id))
    results.download_all(inferences, stems)
    with lines:
        progress.show(inferences, queue())


main()
