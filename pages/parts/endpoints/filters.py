"""The filters above the list of endpoints. They are kept in the URL, so that a copied link shows the same list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import streamlit as st

from core.endpoints.health import HEALTH_STATUSES, HealthStatus
from pages.parts import links, state
from pages.parts.endpoints import slots
from pages.parts.fleet import VERDICT_ICONS, FleetRow

NAMES = ("health", "text")
"""Names of the URL parameters."""

HEALTH, TEXT = "endpoints_health", "endpoints_text"
"""Keys of the widgets."""


def draw(rows: Sequence[FleetRow]) -> list[FleetRow]:
    """Draw the filters and return the rows that match. The URL takes precedence over what the widgets held before."""
    query = state.query(NAMES)
    slots.keep_view(query)
    verdicts = [verdict for verdict in HEALTH_STATUSES if verdict in query.get("health", "").split(",")]
    text = query.get("text", "").strip()
    for key, value in ((HEALTH, verdicts), (TEXT, text)):
        if state.chosen(key) != value:  # setting it needlessly would discard what is being typed
            state.choose(key, value)
    counts = Counter(row.health.status for row in rows)
    with st.container(horizontal=True, vertical_alignment="top", gap="small"):
        st.pills(
            "Health",
            [verdict for verdict in HEALTH_STATUSES if counts[verdict] or verdict in verdicts],
            selection_mode="multi",
            format_func=lambda verdict: _label(verdict, counts[verdict]),
            key=HEALTH,
            on_change=_apply,
        )
        st.text_input(
            "Name or instance contains",
            key=TEXT,
            max_chars=63,
            icon=":material/search:",
            width=240,
            on_change=_apply,
        )
    return [row for row in rows if _passes(row, verdicts, text.casefold())]


def back_link() -> None:
    """Draw the link back to the list, with the filters it was left with."""
    links.page_link(
        links.ENDPOINTS,
        label="Endpoints",
        icon=":material/arrow_back:",
        query_params=slots.view(),
    )


def clear() -> None:
    """Show all endpoints again."""
    state.set_query(dict.fromkeys(NAMES, ""))


def _apply() -> None:
    """Write the widgets' values into the URL."""
    chosen, text = state.chosen(HEALTH) or (), state.chosen(TEXT) or ""
    state.set_query({"health": ",".join(chosen), "text": text.strip()})


def _label(verdict: HealthStatus, count: int) -> str:
    return f"{VERDICT_ICONS[verdict]} {verdict.capitalize()} · {count}"


def _passes(row: FleetRow, verdicts: Sequence[str], text: str) -> bool:
    if verdicts and row.health.status not in verdicts:
        return False
    fields = (row.endpoint.name, *(variant.instance_type for variant in row.endpoint.variants))
    return not text or any(text in field.casefold() for field in fields)
