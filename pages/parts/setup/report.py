"""The checks of the setup page, by section, with the button that creates an execution role."""

from __future__ import annotations

import streamlit as st

from core.aws.connection import Connection
from core.aws.doctor import SetupReport
from core.plans.role import DEFAULT_ROLE
from pages.parts import account_checks, messages, plan_dialog
from pages.parts.setup import checks, target

ROLE_SECTION = checks.SECTIONS[1][0]
NAME = "setup_role_name"
"""The key of the field with the name of a new role."""


def show(connection: Connection) -> None:
    """Draw what is checked, the checks, and the smallest policy. Raises PendingError."""
    chosen = target.ask(sandbox=connection.is_sandbox)
    if chosen is None:
        return
    report = account_checks.read_report(connection, chosen).value
    checks.summary(report.checks)
    for title, rows in checks.sections(report.checks).items():
        st.header(title)
        with st.container(border=True, gap="small"):
            for check in rows:
                checks.row(check)
        if title == ROLE_SECTION and any(check.id == "role" and check.status != "ok" for check in rows):
            _create_role(connection, report)
    if report.policy is not None:
        checks.policy("Least-privilege IAM policy for Segdeck users", report.policy)


def _create_role(connection: Connection, report: SetupReport) -> None:
    """Draw the way to a new role: a plan, shown before anything is changed."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.text_input("Name of a new role", DEFAULT_ROLE, key=NAME, width=320)
        if st.button("Review and create", icon=":material/person_add:"):
            with messages.error_boundary("role"):
                plan = report.plan_role((name or "").strip())
                plan_dialog.open_plan(plan, connection, lambda: _check(plan.target))


def _check(role: str) -> None:
    """Check the new role, in a new run of the page."""
    target.NEW_ROLE.set(role)
    st.rerun()
