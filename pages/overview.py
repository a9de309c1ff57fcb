"""The first page: running jobs and endpoints, cost per hour, recent failures, idle endpoints, and a live example."""

from __future__ import annotations

import streamlit as st

from core.accounts import AccountChoice
from core.aws.connection import Connection
from pages.parts import backend, cached, formatting, messages, refresh, state
from pages.parts.overview import accounts, data, example, unfinished, view
from pages.parts.overview.accounts import AccountCard
from pages.parts.overview.data import Now

TICK, LATER = 5, 60  # seconds between two refreshes: while something changes, and otherwise


def main() -> None:
    """Draw the title, then the overview, which refreshes automatically."""
    connection = backend.connection()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.title("Overview", width="stretch")
        st.button("Refresh", icon=":material/refresh:", type="tertiary", on_click=state.request_retry)
    if message := state.take_notification():
        st.toast(message, icon=":material/check_circle:")
    with messages.error_boundary("unfinished"):
        unfinished.show(connection)
    refresh.live("overview", lambda: _board(connection), lambda: _tick(connection, data.read(connection)))
    with messages.error_boundary("accounts"):
        _accounts(connection)


def _accounts(connection: Connection) -> None:
    """Draw the accounts and regions that are compared. They are read only where some are chosen."""
    choices = accounts.picked()
    with st.expander("Accounts and regions", icon=":material/account_tree:", expanded=bool(choices)):
        accounts.picker(connection)
        refresh.live(
            "accounts",
            lambda: _draw_accounts(connection, choices),
            lambda: _accounts_tick(accounts.read(choices)),
        )


def _draw_accounts(connection: Connection, choices: tuple[AccountChoice, ...]) -> float | None:
    rows = accounts.read(choices)
    accounts.cards(rows, connection)
    return _accounts_tick(rows)


def _accounts_tick(rows: tuple[AccountCard, ...]) -> float | None:
    return LATER if rows else None


def _tick(connection: Connection, now: Now) -> float:
    starting = connection.has_demo and now.new and now.preparing
    return TICK if now.moving or starting else LATER


def _board(connection: Connection) -> float:
    """Draw what is known about jobs and endpoints, and what is pending."""
    now = data.read(connection)
    view.actions(introduced=now.new)
    _failures(now)
    for pending in now.waiting:
        messages.waiting(pending)
    if now.new and not now.own_jobs:
        example.show(connection, now)
    if (now.jobs or now.fleet) and not now.empty:
        _show(connection, now)
    if now.new and now.own_jobs:
        example.show(connection, now)
    return _tick(connection, now)


def _show(connection: Connection, now: Now) -> None:
    prices = cached.prices(connection)
    view.metrics_row(now, prices, sandbox=connection.is_sandbox)
    st.caption(f":material/sync: Auto-refresh · Updated {formatting.moment(now.at)}")
    for note in now.fleet.notes if now.fleet else ():
        st.caption(f":material/info: {note}")
    for note in now.jobs.notes if now.jobs else ():
        st.caption(f":material/info: {messages.plain(note)}")
    if now.jobs and not now.jobs.complete:
        st.caption(f":material/info: Includes only the newest {len(now.jobs.jobs)} training jobs.")
    left, right = st.columns(2, gap="medium")
    with left:
        view.running(now, prices)
    with right:
        view.failed(now)
        view.idle(now)


def _failures(now: Now) -> None:
    """Draw why something is missing or stale, each reason once, and one button that retries all."""
    for error in now.failures:
        st.error(messages.card(error), icon=":material/error:")
    if now.failures:
        st.button("Try again", icon=":material/refresh:", on_click=state.request_retry)


main()
