"""The Segment page with tiles as the input size: from a large image to a plan, a map in progress, and its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from core.aws.connection import Connection
from core.endpoints.endpoint import EndpointInfo
from core.errors import InputError
from core.runs.run import Run, RunEndpoint, new_id
from core.runs.store import RunStore
from pages.parts import endpoint_picker, formatting, last_used, links, messages, run_store, state
from pages.parts.endpoint_picker import EndpointChoice
from pages.parts.run_store import RUN
from pages.parts.state import Slot, UrlParam
from pages.parts.tiles import form, source, task, view
from pages.parts.tiles.order import MapOrder
from pages.parts.tiles.source import SourceFile

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

_ENDPOINT = UrlParam(state.ENDPOINT)
_OPENED: Slot[str] = Slot("large_images.opened")
"""The map that this session has opened, so that another input size can be chosen after it."""


def linked_map(store: RunStore | None) -> Run | None:
    """Return the map that the URL names, and make tiles the input size when it is opened; None for other runs."""
    run_id = RUN.get()
    if store is None or not run_id:
        return None
    try:
        run = store.find(run_id)
    except InputError:
        return None  # reported where runs are opened
    if run is None or run.kind != "map":
        return None
    if _OPENED.get() != run_id:
        _OPENED.set(run_id)
        endpoint_picker.choose_tiles()
        if not _ENDPOINT.get():
            _ENDPOINT.set(run.endpoint.name)
    return run


def show(
    connection: Connection,
    store: RunStore | None,
    run: Run | None,
    places: tuple[DeltaGenerator, DeltaGenerator],
) -> None:
    """Draw the page. run: the map that the URL names. places: for the title, and for the endpoint picker."""
    title, choices = places
    choice: EndpointChoice | None = None
    with choices, messages.error_boundary():
        choice = endpoint_picker.choose(connection, tiles=True)
    if choice is not None:
        with title:
            endpoint_picker.describe(choice)
        with choices:
            endpoint_picker.warn(choice.endpoint)
    if store is None:
        st.info(
            "**Maps are stored with runs, and runs are not stored here.** `SEGDECK_RESULTS_MB` is 0.",
            icon=":material/cloud_off:",
        )
        return
    if run is not None:
        _map(store, run, connection, choice)
    elif choice is not None and choice.pending is not None:
        messages.waiting(choice.pending)
    elif choice is not None:
        start = partial(_start, store, connection, choice)
        form.show(connection, choice.endpoint, choice.want, start)


def open_image(name: str, read: Callable[[], bytes]) -> None:
    """Make an image of the page the large image, and tiles the input size; in a callback. Raises InputError."""
    source.use(name, read())
    RUN.set("")
    endpoint_picker.choose_tiles()


def show_stored(store: RunStore, run: Run) -> None:
    """Draw a map on the Runs page, and where it can be continued if it is not complete."""
    view.show(store, run, None)
    if run.done:
        return
    links.page_link(
        links.SEGMENT,
        label="Open in Segment",
        icon=":material/grid_view:",
        query_params={RUN.name: run.id, state.ENDPOINT: run.endpoint.name},
    )


def _map(store: RunStore, run: Run, connection: Connection, choice: EndpointChoice | None) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{messages.plain(run.title)}**", width="stretch")
        links.page_link(
            links.RUNS, label="Stored as a run", icon=":material/history:", query_params={RUN.name: run.id}
        )
        st.button("Another image", icon=":material/close:", type="tertiary", on_click=_leave)
    resume = None
    if choice is not None and choice.pending is None:
        if choice.endpoint.name == run.endpoint.name:
            resume = partial(_resume, store, run, connection, choice.endpoint)
        else:
            st.caption(
                f":material/info: This map was made with {messages.plain(run.endpoint.name)}; choose it above to "
                "continue."
            )
    view.show(store, run, resume)
    run_store.show_problem()


def _start(
    store: RunStore, connection: Connection, choice: EndpointChoice, order: MapOrder, chosen: SourceFile
) -> None:
    """Store the run and start its map; in a callback. Raises CoreError, which the page shows."""
    endpoint, run_id = choice.endpoint, new_id()
    last_used.remember(endpoint.name)
    if chosen.folder is not None:
        order = replace(order, path=str(task.take_upload(store, run_id, chosen.path)))
    if order.area:
        order = replace(order, area=str(task.take_upload(store, run_id, Path(order.area))))
    run = Run(
        id=run_id,
        kind="map",
        started_at=formatting.now(),
        user=run_store.user(connection),
        location=run_store.location_name(connection),
        endpoints=(RunEndpoint(endpoint.name, endpoint.config, endpoint.model_uri, endpoint.job),),
        want=choice.want,
        classes=endpoint.classes,
        title=Path(order.path).name,
        form=order.to_form(),
    )
    store.make_map_folder(run_id)
    store.add(run)
    _OPENED.set(run_id)
    RUN.set(run_id)
    form.leave()
    task.begin(store, run, connection, endpoint)


def _resume(
    store: RunStore, run: Run, connection: Connection, endpoint: EndpointInfo, polygons: bool
) -> None:
    """Continue a map, without its polygons if they cannot be made; in a callback."""
    if not polygons:
        form = replace(MapOrder.from_form(run.form), polygons="").to_form()
        run = store.update(run.id, lambda stored: replace(stored, form=form)) or run
    task.begin(store, run, connection, endpoint)


def _leave() -> None:
    RUN.set("")
    source.forget()
