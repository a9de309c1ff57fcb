"""Sample images of an endpoint: one click segments an image and shows it next to its mask.

A click is a call like any other, so nothing is sent before one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import streamlit as st

from core.aws.connection import Connection
from core.errors import CoreError
from core.imaging.classes import Classes
from core.imaging.image import FIT
from pages.parts import cached, messages
from pages.parts.cached import Example
from pages.parts.gallery.gallery import Tile, gallery
from pages.parts.segment import progress, results
from pages.parts.segment.images import InputImage
from pages.parts.segment.run import SegmentationQueue, SegmentRequest
from pages.parts.shared_cache import PendingError
from pages.parts.state import Slot

OWN = Path(__file__).with_name("sample_image.jpg")
OWN_ID = "segdeck:sample-image"
OWN_NOTE = (
    "This sample image checks whether the endpoint responds, and how fast. "
    "The mask is meaningful only if the model was trained on similar classes."
)

QUEUE: Slot[SegmentationQueue] = Slot("sample_images.queue")
"""The samples that were clicked: not in the queue of the Segment page, whose images a sample must not cancel."""


def show(
    connection: Connection,
    endpoint: str,
    classes: Classes | None,
    examples_uri: str | None,
    *,
    chosen: str,
    on_pick: Callable[[str], None],
) -> None:
    """Draw the sample images of an endpoint and, for the chosen one, image and mask.

    classes:      the endpoint's class names; None if unknown.
    examples_uri: the S3 URI of its `examples.json`; None if it has none.
    chosen:       the id of the image to segment; empty for none. on_pick: gets the id of a clicked image.
    """
    samples = _samples(connection, endpoint, examples_uri)
    gallery(
        [tile for _, tile in samples],
        key=f"try-{endpoint}",
        label="Sample images",
        on_pick=on_pick,
        selected=chosen,
    )
    image = next((image for image, _ in samples if image.id == chosen), None)
    if image is not None:
        _segment(image, SegmentRequest(image.id, connection, endpoint, "probabilities", FIT), classes)


def _segment(image: InputImage, request: SegmentRequest, classes: Classes | None) -> None:
    # No raw responses are kept: only the Segment page exports them.
    tasks = QUEUE.setdefault(partial(SegmentationQueue, kept_bytes=0))
    task = tasks.submit(image, request, classes)
    tasks.keep_only([task])
    progress.show([task], tasks)
    results.show_image(task)
    if task.result is not None:
        st.button("Send again", icon=":material/replay:", on_click=tasks.retry, args=([task],))


def _samples(
    connection: Connection, endpoint: str, examples_uri: str | None
) -> list[tuple[InputImage, Tile]]:
    """Return images that fit the model; if there are none or they cannot be read, Segdeck's own image.

    They are the endpoint's examples, or validation images of the training job behind its model.
    """
    try:
        examples = _examples(connection, endpoint, examples_uri)
    except PendingError as pending:
        messages.waiting_line(pending)
        return []
    except CoreError as error:
        st.caption(f":material/info: {messages.line(error)}")
        examples = ()
    if not examples:
        st.caption(OWN_NOTE)
        thumbnail = cached.thumbnail(OWN.read_bytes(), OWN.name)
        tile = Tile(OWN_ID, "A village among lakes", "480 × 360", thumbnail)
        return [(InputImage(OWN_ID, OWN.name, OWN.read_bytes), tile)]
    return [
        (
            InputImage(example.uri, example.title, partial(cached.example, connection, example.uri)),
            Tile(example.uri, example.title, "", thumbnail),
        )
        for example, thumbnail in examples
    ]


def _examples(
    connection: Connection, endpoint: str, examples_uri: str | None
) -> tuple[tuple[Example, bytes], ...]:
    if examples_uri:
        return cached.examples(connection, examples_uri)
    of_job = cached.job_examples(connection, cached.unnamed(connection, endpoint))
    for note in of_job.notes:
        st.caption(f":material/info: {messages.plain(note)}")
    if of_job.images:
        st.caption(f"Validation images of the training job {messages.plain(of_job.job)}.")
    return of_job.images
