"""The endpoint picker: which endpoint to invoke, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.aws.connection import Connection
from core.endpoints.endpoint import Endpoint, EndpointInfo, in_words
from core.errors import CoreError, NotFoundError, NotReadyError
from core.escaping import terminal
from core.imaging.image import FIT
from core.inference.invoke import Want
from core.text import listing
from pages.parts import cached, last_used, links, messages, refresh, shared_cache, state
from pages.parts.shared_cache import PendingError
from pages.parts.state import Slot, UrlParam

OUTPUTS: dict[Want, str] = {"probabilities": "Probabilities", "mask": "Mask only"}
INPUT_SIZES = {"fit": f"Fit {FIT[0]} × {FIT[1]}", "own": "Original"}

OUTPUT, INPUT_SIZE, AGAINST = "answer", "size", "against"
"""Keys of the widgets, which are bound to the URL under the same names. `AGAINST`: the second endpoint."""

TILES = "tiles"
"""The input size of large images, which are sent in tiles."""

TILES_LABEL = "Tiles"

RENAMED = {INPUT_SIZE: {"Own size": "own"}}
"""Widget -> an option's label in links of earlier versions -> the option."""

_LINK = UrlParam(state.ENDPOINT)
_PRESET: Slot[bool] = Slot("endpoint_picker.preset")
"""Whether the input size was set since the picker was drawn."""

_LINKED: Slot[str] = Slot("endpoint_picker.linked")

FEW_CLASSES = 12
"""Class names that one line holds."""

FEW_ENDPOINTS = 8
"""Endpoints that are listed with their status where none is in service."""


@dataclass(frozen=True, slots=True)
class EndpointChoice:
    """What to invoke, and how.

    endpoints: one, or two to be compared.
    fit:       the box that images are fitted into, (width, height) in pixels; None: their original size.
    pending:   set while class names have not arrived; requests wait for them.
    tiles:     whether the image is sent in tiles; `fit` is then without a meaning.
    """

    endpoints: tuple[EndpointInfo, ...]
    want: Want
    fit: tuple[int, int] | None
    pending: PendingError | None = None
    tiles: bool = False

    @property
    def endpoint(self) -> EndpointInfo:
        """Return the first endpoint."""
        return self.endpoints[0]


def choose(
    connection: Connection,
    *,
    compare: bool = False,
    tiles: bool = False,
    on_change: Callable[[], None] | None = None,
) -> EndpointChoice | None:
    """Draw the picker. None where no endpoint exists, which is then shown. Raises AwsError, NotFoundError.

    compare:   offer a second endpoint; the output is then a mask alone.
    tiles:     offer tiles as an input size.
    on_change: called when another endpoint is chosen.
    """
    listed = _endpoints(connection)
    names = [endpoint.name for endpoint in listed if endpoint.in_service]
    requested = _requested()
    if not names and not requested:
        _none_in_service(connection, listed)
        _rerun_with_list(connection, listed)
        return None
    with st.container(horizontal=True, vertical_alignment="top", gap="small"):
        name = _endpoint(names, requested, on_change)
        other = _compare_with([other for other in names if other != name]) if compare else None
        want = "mask" if compare else _output()
        size = _segments(
            "Input size", INPUT_SIZE, {**INPUT_SIZES, TILES: TILES_LABEL} if tiles else INPUT_SIZES,
            "Large images take longer. Images over the request limit are compressed, then downscaled, to fit."
            + (" Tiles: an image of any size at full resolution, in many requests." if tiles else ""),
        )  # fmt: skip
    if name not in names:
        _rerun_with_list(connection, listed)
        raise _not_in_service(connection, name, listed, names)
    reads = [_read(connection, each) for each in ((name, other) if other else (name,))]
    return EndpointChoice(
        tuple(endpoint for endpoint, _ in reads),
        "mask" if want == "mask" else "probabilities",
        None if size == "own" else FIT,
        next((pending for _, pending in reads if pending is not None), None),
        tiles=size == TILES,
    )


def tiles_chosen() -> bool:
    """Return whether tiles are the input size, as of the last run and the click since, or by the URL."""
    chosen = state.chosen(INPUT_SIZE)
    if not chosen and UrlParam(INPUT_SIZE).get() == TILES_LABEL:
        choose_tiles()  # a widget that comes back has its default, whatever the URL says
        return True
    return bool(chosen == TILES)


def choose_tiles() -> None:
    """Make tiles the input size; before the picker is drawn, or in a callback."""
    state.choose(INPUT_SIZE, TILES)
    _PRESET.set(True)


def size_label(fit: tuple[int, int] | None) -> str:
    """Return the label of an input size, which is its value in the URL."""
    return INPUT_SIZES["own" if fit is None else "fit"]


def _endpoints(connection: Connection) -> tuple[Endpoint, ...]:
    """Return all endpoints; draw why the list is not read as usual."""
    listed = cached.endpoints(connection)
    for note in listed.notes:
        st.caption(f":material/info: {messages.plain(note)}")
    return listed.endpoints


def _rerun_with_list(connection: Connection, listed: tuple[Endpoint, ...]) -> None:
    """Run the page again once the list differs: an endpoint that is missing may be in service soon."""

    def look() -> None:
        # The page itself shows a list that fails.
        with shared_cache.watching(), suppress(CoreError, PendingError):
            if cached.endpoints(connection).endpoints != listed:
                refresh.rerun_at_tick()

    refresh.timed(look, cached.ENDPOINTS_SECONDS)()


def _requested() -> str:
    """Return the endpoint that a new link names, else the one chosen before; empty where there is neither."""
    linked, chosen = _LINK.get(), str(state.chosen(state.ENDPOINT) or "")
    return linked if linked and linked != _LINKED.get() else chosen or linked


