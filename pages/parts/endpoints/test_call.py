"""A test call: send one image to this endpoint and show its mask."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import streamlit as st

from core.aws.connection import Connection
from core.endpoints.detail import EndpointDetail
from core.endpoints.endpoint import REFUSING, in_words
from core.errors import CoreError
from core.imaging.image import FIT
from pages.parts import cached, endpoint_picker, messages
from pages.parts.endpoints import slots
from pages.parts.gallery.gallery import Tile, gallery
from pages.parts.segment import progress, results
from pages.parts.segment.run import InputImage, SegmentRequest, queue
from pages.parts.shared_cache import PendingError

OWN = Path(__file__).with_name("test_picture.jpg")
OWN_ID = "segdeck:test-picture"


def show(connection: Connection, detail: EndpointDetail) -> None:
    """Draw the images to choose from, and the result for the chosen one."""
    endpoint = detail.endpoint
    if endpoint.status in REFUSING:
        st.info(
            f"The endpoint accepts no requests: its status is {messages.plain(in_words(endpoint.status))}.",
            icon=":material/block:",
        )
        return
    pictures = _shipped(connection, detail)
    endpoint_picker.warn_of_algorithm(detail.aws_algorithm)
    st.caption(
        "Click an image to send it. This is a regular call: an idle endpoint then no longer counts as idle."
        if detail.examples_uri
        else "This aerial image comes with Segdeck. It shows that the endpoint responds, and how fast. A model "
        "of other classes gives no meaningful mask for it."
    )
    chosen = slots.test_image(endpoint.name)
    gallery(
        [tile for _, tile in pictures],
        key=f"try-{endpoint.name}",
        label="Sample images",
        on_pick=partial(slots.choose_test_image, endpoint.name),
        selected=chosen,
    )
    picture = next((one for one, _ in pictures if one.id == chosen), None)
    if picture is not None:
        _call(connection, detail, picture)


def _call(connection: Connection, detail: EndpointDetail, picture: InputImage) -> None:
    tasks = queue()
    request = SegmentRequest(picture.id, connection, detail.name, "probabilities", FIT)
    work = tasks.submit(picture, request, detail.classes)
    tasks.keep_only([work])
    progress.show([work])
    if work.result is not None:
        st.button("Send again", icon=":material/replay:", on_click=tasks.retry, args=([work],))
    results.show_image(work)


def _shipped(connection: Connection, detail: EndpointDetail) -> list[tuple[InputImage, Tile]]:
    """Return the endpoint's own examples; where it has none, or they cannot be read, the one of ours."""
    try:
        found = cached.examples(connection, detail.examples_uri) if detail.examples_uri else ()
    except PendingError as pending:
        messages.waiting_line(pending)
        found = ()
    except CoreError as error:
        st.caption(f":material/info: {messages.line(error)}")
        found = ()
    if not found:
        thumbnail = cached.thumbnail(OWN.read_bytes(), OWN.name)
        tile = Tile(OWN_ID, "A village among lakes", "480 × 360", thumbnail)
        return [(InputImage(OWN_ID, OWN.name, OWN.read_bytes), tile)]
    return [
        (
            InputImage(one.uri, one.title, partial(cached.example, connection, one.uri)),
            Tile(one.uri, one.title, "", thumbnail),
        )
        for one, thumbnail in found
    ]
