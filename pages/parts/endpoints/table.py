"""The table of endpoints and the cost metrics above it: a row opens its endpoint, selected rows can be deleted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zlib import crc32

import pandas as pd
import streamlit as st

from core.aws.connection import Connection
from core.cost.hosting import FleetCost
from core.cost.training import SANDBOX_NOTE, Money, PriceTable, cost_label
from core.endpoints.endpoint import in_words
from core.endpoints.health import HEALTH_STATUSES
from core.endpoints.traffic import DAYS, Traffic
from core.text import plural
from pages.parts import buttons, cards, elements, fleet, links, messages, state
from pages.parts.endpoints import deletion, header, slots
from pages.parts.fleet import VERDICT_COLORS, FleetRow, FleetSnapshot
from pages.parts.row_links.row_links import row_links

ROW, HEADER, ROWS = 37, 39, 14
"""Heights in pixels, and the number of rows shown before the table scrolls."""

OPEN = "name"
"""The column whose cells open their endpoint."""

PER_DAY = 4
"""Traffic steps per day."""


def open_clicked() -> None:
    """Open the page of the endpoint whose name was just clicked, whichever rows the table has by now."""
    if (name := slots.CLICKED.pop()) is not None:
        links.open_page(links.ENDPOINT, {state.ENDPOINT: name})


def show(rows: Sequence[FleetRow], *, sandbox: bool) -> None:
    """Draw the table. `open_clicked` opens the endpoint whose name is clicked."""
    names = tuple(row.endpoint.name for row in rows)
    ticked = slots.ticked()
    # Streamlit identifies selected rows and clicked cells by position, so another order of rows needs another key.
    key = f"endpoints-{crc32(','.join(names).encode())}-{slots.tick_changes()}"
    elements.dataframe(
        frame(rows),
        column_config=columns(
            sandbox=sandbox, key=f"{key}-open", on_click=_click, args=(f"{key}-open", names)
        ),
        hide_index=True,
        row_height=ROW,
        placeholder="–",
        height=HEADER + ROW * min(len(rows), ROWS),
        key=key,
        selection_mode="multi-row",
        selection_default={"selection": {"rows": [n for n, name in enumerate(names) if name in ticked]}},
        on_select=lambda: _tick(key, names),
        alt="Endpoints, those that need attention first",
    )
    row_links(names, links.ENDPOINT, state.ENDPOINT, "endpoint", key="endpoints-links")


def offer_deletion(connection: Connection, rows: Sequence[FleetRow]) -> None:
    """Draw what is selected, what it costs, and the button that opens the deletion plan."""
    ticked = slots.ticked()
    chosen = [row for row in rows if row.endpoint.name in ticked]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        _offer_idle([row.endpoint.name for row in rows if row.health.status == "idle"], ticked)
        if not chosen:
            st.caption("Select endpoints to delete them together.")
            return
        st.button(
            "Clear selection", icon=":material/close:", type="tertiary", on_click=slots.tick, args=((),)
        )
        going = chosen[: deletion.MOST]
        names = [row.endpoint.name for row in going]
        what = f"Delete {len(names)} endpoints" if len(names) > 1 else f"Delete {messages.plain(names[0])}"
        pressed = buttons.button(
            what, key="delete-chosen", acts_on=frozenset(names), type="primary", icon=":material/delete:"
        )
        rest = (
            f" Only the first {deletion.MOST} of {len(chosen)} selected endpoints are deleted at once."
            if len(chosen) > len(going)
            else ""
        )
        st.caption(f"{_costs(len(names), connection)} {_monthly(going)} per month.{rest}")
    if pressed:
        with messages.error_boundary("delete"):
            deletion.delete(connection, names, lambda: _after_deletion(names))


def _costs(count: int, connection: Connection) -> str:
    """Return the words before an amount; the sandbox itself bills nothing."""
    if connection.is_sandbox:
        return "On AWS, they would cost" if count > 1 else "On AWS, it would cost"
    return "They cost" if count > 1 else "It costs"


def _monthly(rows: Sequence[FleetRow]) -> str:
    cost = fleet.total(rows)
    return f"{'at least ' if cost.unknown else ''}**{cost.per_month}**"


def _offer_idle(idle: Sequence[str], ticked: Sequence[str]) -> None:
    """Draw the button that selects all idle endpoints."""
    if idle and set(idle) != set(ticked):
        label = f"Select {len(idle)} idle endpoints" if len(idle) > 1 else "Select the idle endpoint"
        st.button(label, icon=":material/bedtime:", on_click=slots.tick, args=(tuple(idle),))


def _after_deletion(names: Sequence[str]) -> None:
    slots.tick([name for name in slots.ticked() if name not in names])
    st.rerun()


def _click(key: str, names: tuple[str, ...]) -> None:
    """Note the endpoint in the clicked row. names: of the rows that the user saw, which a refresh may replace."""
    row = state.clicked_row(key)
    if row is not None and row < len(names):
        slots.CLICKED.keep(names[row])


def _tick(key: str, names: tuple[str, ...]) -> None:
    """Keep the selection by name, including endpoints that other filters hid."""
    others = [name for name in slots.ticked() if name not in names]
    slots.keep_ticks([*others, *(names[row] for row in state.ticked_rows(key))])


def frame(rows: Sequence[FleetRow]) -> pd.DataFrame:
    """Return one row per endpoint, in order. Latencies in seconds, errors as a share of 1, cost in dollars.

    A last call is given as the start of the six-hour step it was in, or as the endpoint's creation if that is later.
    """
    qualities = [row.service for row in rows]
    monthly = [row.cost.price.per_month for row in rows]
    return pd.DataFrame(
        {
            OPEN: [row.endpoint.name for row in rows],
            "health": [[row.health.status] for row in rows],
            "status": [[in_words(row.endpoint.status)] for row in rows],
            "cost": _numbers(None if cost is None else float(cost.usd) for cost in monthly),
            "last": pd.Series([_last(row.traffic) for row in rows], dtype="datetime64[us, UTC]"),
            "line": [daily(row.traffic) for row in rows],
            "p50": _numbers(_seconds(quality.p50_ms) if quality else None for quality in qualities),
            "p90": _numbers(_seconds(quality.p90_ms) if quality else None for quality in qualities),
            "errors": _numbers(quality.error_share if quality else None for quality in qualities),
            "instance": [header.machines(row.endpoint.variants) or None for row in rows],
            "variants": [header.shares(row.endpoint.variants) or None for row in rows],
        }
    )


def columns(*, sandbox: bool = False, **button: Any) -> dict[str, Any]:
    """Return the column configuration of `frame`. button: key and callback of the column that opens an endpoint."""
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
            color=[VERDICT_COLORS[verdict] for verdict in HEALTH_STATUSES],
            width=95,
            help="Whether it gets calls and responds well, which the AWS status does not show.",
        ),
        "status": column.MultiselectColumn("Status", options=words, color=colors, width=130),
        "cost": column.NumberColumn(
            "AWS price per month" if sandbox else "Per month",
            format="dollar",
            width=140 if sandbox else 95,
            help=f"{f'{SANDBOX_NOTE} ' if sandbox else ''}730 hours at the current configuration.",
        ),
        "last": column.DatetimeColumn(
            "Last call",
            format="distance",
            width=115,
            help="Accurate to within 6 hours. Empty if there were no calls in the last 30 days.",
        ),
        "line": column.BarChartColumn("Calls, 30 days", width=130, help="One bar per day.", y_min=0),
        "p50": column.NumberColumn(
            "p50", format="%.2f s", width=75, help="Median latency in the last 24 hours."
        ),
        "p90": column.NumberColumn(
            "p90", format="%.2f s", width=75, help="90th percentile latency in the last 24 hours."
        ),
        "errors": column.NumberColumn(
            "Errors", format="percent", width=75, help="Share of failed calls in the last 24 hours."
        ),
        "instance": column.TextColumn("Instances", width=165),
        "variants": column.TextColumn(
            "Variants", width=160, help="Each variant and its share of the traffic."
        ),
    }


def daily(traffic: Traffic | None) -> list[int] | None:
    """Return the calls of each of 30 days, oldest first; None if they are unknown or there were none."""
    if traffic is None or not traffic.month:
        return None
    calls = traffic.calls[-DAYS * PER_DAY :]
    return [sum(calls[at : at + PER_DAY]) for at in range(0, len(calls), PER_DAY)]


def _last(traffic: Traffic | None) -> datetime | None:
    return traffic.last_call_after if traffic is not None else None


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _numbers(values: Any) -> pd.Series:
    return pd.Series(list(values), dtype="float64")


def metrics_row(fleet_now: FleetSnapshot, prices: PriceTable, *, sandbox: bool) -> None:
    """Draw four cost metrics; lower bounds if some price or traffic is unknown."""
    cost = fleet_now.cost
    excluded = f"Excludes {plural(len(cost.unknown), 'endpoint')} with an unknown price. "
    rest = excluded if cost.unknown else ""
    source = f"{rest}{messages.plain(prices.attribution)}"
    left, right = cards.four_cards()
    with left:
        _metric(
            cost_label("Cost per hour", sandbox=sandbox),
            _amount(cost.per_hour, cost),
            f"{_amount(cost.through_monday, cost)} by Monday",
            f"All instances together. {source}",
        )
        _metric(
            "AWS price, month to date" if sandbox else "Month to date",
            _amount(cost.so_far, cost),
            "current configuration",
            f"Assumes that the current configuration ran since the start of the month. {source}",
        )
    with right:
        _metric(
            cost_label("Cost per month", sandbox=sandbox),
            _amount(cost.per_month, cost),
            f"{_amount(cost.per_year, cost)} per year",
            f"730 hours at the current configuration. {source}",
        )
        _metric(
            cost_label("Idle cost per month", sandbox=sandbox),
            _wasted(fleet_now),
            _idle(fleet_now),
            f"{cost.wasted_per_hour} per hour. Idle endpoints had no calls in seven days"
            f"{f'. {source}' if sandbox else ' but are still billed.'}",
        )
    notes = [SANDBOX_NOTE] if sandbox else []
    notes += (
        [f"The prices of **{fleet_now.unread}** endpoints are still being read."] if fleet_now.unread else []
    )
    if notes:
        st.caption(f":material/info: {' '.join(notes)}")


def _metric(label: str, amount: str, more: str, why: str) -> None:
    st.metric(
        label, amount, more, border=True, help=why, height="stretch", delta_color="off", delta_arrow="off"
    )


def _amount(amount: Money, cost: FleetCost) -> str:
    return f"{'≥ ' if cost.unknown else ''}{amount}"


def _wasted(fleet_now: FleetSnapshot) -> str:
    if fleet_now.usage_unknown == len(fleet_now.rows):
        return "unknown"
    least = fleet_now.usage_unknown or len(fleet_now.cost.idle) < fleet_now.idle
    return f"{'≥ ' if least else ''}{fleet_now.cost.wasted_per_month}"


def _idle(fleet_now: FleetSnapshot) -> str:
    if fleet_now.usage_unknown:
        return f"usage unknown for {plural(fleet_now.usage_unknown, 'endpoint')}"
    return plural(fleet_now.idle, "idle endpoint") if fleet_now.idle else "no idle endpoints"
