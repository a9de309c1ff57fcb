"""The list of endpoints: a row opens its endpoint, ticked rows can be deleted together."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import streamlit as st

from core.aws.connection import Connection
from pages.parts import elements, links, messages, state
from pages.parts.endpoints import endpoint_changes, endpoint_tables, fleet
from pages.parts.endpoints.fleet import FleetRow

ROW, HEADER, ROWS = 37, 39, 14
"""Heights in pixels, and how many rows are seen before the table scrolls."""


def show(rows: Sequence[FleetRow]) -> None:
    """The table. A click on a name leaves for that endpoint's page."""
    names = tuple(row.endpoint.name for row in rows)
    ticked = state.ticked_endpoints()
    # Streamlit knows ticked rows and clicked cells by their place. So another order of rows is another table.
    key = f"endpoints-{crc32(','.join(names).encode())}-{state.endpoint_ticks()}"
    clicked = state.clicked_row(f"{key}-open")
    if clicked is not None and clicked < len(names):
        st.switch_page(links.ENDPOINT, query_params={state.ENDPOINT: names[clicked]})
    elements.dataframe(
        endpoint_tables.frame(rows),
        column_config=endpoint_tables.columns(key=f"{key}-open"),
        hide_index=True,
        row_height=ROW,
        placeholder="–",
        height=HEADER + ROW * min(len(rows), ROWS),
        key=key,
        selection_mode="multi-row",
        selection_default={"selection": {"rows": [n for n, name in enumerate(names) if name in ticked]}},
        on_select=lambda: _tick(key, names),
        alt="Endpoints, what needs a hand first",
    )


def offer_deletion(connection: Connection, rows: Sequence[FleetRow]) -> None:
    """What is ticked, what it costs, and the button that shows what would go with it."""
    ticked = state.ticked_endpoints()
    chosen = [row for row in rows if row.endpoint.name in ticked]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        _offer_idle([row.endpoint.name for row in rows if row.health.verdict == "idle"], ticked)
        if not chosen:
            st.caption("Tick endpoints to delete them together.")
            return
        st.button(
            "Choose none", icon=":material/close:", type="tertiary", on_click=state.tick_endpoints, args=((),)
        )
        going = chosen[: endpoint_changes.MOST]
        names = [row.endpoint.name for row in going]
        what = f"Delete {len(names)} endpoints" if len(names) > 1 else f"Delete {messages.plain(names[0])}"
        pressed = st.button(what, key="delete-chosen", type="primary", icon=":material/delete:")
        rest = f" They are the first of {len(chosen)} chosen ones." if len(chosen) > len(going) else ""
        st.caption(f"{'They cost' if len(names) > 1 else 'It costs'} {_monthly(going)} a month.{rest}")
    if pressed:
        with messages.error_door("delete"):
            endpoint_changes.delete(connection, names, lambda: _gone(names))


def _monthly(rows: Sequence[FleetRow]) -> str:
    cost = fleet.total(rows)
    return f"{'at least ' if cost.unknown else ''}**{cost.per_month}**"


def _offer_idle(idle: Sequence[str], ticked: Sequence[str]) -> None:
    """One click chooses all that stand idle."""
    if idle and set(idle) != set(ticked):
        label = f"Choose the {len(idle)} idle ones" if len(idle) > 1 else "Choose the idle one"
        st.button(label, icon=":material/bedtime:", on_click=state.tick_endpoints, args=(tuple(idle),))


def _gone(names: Sequence[str]) -> None:
    state.tick_endpoints([name for name in state.ticked_endpoints() if name not in names])
    st.rerun()


def _tick(key: str, names: tuple[str, ...]) -> None:
    """Keep what is ticked by its name, and what other filters hid."""
    others = [name for name in state.ticked_endpoints() if name not in names]
    state.keep_ticks([*others, *(names[row] for row in state.ticked_rows(key))])
