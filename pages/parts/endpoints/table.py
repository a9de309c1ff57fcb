"""The list of endpoints and the money above it: a row opens its endpoint, ticked rows can be deleted together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zlib import crc32

import pandas as pd
import streamlit as st

from core.aws.connection import Connection
from core.cost.hosting import FleetCost
from core.cost.training import Money, PriceTable
from core.endpoints.endpoint import in_words
from core.endpoints.health import HEALTH_STATUSES
from core.endpoints.traffic import DAYS, STEP, Traffic
from pages.parts import elements, fleet, links, messages, state
from pages.parts.endpoints import deletion, header, slots
from pages.parts.fleet import VERDICT_COLORS, FleetRow, FleetSnapshot

ROW, HEADER, ROWS = 37, 39, 14
"""Heights in pixels, and how many rows are seen before the table scrolls."""

OPEN = "name"
"""The column whose cells open their endpoint."""

PER_DAY = 4
"""Steps of traffic in a day."""


def show(rows: Sequence[FleetRow]) -> None:
    """The table. A click on a name leaves for that endpoint's page."""
    names = tuple(row.endpoint.name for row in rows)
    ticked = slots.ticked()
    # Streamlit knows ticked rows and clicked cells by their place. So another order of rows is another table.
    key = f"endpoints-{crc32(','.join(names).encode())}-{slots.tick_changes()}"
    clicked = state.clicked_row(f"{key}-open")
    if clicked is not None and clicked < len(names):
        links.open_page(links.ENDPOINT, {state.ENDPOINT: names[clicked]})
    elements.dataframe(
        frame(rows),
        column_config=columns(key=f"{key}-open"),
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
    ticked = slots.ticked()
    chosen = [row for row in rows if row.endpoint.name in ticked]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        _offer_idle([row.endpoint.name for row in rows if row.health.status == "idle"], ticked)
        if not chosen:
            st.caption("Tick endpoints to delete them together.")
            return
        st.button("Choose none", icon=":material/close:", type="tertiary", on_click=slots.tick, args=((),))
        going = chosen[: deletion.MOST]
        names = [row.endpoint.name for row in going]
        what = f"Delete {len(names)} endpoints" if len(names) > 1 else f"Delete {messages.plain(names[0])}"
        pressed = st.button(what, key="delete-chosen", type="primary", icon=":material/delete:")
        rest = f" They are the first of {len(chosen)} chosen ones." if len(chosen) > len(going) else ""
        st.caption(f"{'They cost' if len(names) > 1 else 'It costs'} {_monthly(going)} a month.{rest}")
    if pressed:
        with messages.error_boundary("delete"):
            deletion.delete(connection, names, lambda: _gone(names))


def _monthly(rows: Sequence[FleetRow]) -> str:
    cost = fleet.total(rows)
    return f"{'at least ' if cost.unknown else ''}**{cost.per_month}**"


def _offer_idle(idle: Sequence[str], ticked: Sequence[str]) -> None:
    """One click chooses all that stand idle."""
    if idle and set(idle) != set(ticked):
        label = f"Choose the {len(idle)} idle ones" if len(idle) > 1 else "Choose the idle one"
        st.button(label, icon=":material/bedtime:", on_click=slots.tick, args=(tuple(idle),))


def _gone(names: Sequence[str]) -> None:
    slots.tick([name for name in slots.ticked() if name not in names])
    st.rerun()


def _tick(key: str, names: tuple[str, ...]) -> None:
    """Keep what is ticked by its name, and what other filters hid."""
    others = [name for name in slots.ticked() if name not in names]
    slots.keep_ticks([*others, *(names[row] for row in state.ticked_rows(key))])


def frame(rows: Sequence[FleetRow]) -> pd.DataFrame:
    """A row an endpoint, in their order. Latencies in seconds, errors as a share of 1, money in dollars.

    A last call is told by the beginning of the step of six hours that it was in.
    """
    answers = [row.service for row in rows]
    monthly = [row.cost.price.per_month for row in rows]
    return pd.DataFrame(
        {
            OPEN: [row.endpoint.name for row in rows],
            "health": [[row.health.status] for row in rows],
            "status": [[in_words(row.endpoint.status)] for row in rows],
            "cost": _numbers(None if cost is None else float(cost.usd) for cost in monthly),
            "last": pd.Series([_last(row.traffic) for row in rows], dtype="datetime64[us, UTC]"),
            "line": [daily(row.traffic) for row in rows],
            "p50": _numbers(_seconds(one.p50_ms) if one else None for one in answers),
            "p90": _numbers(_seconds(one.p90_ms) if one else None for one in answers),
            "errors": _numbers(one.error_share if one else None for one in answers),
            "instance": [header.machines(row.endpoint.variants) or None for row in rows],
            "variants": [header.shares(row.endpoint.variants) or None for row in rows],
        }
    )


def columns(**button: Any) -> dict[str, Any]:
    """How the columns of `frame` look. button: key and callback of the column that opens an endpoint."""
    column = st.column_config
    words, colors = header.statuses()
    return {
        OPEN: column.ButtonColumn(
            "Endpoint",
            type="tertiary",
            alignment="left",
            pinned=True,
            width=220,
            help="Opens the endpoint.",
            **button,
        ),
        "health": column.MultiselectColumn(
            "Health",
            options=list(HEALTH_STATUSES),
            color=[VERDICT_COLORS[one] for one in HEALTH_STATUSES],
            width=95,
            help="What AWS's status does not say: whether anybody calls it, and whether it answers.",
        ),
        "status": column.MultiselectColumn("Status", options=words, color=colors, width=130),
        "cost": column.NumberColumn(
            "A month", format="dollar", width=95, help="Of 730 hours, on what it runs on now."
        ),
        "last": column.DatetimeColumn(
            "Last call",
            format="distance",
            width=115,
            help="To within six hours; empty without any in 30 days.",
        ),
        "line": column.BarChartColumn("Calls, 30 days", width=130, help="A bar a day.", y_min=0),
        "p50": column.NumberColumn(
            "p50", format="%.2f s", width=75, help="Half of the last day's calls took less."
        ),
        "p90": column.NumberColumn("p90", format="%.2f s", width=75, help="Nine of ten took less."),
        "errors": column.NumberColumn("Errors", format="percent", width=75, help="Of the last day's calls."),
        "instance": column.TextColumn("Instances", width=165),
        "variants": column.TextColumn("Variants", width=160, help="Each one's share of the calls."),
    }


def daily(traffic: Traffic | None) -> list[int] | None:
    """Calls of each of thirty days, oldest first; None where nobody knows, or where there was none."""
    if traffic is None or not traffic.month:
        return None
    calls = traffic.calls[-DAYS * PER_DAY :]
    return [sum(calls[at : at + PER_DAY]) for at in range(0, len(calls), PER_DAY)]


def _last(traffic: Traffic | None) -> datetime | None:
    last = traffic.last_call if traffic is not None else None
    return None if last is None else last - STEP


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _numbers(values: Any) -> pd.Series:
    return pd.Series(list(values), dtype="float64")


def metrics_row(found: FleetSnapshot, prices: PriceTable, *, sandbox: bool) -> None:
    """Four figures; lower bounds where something is not known."""
    cost = found.cost
    rest = f"{len(cost.unknown)} with an unknown price are left out. " if cost.unknown else ""
    source = f"{rest}{messages.plain(prices.attribution)}"
    with st.grid(4, min_column_width=150, gap="small"):
        _figure(
            "An hour", _amount(cost.per_hour, cost), f"{_amount(cost.through_monday, cost)} till Monday",
            icon="schedule", why=f"All instances together. {source}",
        )  # fmt: skip
        _figure(
            "This month so far", _amount(cost.so_far, cost), "as they are now", icon="today",
            why=f"As if each had run on what it runs on now since the month began. {source}",
        )  # fmt: skip
        _figure(
            "A month", _amount(cost.per_month, cost), f"{_amount(cost.per_year, cost)} a year",
            icon="calendar_month", why=f"Of 730 hours, if all stays as it is. {source}",
        )  # fmt: skip
        _figure(
            "Wasted a month", _wasted(found), _idle(found), icon="bedtime",
            why=f"An hour: {cost.wasted_per_hour}. Idle ones had no call in seven days, and bill all the same.",
        )  # fmt: skip
    said = ["This machine serves them, and nothing is billed; AWS would take this much."] if sandbox else []
    said += [f"The prices of **{found.unread}** endpoints are still being read."] if found.unread else []
    if said:
        st.caption(f":material/info: {' '.join(said)}")


def _figure(label: str, amount: str, more: str, *, icon: str, why: str) -> None:
    st.metric(
        label, amount, more, border=True, icon=f":material/{icon}:", help=why, height="stretch",
        delta_color="off", delta_arrow="off",
    )  # fmt: skip


def _amount(amount: Money, cost: FleetCost) -> str:
    return f"{'≥ ' if cost.unknown else ''}{amount}"


def _wasted(found: FleetSnapshot) -> str:
    if found.untold == len(found.rows):
        return "unknown"
    least = found.untold or len(found.cost.idle) < found.idle
    return f"{'≥ ' if least else ''}{found.cost.wasted_per_month}"


def _idle(found: FleetSnapshot) -> str:
    if found.untold:
        return f"of {found.untold} the calls are not known"
    return (
        "by 1 idle one" if found.idle == 1 else f"by {found.idle} idle ones" if found.idle else "none is idle"
    )
