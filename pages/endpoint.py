"""One endpoint: status, health, traffic and cost, with actions to test, update, scale and delete it."""

from __future__ import annotations

import streamlit as st

from core.aws.connection import Connection
from core.endpoints.detail import EndpointDetail
from core.endpoints.endpoint import REFUSING
from core.errors import CoreError
from core.plans.steps import SETTLED
from pages.parts import backend, buttons, fleet, formatting, links, messages, refresh, state
from pages.parts.endpoints import data, deletion, details, filters, header, slots
from pages.parts.overview import unfinished
from pages.parts.shared_cache import PendingError, Snapshot

REFRESH = 5  # seconds between two refreshes while AWS changes it


def main() -> None:
    """Draw the back link, then the endpoint, which refreshes while it changes."""
    filters.back_link()
    if message := state.take_notification():
        st.toast(message, icon=":material/check_circle:")
    name = state.endpoint_in_url()
    if not name:
        st.info("**The URL does not name an endpoint.** Choose one from the list of endpoints.")
        return
    st.set_page_config(page_title=f"{name} · Segdeck")
    connection = backend.connection()
    with messages.error_boundary("unfinished"):
        unfinished.show(connection, name)
    refresh.live(
        f"endpoint {name}",
        lambda: _look(connection, name),
        lambda: _tick(data.look(connection, name).seen),
    )


def _tick(seen: Snapshot[EndpointDetail]) -> float | None:
    return REFRESH if seen.value.endpoint.changing else None


def _look(connection: Connection, name: str) -> float | None:
    """Draw the endpoint as it is now; its name appears before anything about it has been read."""
    title = st.container(horizontal=True, vertical_alignment="center", gap="small")
    title.title(messages.plain(name), width="stretch")
    snapshot = data.look(connection, name)
    seen, detail = snapshot.seen, snapshot.seen.value
    row = fleet.row(connection, detail.endpoint, seen.at)
    with title:
        header.badges(detail.endpoint, row.health)
    _head(connection, seen)
    _freshness(seen)
    _absent(snapshot.absent)
    header.health_line(row, data.diagnosis(connection, detail.endpoint))
    header.progress(detail.endpoint, formatting.now())
    header.metrics_row(row, sandbox=connection.is_sandbox)
    for note in detail.notes:
        st.caption(f":material/info: {messages.plain(note)}")
    details.show(connection, snapshot)
    return _tick(seen)


def _absent(error: CoreError | PendingError | None) -> None:
    """Draw why part of the endpoint is missing: still pending, or its read failed."""
    if isinstance(error, PendingError):
        messages.waiting_line(error)
    elif error is not None:
        st.warning(messages.line(error), icon=":material/history:")


def _head(connection: Connection, seen: Snapshot[EndpointDetail]) -> None:
    """Draw the facts and the actions. Every change shows its plan first."""
    detail = seen.value
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        header.facts(detail, seen.at)
        _actions(connection, detail)


def _actions(connection: Connection, detail: EndpointDetail) -> None:
    name, status = detail.name, detail.endpoint.status
    with st.container(horizontal=True, width="content", gap="small"):
        if buttons.button(
            "Try in Segment",
            key=f"try-in-segment-{name}",
            acts_on=name,
            icon=":material/imagesmode:",
            disabled=status in REFUSING,
        ):
            state.choose(state.ENDPOINT, name)
            links.open_page(links.SEGMENT, {state.ENDPOINT: name})
        if buttons.button(
            "Update",
            key=f"update-{name}",
            acts_on=name,
            icon=":material/published_with_changes:",
            disabled=status not in SETTLED,
        ):
            links.open_page(links.DEPLOY, {state.ENDPOINT: name})
        st.button(
            "Scale", icon=":material/tune:", on_click=state.choose, args=(slots.TAB, details.SCALE)
        )  # fmt: skip
        if buttons.button(
            "Delete",
            key=f"delete-{name}",
            acts_on=name,
            icon=":material/delete:",
            disabled=detail.endpoint.changing,
        ):
            with messages.error_boundary("delete"):
                deletion.delete(connection, [name], _leave)


def _leave() -> None:
    # Always a mapping: without one, Streamlit does not remove this page's widget values from the URL.
    links.open_page(links.ENDPOINTS, slots.view())


def _freshness(seen: Snapshot[EndpointDetail]) -> None:
    """Draw that the page refreshes; if AWS failed, when the data was read and why it is not newer."""
    if seen.failure is not None:
        at = formatting.moment(seen.at)
        st.warning(f"**Last updated {at}.** {messages.line(seen.failure)}", icon=":material/history:")
    elif seen.value.endpoint.changing:
        st.caption(f":material/sync: Refreshes every {REFRESH} s")


main()
