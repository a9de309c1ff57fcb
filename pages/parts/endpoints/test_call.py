"""A test call: send one image to this endpoint and show its mask."""

from __future__ import annotations

from functools import partial

import streamlit as st

from core.aws.connection import Connection
from core.endpoints.detail import EndpointDetail
from core.endpoints.endpoint import REFUSING, in_words
from pages.parts import endpoint_picker, messages, sample_images
from pages.parts.endpoints import slots


def show(connection: Connection, detail: EndpointDetail) -> None:
    """Draw the images to choose from, and the result for the chosen one."""
    endpoint = detail.endpoint
    if endpoint.status in REFUSING:
        st.info(
            f"The endpoint accepts no requests: its status is {messages.plain(in_words(endpoint.status))}.",
            icon=":material/block:",
        )
        return
    endpoint_picker.warn_of_algorithm(detail.aws_algorithm)
    st.caption(
        "Click an image to send it. This is a regular call, so an idle endpoint will no longer count as idle."
    )
    sample_images.show(
        connection,
        endpoint.name,
        detail.classes,
        detail.examples_uri,
        chosen=slots.test_image(endpoint.name),
        on_pick=partial(slots.choose_test_image, endpoint.name),
    )
