"""The money above the list of endpoints: an hour, this month, a month, and what idle ones waste of it."""

from __future__ import annotations

import streamlit as st

from core.cost import Money, PriceTable
from core.hosting_cost import FleetCost
from pages.parts import messages


def show(cost: FleetCost, prices: PriceTable, *, unread: int, sandbox: bool) -> None:
    """Four figures. unread: endpoints whose price is still on its way; the sums are then lower bounds."""
    on = "On AWS, " if sandbox else ""
    rest = f" {len(cost.unknown)} with an unknown price are left out." if cost.unknown else ""
    source = f"{rest} {messages.plain(prices.said)}".strip()
    with st.grid(4, min_column_width=150, gap="small"):
        st.metric(
            _label(on, "an hour"), _amount(cost.per_hour, cost), border=True, icon=":material/schedule:",
            help=f"If all stays till Monday: {_amount(cost.till_monday, cost)}. {source}",
        )  # fmt: skip
        st.metric(
            _label(on, "this month so far"), _amount(cost.so_far, cost), border=True, icon=":material/today:",
            help=f"As if each had run on what it runs on now since the month began. {source}",
        )  # fmt: skip
        st.metric(
            _label(on, "a month"), _amount(cost.per_month, cost), border=True, icon=":material/calendar_month:",
            help=f"Of 730 hours, if all stays as it is. A year: {_amount(cost.per_year, cost)}. {source}",
        )  # fmt: skip
        st.metric(
            f"Wasted by {_idle(cost)}, a month", str(cost.wasted_per_month), border=True, icon=":material/bedtime:",
            help=f"An hour: {cost.wasted_per_hour}. Idle ones had no call in seven days, and bill all the same.",
        )  # fmt: skip
    said = ["This machine serves them, and nothing is billed; AWS would take this much."] if sandbox else []
    said += [f"The prices of **{unread}** endpoints are still being read."] if unread else []
    if said:
        st.caption(f":material/info: {' '.join(said)}")


def _label(on: str, what: str) -> str:
    return f"{on}{what}" if on else f"{what[:1].upper()}{what[1:]}"


def _amount(amount: Money, cost: FleetCost) -> str:
    return f"{'≥ ' if cost.unknown else ''}{amount}"


def _idle(cost: FleetCost) -> str:
    return f"{len(cost.idle)} idle" if cost.idle else "idle ones"
