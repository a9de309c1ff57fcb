"""Check a page with axe-core, the accessibility rules of Deque, as a user's browser shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

SEVERE = ("serious", "critical")
ALSO = ("heading-order", "empty-table-header", "label-content-name-mismatch")
"""Rules that must hold although axe calls a violation less than serious, or does not run them by default."""


@dataclass(frozen=True)
class ExceptedMarkup:
    """A rule that Streamlit's own markup breaks, where nothing of ours can fix it."""

    rule: str
    selector: str
    reason: str


NAVIGATION = "[data-testid=stSidebarNavItems]"
STREAMLIT = (
    ExceptedMarkup("list", NAVIGATION, "st.navigation puts the <div> of each section into its <ul>."),
    ExceptedMarkup("listitem", NAVIGATION, "The same: its <li> are children of these <div>."),
)

OF_COLORS = ("color-contrast", "link-in-text-block")
"""Rules that depend on the theme."""

RUN = """async ([also, exceptions, only]) => {
    const rules = Object.fromEntries(also.map((rule) => [rule, { enabled: true }]));
    const options = { resultTypes: ["violations"], elementRef: true };
    Object.assign(options, only.length ? { runOnly: { type: "rule", values: only } } : { rules });
    const { violations } = await axe.run(document, options);
    const excepted = (rule, element) => exceptions.some(
        ([excepted, selector]) => excepted === rule && element?.closest(selector));
    return violations.map(({ id, impact, nodes }) => ({
        rule: id,
        impact,
        nodes: nodes.filter(({ element }) => !excepted(id, element)).map(({ target, html, any, all, none }) => ({
            target: target.flat().join(" "),
            html: html.slice(0, 200),
            why: [...any, ...all, ...none].map(({ message }) => message).join("; "),
        })),
    })).filter(({ nodes }) => nodes.length);
}"""


def violations(page: Page, only: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return what breaks a rule that matters: the rule, and each element with its reason.

    only: rules to check; empty for all.
    """
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(Axe().axe_script)
    exceptions = [[row.rule, row.selector] for row in STREAMLIT]
    rows: list[dict[str, Any]] = page.evaluate(RUN, [list(ALSO), exceptions, list(only)])
    return [row for row in rows if row["impact"] in SEVERE or row["rule"] in ALSO]


def described(rows: list[dict[str, Any]]) -> str:
    """Return the violations as text."""
    return "\n".join(
        f"{row['rule']} ({row['impact']}): {node['target']}\n    {node['html']}\n    {node['why']}"
        for row in rows
        for node in row["nodes"]
    )
