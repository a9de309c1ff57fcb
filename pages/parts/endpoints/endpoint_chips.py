"""How an endpoint's status and health look: words, colours, icons."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from core.endpoints.endpoint import CHANGING, FAILED, IN_SERVICE, STATUS_WORDS, Endpoint, Variant, in_words
from core.endpoints.health import Health, Verdict
from core.text import listing
from pages.parts import messages

Color = Literal["blue", "gray", "green", "orange", "red", "violet"]

VERDICT_COLORS: dict[Verdict, Color] = {
    "failed": "red",
    "idle": "orange",
    "erroring": "red",
    "slow": "orange",
    "changing": "blue",
    "unknown": "gray",
    "new": "violet",
    "healthy": "green",
}
VERDICT_ICONS: dict[Verdict, str] = {
    "failed": ":material/error:",
    "idle": ":material/bedtime:",
    "erroring": ":material/report:",
    "slow": ":material/hourglass_bottom:",
    "changing": ":material/progress_activity:",
    "unknown": ":material/help:",
    "new": ":material/fiber_new:",
    "healthy": ":material/favorite:",
}
MANY = 3
"""Of more variants than these, only the first ones are told in a line."""


def show(endpoint: Endpoint, health: Health) -> None:
    """Both as badges."""
    st.badge(
        messages.plain(in_words(endpoint.status)), icon=_icon(endpoint), color=status_color(endpoint.status)
    )
    if health.verdict not in ("failed", "changing"):  # the status has said so
        st.badge(health.verdict, icon=VERDICT_ICONS[health.verdict], color=VERDICT_COLORS[health.verdict])


def status_color(status: str) -> Color:
    """The colour of a status."""
    if status == IN_SERVICE:
        return "green"
    return "red" if status in FAILED else "blue" if status in CHANGING else "gray"


def statuses() -> tuple[list[str], list[str]]:
    """Every status in words, and its colour."""
    return list(STATUS_WORDS.values()), [status_color(status) for status in STATUS_WORDS]


def machines(variants: tuple[Variant, ...]) -> str:
    """What it runs on, such as "2 × ml.g4dn.xlarge"; of several variants, all together."""
    counts: dict[str, int | None] = {}
    for variant in variants:
        kind = "serverless" if variant.serverless else variant.instance_type
        count = None if variant.serverless else variant.count
        counts[kind] = counts.get(kind) if count is None else (counts.get(kind) or 0) + count
    known = {kind: count for kind, count in counts.items() if kind}
    return " + ".join(kind if count in (1, None) else f"{count} × {kind}" for kind, count in known.items())


def shares(variants: tuple[Variant, ...]) -> str:
    """Who gets how much of the calls, such as "blue 90% · green 10%"; a single one's name."""
    if len(variants) == 1:
        return variants[0].name
    whole = sum(variant.weight or 0 for variant in variants)
    said = [
        f"{variant.name} {(variant.weight or 0) / whole:.0%}" if whole else variant.name
        for variant in variants
    ]
    return listing(said, MANY, separator=" · ")


def _icon(endpoint: Endpoint) -> str:
    if endpoint.in_service:
        return ":material/check_circle:"
    return ":material/error:" if endpoint.failed else ":material/progress_activity:"
