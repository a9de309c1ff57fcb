"""The endpoints: what is in service, whether anybody calls it, what it costs; and the idle ones, to be deleted."""

from __future__ import annotations

import streamlit as st

from core.aws.connection import Connection
from pages.parts import backend, cached, fleet, formatting, links, messages, refresh, state
from pages.parts.endpoints import filters, table
from pages.parts.fleet import FleetSnapshot
from pages.parts.overview import unfinished
from pages.parts.shared_cache import Snapshot

TICK = 5  # seconds between two looks, while something may change


def main() -> None:
    """The title, and below it the board, which looks again by itself while anything changes."""
    connection = backend.connection()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.title("Endpoints", width="stretch")
        st.button("Refresh", icon=":material/refresh:", type="tertiary", on_click=state.ask_retry)
        st.page_link(links.DEPLOY, label="Deploy a model", icon=":material/deployed_code:")
    if said := state.take_told():
        st.toast(said, icon=":material/check_circle:")
    with messages.error_boundary("unfinished"):
        unfinished.show(connection)
    refresh.live("endpoints", lambda: _board(connection), lambda: _tick(fleet.look(connection)))


def _tick(reading: Snapshot[FleetSnapshot]) -> float | None:
    return TICK if reading.value.moving else None


def _board(connection: Connection) -> float | None:
    reading = fleet.look(connection)
    found = reading.value
    if not found.rows:
        _nothing(connection)
    else:
        table.metrics_row(found, cached.prices(connection), sandbox=connection.is_sandbox)
        _list(connection, reading)
    return _tick(reading)


def _list(connection: Connection, reading: Snapshot[FleetSnapshot]) -> None:
    found = reading.value
    rows = filters.ask(found.rows)
    _say_age(reading, len(rows))
    if rows:
        table.show(rows)
        table.offer_deletion(connection, found.rows)
    else:
        st.info("**No endpoint fits these filters.**", icon=":material/filter_alt:")
        st.button("Clear the filters", icon=":material/filter_alt_off:", on_click=filters.clear)


def _say_age(reading: Snapshot[FleetSnapshot], shown: int) -> None:
    """How many there are, how old the table is; where AWS fails, why it is no newer."""
    found, at = reading.value, formatting.moment(reading.at)
    count = len(found.rows)
    more = "" if found.complete else " There are more, which were not asked for."
    many = f"{count:,} endpoints" if count > 1 else "1 endpoint"
    st.caption(f"{many}{f', {shown:,} shown' if shown < count else ''} · data from {at}.{more}")
    if reading.failure is not None:
        st.warning(f"This is from **{at}**. {messages.card(reading.failure)}", icon=":material/history:")
    for note in found.notes:
        st.caption(f":material/info: {note}")


def _nothing(connection: Connection) -> None:
    with st.container(border=True):
        st.markdown("**No endpoint here.**")
        st.caption(
            "A new sandbox brings two of its own, which take a moment. Others are made from a training job that has "
            "ended, or from a model's file."
            if connection.is_sandbox
            else f"Nothing in {messages.plain(connection.region)} bills by the hour. An endpoint is made from a "
            "training job that has ended, or from a model's file."
        )
        st.page_link(links.DEPLOY, label="Deploy the first", icon=":material/deployed_code:")


main()
