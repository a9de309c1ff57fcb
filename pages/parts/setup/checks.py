"""The checks, drawn: a row each, with what to do below those that are not ok."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.access.check import Check, PolicyDocument, Status, policy_text
from core.text import plural
from pages.parts import elements, messages

SIGNS: dict[Status, str] = {
    "ok": ":green[:material/check_circle:]",
    "warning": ":orange[:material/warning:]",
    "problem": ":red[:material/error:]",
    "unknown": ":gray[:material/help:]",
}
SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Account", ("credentials", "region", "identity", "clock", "permissions", "pass-role")),
    ("Execution role", ("role",)),
    ("Bucket", ("bucket",)),
    ("Quotas, container image and prices", ("quota", "image", "prices")),
)
"""Title -> the ids of its checks, or how they begin, up to a hyphen. The first section that fits counts."""

POLICY_HEIGHT = 320
TITLE_WIDTH = 190
"""Pixels."""


def summary(checks: Sequence[Check]) -> None:
    """Draw how many checks are not ok."""
    counts = {status: sum(check.status == status for check in checks) for status in SIGNS}
    with st.container(horizontal=True, gap="small"):
        if counts["problem"]:
            st.badge(plural(counts["problem"], "problem"), icon=":material/error:", color="red")
        else:
            st.badge("No problems found", icon=":material/check_circle:", color="green")
        if counts["warning"]:
            st.badge(plural(counts["warning"], "warning"), icon=":material/warning:", color="orange")
        if counts["unknown"]:
            st.badge(f"{counts['unknown']} unknown", icon=":material/help:", color="gray")


def section_of(check: Check) -> str:
    """Return the title of the section that a check belongs to."""
    for title, ids in SECTIONS:
        if check.id in ids or check.id.partition("-")[0] in ids:
            return title
    return SECTIONS[-1][0]


def sections(checks: Sequence[Check]) -> dict[str, list[Check]]:
    """Return title -> checks, in order; without sections that have none."""
    grouped = {title: [check for check in checks if section_of(check) == title] for title, _ in SECTIONS}
    return {title: rows for title, rows in grouped.items() if rows}


def row(check: Check) -> None:
    """Draw one check."""
    with st.container(horizontal=True, vertical_alignment="top", gap="small"):
        st.markdown(SIGNS[check.status], width="content")
        st.markdown(f"**{messages.plain(check.title)}**", width=TITLE_WIDTH)
        with st.container(gap="xsmall"):
            st.markdown(messages.plain(check.found))
            if check.status != "ok":
                _advice(check)


def _advice(check: Check) -> None:
    if check.todo:
        st.caption(messages.plain(check.todo))
    if check.link:
        st.link_button("Open the AWS console", check.link, icon=":material/open_in_new:")
    if check.command:
        with st.expander("AWS CLI command", icon=":material/terminal:"):
            elements.code(check.command, language=None, wrap_lines=True)
    if check.policy is not None:
        policy("Policy", check.policy)


def policy(label: str, document: PolicyDocument) -> None:
    """Draw a policy to copy, folded."""
    with st.expander(label, icon=":material/data_object:"):
        elements.code_block(policy_text(document), language=None, height=POLICY_HEIGHT)