def _read(connection: Connection, name: str) -> tuple[EndpointInfo, PendingError | None]:
    """Return the endpoint, without class names while these are pending."""
    unnamed = cached.unnamed(connection, name)
    try:
        return cached.with_names(connection, unnamed), None
    except PendingError as pending:
        return unnamed, pending


def _endpoint(names: list[str], requested: str, on_change: Callable[[], None] | None) -> str:
    """Draw the list of endpoints. One that a link names stays in it, even if it is not in service."""
    state.choose(state.ENDPOINT, requested or last_used.preselected(names))
    options = names if not requested or requested in names else [requested, *names]
    name: str = st.selectbox(
        "Endpoint",
        options,
        format_func=terminal,
        key=state.ENDPOINT,
        persist_state="session",
        on_change=on_change,
    )
    _LINKED.set(name)
    if _LINK.get() != name:
        _LINK.set(name)  # so that a copied link shows the same
    return name


def _compare_with(names: list[str]) -> str | None:
    """Draw the list of second endpoints; a link to one that is not in it chooses none."""
    name: str | None = st.selectbox(
        "Compare with",
        names,
        format_func=terminal,
        index=None,
        placeholder="None",
        key=AGAINST,
        bind="query-params",
        help="Both endpoints are evaluated on the same images; the table then shows the difference for each class.",
    )
    return name


def _output() -> str | None:
    return _segments(
        "Output", OUTPUT, OUTPUTS, "Probabilities show the model's confidence; a mask is smaller."
    )


def _segments(label: str, key: str, options: Mapping[Any, str], help_text: str) -> str | None:
    link = UrlParam(key)
    renamed = RENAMED.get(key, {}).get(link.get())
    if renamed:
        link.set("")
        state.choose(key, renamed)
    preset = key == INPUT_SIZE and _PRESET.pop()
    value: str | None = st.segmented_control(
        label,
        list(options),
        default=None if renamed or preset else next(iter(options)),
        format_func=options.__getitem__,
        required=True,
        key=key,
        bind="query-params",
        help=help_text,
    )
    return value


def describe(choice: EndpointChoice) -> None:
    """Draw badges of the endpoint: its status, instances and classes, and a link to its page."""
    endpoint = choice.endpoint
    instances = " + ".join(
        f"{'' if variant.count in {None, 1} else f'{variant.count} × '}{variant.instance_type or 'serverless'}"
        for variant in endpoint.variants
    )
    known = f"{len(endpoint.classes)} classes" if endpoint.classes else "class names unknown"
    with st.container(
        horizontal=True,
        horizontal_alignment="right",
        vertical_alignment="center",
        gap="xsmall",
        width="content",
    ):
        st.badge(messages.plain(in_words(endpoint.status)), icon=":material/check_circle:", color="green")
        if instances:
            st.badge(messages.plain(instances), icon=":material/memory:", color="gray")
        st.badge(
            known if choice.pending is None else "class names pending",
            icon=":material/palette:",
            color="gray",
            help=", ".join(messages.plain(name) for name in endpoint.classes.names)
            if endpoint.classes
            else None,
        )
        links.page_link(
            links.ENDPOINT,
            label="Endpoint",
            icon=":material/monitor_heart:",
            query_params={state.ENDPOINT: endpoint.name},
            help="Traffic, cost, variants and log of this endpoint.",
        )


def introduce(endpoint: EndpointInfo) -> None:
    """Draw the class names, for a user who has not sent an image yet."""
    if endpoint.classes:
        names = [messages.plain(name) for name in endpoint.classes.names]
        st.caption(f":material/palette: Classes: {listing(names, FEW_CLASSES)}")


def warn(endpoint: EndpointInfo) -> None:
    """Draw the endpoint's notes, and a warning where it runs another algorithm."""
    warn_of_algorithm(endpoint.aws_algorithm)
    for text in endpoint.notes:
        st.caption(f":material/info: {messages.plain(text)}")


def warn_of_algorithm(aws_algorithm: bool | None) -> None:
    """Draw a warning where the endpoint is known to run another algorithm."""
    if aws_algorithm is False:
        st.warning(
            "**This endpoint does not run AWS's semantic segmentation algorithm.** "
            "It may reject or misread these requests.",
            icon=":material/warning:",
        )


def _none_in_service(connection: Connection, listed: tuple[Endpoint, ...]) -> None:
    """Draw how to get an endpoint."""
    others = "".join(
        f"\n- **{messages.plain(endpoint.name)}** is {messages.plain(in_words(endpoint.status))}"
        for endpoint in listed[:FEW_ENDPOINTS]
    )
    if connection.has_demo:
        todo = "The sandbox is starting two demo endpoints. This takes a moment."
    else:
        todo = f"Deploy a model in **{connection.region}**, or choose the region of your endpoints in the sidebar."
        if not connection.is_sandbox:
            todo += " `make run` without `MODE=aws` starts two demo endpoints on this machine."
    st.info(f"**No endpoint is in service.** {todo}{others}", icon=":material/dns:")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button("Refresh", icon=":material/refresh:", on_click=state.request_retry)
        links.page_link(links.DEPLOY, label="Deploy a model", icon=":material/deployed_code:")


def _not_in_service(
    connection: Connection, name: str, listed: tuple[Endpoint, ...], names: list[str]
) -> CoreError:
    """Return why the endpoint of a link, or of an earlier choice, cannot be used; no other is chosen silently."""
    todo = "Choose another endpoint above." if names else "Wait until one is in service, or deploy one."
    status = next((endpoint.status for endpoint in listed if endpoint.name == name), None)
    if status is not None:
        return NotReadyError(f"The endpoint {name} is {in_words(status)}.", todo=todo)
    return NotFoundError(f'Endpoint "{name}" not found in {connection.location.name}.', todo=todo)
