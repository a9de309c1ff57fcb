"""The live example of the overview: one click segments a sample image with an endpoint that is in service.

It is meant for a new account: a user sees what a model does before having one. Nothing is sent without a click.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from core.aws.connection import Connection
from core.endpoints.endpoint import EXAMPLES_TAG, EndpointInfo
from pages.parts import cached, messages, sample_images
from pages.parts.fleet import FleetRow
from pages.parts.overview.data import Now
from pages.parts.shared_cache import PendingError
from pages.parts.state import Slot

CHOSEN: Slot[dict[str, str]] = Slot("overview.example")
"""Endpoint -> the id of the sample image that was clicked."""


def show(connection: Connection, now: Now) -> None:
    """Draw the sample images of an endpoint in service and the mask of the clicked one, or why there are none."""
    with st.container(border=True):
        st.header("Try a model")
        names = _candidates(now.rows)
        if not names:
            _none_in_service(connection, now)
            return
        with messages.error_boundary("example"):
            _example(connection, _choose(names))


def _candidates(rows: Sequence[FleetRow]) -> list[str]:
    """Return the endpoints in service by name; if some bring sample images, only those."""
    ready = sorted((row.endpoint for row in rows if row.endpoint.in_service), key=lambda each: each.name)
    with_examples = [endpoint.name for endpoint in ready if EXAMPLES_TAG in endpoint.tags]
    return with_examples or [endpoint.name for endpoint in ready]


def _choose(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    name: str = st.segmented_control(
        "Endpoint",
        names,
        default=names[0],
        required=True,
        key="overview-example-endpoint",
        label_visibility="collapsed",
    )
    return name


def _example(connection: Connection, name: str) -> None:
    """Draw what the model does, what a click costs, and the sample images. Raises AwsError, PendingError."""
    endpoint, pending = cached.unnamed(connection, name), None
    try:
        endpoint = cached.with_names(connection, endpoint)
    except PendingError as error:
        pending = error  # the images need no class names; their masks do
    if endpoint.aws_algorithm is False:
        st.caption(f"{messages.plain(name)} does not run the semantic segmentation algorithm.")
        return
    st.markdown(_invitation(connection, endpoint))
    chosen = (CHOSEN.get() or {}).get(name, "")
    sample_images.show(
        connection,
        name,
        endpoint.classes,
        endpoint.examples_uri,
        chosen=chosen if pending is None else "",
        on_pick=partial(_pick, name),
    )
    if pending is not None and chosen:
        messages.waiting(pending)


def _pick(name: str, image: str) -> None:
    CHOSEN.set({name: image})


def _invitation(connection: Connection, endpoint: EndpointInfo) -> str:
    name = messages.plain(endpoint.name)
    classes = f" ({len(endpoint.classes)} classes)" if endpoint.classes else ""
    if connection.is_sandbox:
        cost = "Sandbox: nothing is billed."
    else:
        cost = f"Each click sends a billed request to this endpoint in {messages.plain(connection.location.name)}."
    return f"Click an image to segment it with **{name}**{classes}. {cost}"


def _none_in_service(connection: Connection, now: Now) -> None:
    """Draw why no example is available: models are still being prepared, or no endpoint is in service."""
    if connection.has_demo and now.preparing:
        st.markdown(":shimmer[Preparing the demo models ...]")
        st.caption(
            "A new sandbox starts two demo endpoints, unless run with `--no-demo`. They appear here automatically."
        )
        st.skeleton(height=140)
        return
    st.caption("No endpoint is in service. Deploy a model, and try it here.")
    if not connection.is_sandbox:
        st.caption("Without `MODE=aws`, `make run` starts a sandbox on this machine with two demo models.")
