"""What runs now, what it costs an hour, what failed in the last day, and what sits idle. The first page."""

from __future__ import annotations

import streamlit as st

from core.aws.connection import Connection
from pages.parts import backend, cached, formatting, links, messages, refresh, state
from pages.parts.overview import data, unfinished, view
from pages.parts.overview.data import Now

TICK, LATER = 5, 60  # seconds between two looks: while something moves, and while nothing does


def main() -> None:
    """The title, and below it the board, which looks again by itself."""
    connection = backend.connection()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.title("Overview", width="stretch")
        st.button("Refresh", icon=":material/refresh:", type="tertiary", on_click=state.ask_retry)
        st.page_link(links.SEGMENT, label="Segment a photograph", icon=":material/imagesmode:")
        st.page_link(links.LAUNCH_TRAINING, label="Launch a job", icon=":material/rocket_launch:")
        st.page_link(links.DEPLOY, label="Deploy a model", icon=":material/deployed_code:")
    if said := state.take_told():
        st.toast(said, icon=":material/check_circle:")
    with messages.error_boundary("unfinished"):
        unfinished.show(connection)
    refresh.live("overview", lambda: _board(connection), lambda: _tick(data.read(connection)))


def _tick(found: Now) -> float:
    return TICK if found.moving else LATER


def _board(connection: Connection) -> float:
    """Draw what is known of jobs and endpoints, and what is pending."""
    found = data.read(connection)
    _failures(found)
    for pending in found.waiting:
        messages.waiting(pending)
    if found.empty:
        view.first_steps(sandbox=connection.is_sandbox)
    elif found.jobs or found.look:
        _show(connection, found)
    return _tick(found)


def _show(connection: Connection, found: Now) -> None:
    prices = cached.prices(connection)
    view.figures(found, prices, sandbox=connection.is_sandbox)
    st.caption(f":material/sync: Looks again by itself · data from {formatting.moment(found.at)}")
    for note in found.look.notes if found.look else ():
        st.caption(f":material/info: {note}")
    if found.jobs and not found.jobs.complete:
        st.caption(f":material/info: Of the training jobs, the newest {len(found.jobs.jobs)} are looked at.")
    at_work, to_mend = st.columns(2, gap="medium")
    with at_work:
        view.running(found, prices)
    with to_mend:
        view.failed(found)
        view.idle(found)


def _failures(found: Now) -> None:
    """Why something is missing or old, each reason once; one button for all."""
    for error in found.failures:
        st.error(messages.card(error), icon=":material/error:")
    if found.failures:
        st.button("Try again", icon=":material/refresh:", on_click=state.ask_retry)


main()
