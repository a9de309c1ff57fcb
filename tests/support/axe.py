"""Check a page with axe-core, the accessibility rules of Deque, as a user's browser shows it."""

from __future__ import annotations

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

RUN = """async ([also, exceptions]) => {
    const rules = Object.fromEntries(also.map((rule) => [rule, { enabled: true }]));
    const { violations } = await axe.run(document, { resultTypes: ["violations"], elementRef: true, rules });
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


def violations(page: Page) -> list[dict[str, Any]]:
    """Return what breaks a rule that matters: the rule, and each element with its reason."""
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(Axe().axe_script)
    exceptions = [[row.rule, row.selector] for row in STREAMLIT]
    rows: list[dict[str, Any]] = page.evaluate(RUN, [list(ALSO), exceptions])
    return [row for row in rows if row["impact"] in SEVERE or row["rule"] in ALSO]


def described(rows: list[dict[str, Any]]) -> str:
    """Return the violations as text."""
    return "\n".join(
        f"{row['rule']} ({row['impact']}): {node['target']}\n    {node['html']}\n    {node['why']}"
        for row in rows
        for node in row["nodes"]
    )
