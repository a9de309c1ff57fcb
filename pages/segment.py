"""Photographs in, masks beside them."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from core.aws.connection import Connection
from core.evaluation.pairs import Given
from core.inference.export import unique_stems
from pages.parts import backend, endpoint_picker, messages, state
from pages.parts.endpoint_picker import Choice
from pages.parts.segment import progress, results, uploads
from pages.parts.segment.run import InferenceTask, Picture, SegmentRequest, queue


def main() -> None:
    """Address, read, show: the drop zone is drawn before anything is asked, so that no error can empty it."""
    connection = backend.connection()
    title, choices = st.container(horizontal=True, vertical_alignment="center"), st.container()
    title.title("Segment photographs", width="stretch")
    dropped = uploads.from_files(backend.settings())
    pictures = list(dropped.pictures)
    more, camera, below = (
        st.container(horizontal=True, vertical_alignment="center"),
        st.container(),
        st.container(),
    )
    choice = None
    with choices, messages.error_door():
        choice = endpoint_picker.choose(connection)
    if choice is None:
        return
    with title:
        endpoint_picker.describe(choice)
    with choices:
        endpoint_picker.warn(choice.serving)
        if not state.has_pictures():
            endpoint_picker.introduce(choice.serving)
    with more if state.has_pictures() else below:
        pictures += uploads.from_examples(connection, choice.serving)
    pictures += uploads.from_camera(more, camera)
    unique = {picture.id: picture for picture in reversed(pictures)}  # of two alike, the first one's name
    pictures = [unique[key] for key in dict.fromkeys(picture.id for picture in pictures)]
    state.show_newest([picture.id for picture in pictures])
    if choice.pending is not None and pictures:
        messages.waiting(choice.pending)
    elif works := _ask(connection, choice, pictures):
        _show(works, dropped.truths)


def _ask(connection: Connection, choice: Choice, pictures: list[Picture]) -> list[InferenceTask]:
    """Every picture's work, started where it is new."""
    tasks = queue()
    works = [
        tasks.ask(
            picture,
            SegmentRequest(picture.id, connection, choice.serving.name, choice.want, choice.fit),
            choice.serving.classes,
        )
        for picture in pictures
    ]
    tasks.keep_to(works)
    return works


def _show(works: list[InferenceTask], truths: Mapping[str, Given]) -> None:
    stems = unique_stems([work.picture.name for work in works])
    lines = st.container()
    chosen = results.selected(works)
    if len(works) > 1:
        results.strip(works, chosen)
    results.show(chosen, stems[works.index(chosen)], truths.get(chosen.picture.id))
    results.download_all(works, stems)
    with lines:
        progress.show(works)


main()
