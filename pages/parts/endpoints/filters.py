"""The filters above the list of endpoints. The address holds them, so that a copied link shows the same ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import streamlit as st

from core.endpoints.health import HEALTH_STATUSES, HealthStatus
from pages.parts import links, state
from pages.parts.endpoints import slots
from pages.parts.fleet import VERDICT_ICONS, FleetRow

NAMES = ("health", "text")
"""Names in the address."""

HEALTH, TEXT = "endpoints_health", "endpoints_text"
"""Keys of the widgets."""


def ask(rows: Sequence[FleetRow]) -> list[FleetRow]:
    """Draw the filters and give the rows that pass. What stands in the address beats what the widgets held before."""
    asked = state.query(NAMES)
    slots.keep_view(asked)
    verdicts = [one for one in HEALTH_STATUSES if one in asked.get("health", "").split(",")]
    text = asked.get("text", "").strip()
    for key, value in ((HEALTH, verdicts), (TEXT, text)):
        if state.chosen(key) != value:  # setting it needlessly would take away what is being typed
            state.choose(key, value)
    counts = Counter(row.health.status for row in rows)
    with st.container(horizontal=True, vertical_alignment="top", gap="small"):
        st.pills(
            "Health",
            [one for one in HEALTH_STATUSES if counts[one] or one in verdicts],
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


def way_back() -> None:
    """The link to the list, as it was left."""
    st.page_link(
        links.ENDPOINTS,
        label="Endpoints",
        icon=":material/arrow_back:",
        query_params=slots.view(),
    )


def clear() -> None:
    """Show all endpoints again."""
    state.set_query(dict.fromkeys(NAMES, ""))


def _apply() -> None:
    """Write what the widgets hold into the address."""
    chosen, text = state.chosen(HEALTH) or (), state.chosen(TEXT) or ""
    state.set_query({"health": ",".join(chosen), "text": text.strip()})


def _label(verdict: HealthStatus, count: int) -> str:
    return f"{VERDICT_ICONS[verdict]} {verdict.capitalize()} · {count}"


def _passes(row: FleetRow, verdicts: Sequence[str], text: str) -> bool:
    if verdicts and row.health.status not in verdicts:
        return False
    held = (row.endpoint.name, *(variant.instance_type for variant in row.endpoint.variants))
    return not text or any(text in one.casefold() for one in held)
