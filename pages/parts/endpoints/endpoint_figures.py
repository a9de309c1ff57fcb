"""The money above the list of endpoints: an hour, this month, a month, and what idle ones waste of it."""

from __future__ import annotations

import streamlit as st

from core.cost.hosting import FleetCost
from core.cost.training import Money, PriceTable
from pages.parts import messages
from pages.parts.endpoints.fleet import FleetSnapshot


def show(found: FleetSnapshot, prices: PriceTable, *, sandbox: bool) -> None:
    """Four figures; lower bounds where something is not known."""
    cost = found.cost
    rest = f"{len(cost.unknown)} with an unknown price are left out. " if cost.unknown else ""
    source = f"{rest}{messages.plain(prices.said)}"
    with st.grid(4, min_column_width=150, gap="small"):
        _figure(
            "An hour", _amount(cost.per_hour, cost), f"{_amount(cost.till_monday, cost)} till Monday",
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
