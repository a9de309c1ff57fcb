"""The list of endpoints: status, traffic and cost, with filters, and deletion of idle ones."""

from __future__ import annotations

import streamlit as st

from core.aws.connection import Connection
from pages.parts import backend, cached, fleet, formatting, links, messages, refresh, state
from pages.parts.endpoints import filters, table
from pages.parts.fleet import FleetSnapshot
from pages.parts.overview import unfinished
from pages.parts.shared_cache import Snapshot

TICK = 5  # seconds between two refreshes while something changes


def main() -> None:
    """Draw the title and the actions, then metrics and table, which refresh while anything changes."""
    connection = backend.connection()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.title("Endpoints", width="stretch")
        st.button("Refresh", icon=":material/refresh:", type="tertiary", on_click=state.request_retry)
        links.page_link(links.DEPLOY, label="Deploy a model", icon=":material/deployed_code:")
    if message := state.take_notification():
        st.toast(message, icon=":material/check_circle:")
    with messages.error_boundary("unfinished"):
        unfinished.show(connection)
    refresh.live("endpoints", lambda: _board(connection), lambda: _tick(fleet.look(connection)))


def _tick(reading: Snapshot[FleetSnapshot]) -> float | None:
    return TICK if reading.value.moving else None


def _board(connection: Connection) -> float | None:
    table.open_clicked()
    reading = fleet.look(connection)
    if not reading.value.rows:
        _nothing(connection)
    else:
        table.metrics_row(reading.value, cached.prices(connection), sandbox=connection.is_sandbox)
        _list(connection, reading)
    return _tick(reading)


def _list(connection: Connection, reading: Snapshot[FleetSnapshot]) -> None:
    rows = filters.draw(reading.value.rows)
    _freshness(reading, len(rows))
    if rows:
        table.show(rows, sandbox=connection.is_sandbox)
        table.offer_deletion(connection, reading.value.rows)
    else:
        st.info("**No endpoints match these filters.**", icon=":material/filter_alt:")
        st.button("Clear filters", icon=":material/filter_alt_off:", on_click=filters.clear)


def _freshness(reading: Snapshot[FleetSnapshot], shown: int) -> None:
    """Draw how many endpoints there are and when they were read; if AWS failed, why they are not newer."""
    fleet_now, at = reading.value, formatting.moment(reading.at)
    count = len(fleet_now.rows)
    more = "" if fleet_now.complete else " The list is not complete: there are more endpoints."
    many = f"{count:,} endpoints" if count > 1 else "1 endpoint"
    st.caption(f"{many}{f', {shown:,} shown' if shown < count else ''} · Updated {at}.{more}")
    if reading.failure is not None:
        st.warning(f"Last updated **{at}**. {messages.card(reading.failure)}", icon=":material/history:")
    for note in fleet_now.notes:
        st.caption(f":material/info: {note}")


def _nothing(connection: Connection) -> None:
    with st.container(border=True):
        st.markdown("**No endpoints yet.**")
        st.caption(
            "A new sandbox starts two demo endpoints. This takes a moment. Deploy your own from a completed "
            "training job or a model file."
            if connection.has_demo
            else f"No endpoint is billed in {messages.plain(connection.region)}. Deploy one from a completed "
            "training job or a model file."
        )
        links.page_link(links.DEPLOY, label="Deploy your first model", icon=":material/deployed_code:")


main()
