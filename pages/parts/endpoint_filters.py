"""The filters above the list of endpoints. The address holds them, so that a copied link shows the same ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import streamlit as st

from core.health import VERDICTS, Verdict
from pages.parts import state
from pages.parts.endpoint_chips import VERDICT_ICONS
from pages.parts.fleet import Row


def ask(rows: Sequence[Row]) -> list[Row]:
    """Draw the filters and give the rows that pass. Each verdict tells how many there are of it."""
    counts = Counter(row.health.verdict for row in rows)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        verdicts = st.pills(
            "Health",
            [verdict for verdict in VERDICTS if counts[verdict] or verdict in _held()],
            selection_mode="multi",
            format_func=lambda verdict: _label(verdict, counts[verdict]),
            key=state.HEALTH,
            bind="query-params",
        )
        text = st.text_input(
            "Name or instance contains",
            key=state.ENDPOINT_TEXT,
            max_chars=63,
            icon=":material/search:",
            width=240,
            bind="query-params",
        )
    return [row for row in rows if _passes(row, verdicts, (text or "").strip().casefold())]


def clear() -> None:
    """Show all endpoints again."""
    state.choose(state.HEALTH, [])
    state.choose(state.ENDPOINT_TEXT, "")


def _held() -> Sequence[str]:
    """What is chosen stays to be taken off, also when there is none of it any more."""
    return state.chosen(state.HEALTH) or ()


def _label(verdict: Verdict, count: int) -> str:
    return f"{VERDICT_ICONS[verdict]} {verdict.capitalize()} · {count}"


def _passes(row: Row, verdicts: Sequence[str], text: str) -> bool:
    if verdicts and row.health.verdict not in verdicts:
        return False
    held = (row.endpoint.name, *(variant.instance_type for variant in row.endpoint.variants))
    return not text or any(text in one.casefold() for one in held)
