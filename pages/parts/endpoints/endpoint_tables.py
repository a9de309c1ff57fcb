"""The table of endpoints, as values."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from core.endpoints.endpoint import in_words
from core.endpoints.health import VERDICTS
from core.endpoints.traffic import DAYS, STEP, Traffic
from pages.parts.endpoints import endpoint_chips
from pages.parts.endpoints.fleet import FleetRow

OPEN = "name"
"""The column whose cells open their endpoint."""

PER_DAY = 4
"""Steps of traffic in a day."""


def frame(rows: Sequence[FleetRow]) -> pd.DataFrame:
    """A row an endpoint, in their order. Latencies in seconds, errors as a share of 1, money in dollars.

    A last call is told by the beginning of the step of six hours that it was in.
    """
    answers = [row.service for row in rows]
    monthly = [row.cost.price.per_month for row in rows]
    return pd.DataFrame(
        {
            OPEN: [row.endpoint.name for row in rows],
            "health": [[row.health.verdict] for row in rows],
            "status": [[in_words(row.endpoint.status)] for row in rows],
            "cost": _numbers(None if cost is None else float(cost.usd) for cost in monthly),
            "last": pd.Series([_last(row.traffic) for row in rows], dtype="datetime64[us, UTC]"),
            "line": [daily(row.traffic) for row in rows],
            "p50": _numbers(_seconds(one.p50_ms) if one else None for one in answers),
            "p90": _numbers(_seconds(one.p90_ms) if one else None for one in answers),
            "errors": _numbers(one.error_share if one else None for one in answers),
            "instance": [endpoint_chips.machines(row.endpoint.variants) or None for row in rows],
            "variants": [endpoint_chips.shares(row.endpoint.variants) or None for row in rows],
        }
    )


def columns(**button: Any) -> dict[str, Any]:
    """How the columns of `frame` look. button: key and callback of the column that opens an endpoint."""
    column = st.column_config
    words, colors = endpoint_chips.statuses()
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
            options=list(VERDICTS),
            color=[endpoint_chips.VERDICT_COLORS[one] for one in VERDICTS],
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
