"""Changes that a crash or an error interrupted: the state of each step, and how to continue."""

from __future__ import annotations

import streamlit as st

from core.aws.connection import Connection, clients
from core.aws.execute import check_account
from core.errors import InputError
from core.plans.delete import clean_up
from core.plans.journal import JournalEntry
from core.plans.plan import Plan, StepState
from pages.parts import backend, formatting, messages, plan_dialog

SIGNS: dict[StepState | None, str] = {
    None: ":gray[:material/radio_button_unchecked:]",
    "start": ":orange[:material/help:]",
    "waiting": ":orange[:material/hourglass_top:]",
    "done": ":green[:material/check_circle:]",
    "recovered": ":green[:material/check_circle:]",
    "already": ":green[:material/check_circle:]",
    "kept": ":gray[:material/lock:]",
}
WORDS: dict[StepState | None, str] = {
    None: "not started",
    "start": "started; unknown whether it succeeded",
    "waiting": "requested; completion not confirmed",
    "already": "already existed",
    "kept": "skipped: still in use",
}


def show(connection: Connection, target: str = "") -> None:
    """Draw all interrupted changes with steps and buttons. target: only those of this endpoint."""
    for entry in backend.journal().unfinished():
        if not target or target in entry.plan.target.split(", "):
            _change(connection, entry)


def _change(connection: Connection, entry: JournalEntry) -> None:
    plan = entry.plan
    with st.container(border=True):
        why = f" {messages.plain(entry.error)}" if entry.error else ""
        st.warning(
            f"**Interrupted change: {messages.plain(plan.in_words)}.** "
            f"Started {formatting.ago(entry.started_at)}, at {formatting.moment(entry.started_at)}.{why}",
            icon=":material/running_with_errors:",
        )
        lines = [
            _line(step.what, step_state) for step, step_state in zip(plan.steps, entry.states, strict=True)
        ]
        st.markdown("  \n".join(lines))
        _buttons(connection, entry)


def _line(what: str, step_state: StepState | None) -> str:
    words = f" :gray[· {WORDS[step_state]}]" if step_state in WORDS else ""
    return f"{SIGNS[step_state]} {messages.plain(what)}{words}"


def _buttons(connection: Connection, entry: JournalEntry) -> None:
    """Draw the buttons: finish, clean up, or keep it as it is."""
    journal = backend.journal()
    with st.container(horizontal=True, gap="small"):
        finish = st.button("Finish", key=f"finish-{entry.id}", type="primary", icon=":material/play_arrow:")
        cleanup = _cleanup(entry)
        clean = cleanup is not None and st.button("Clean up", key=f"clean-{entry.id}", icon=":material/mop:")
        st.button(
            "Leave as is", key=f"leave-{entry.id}", type="tertiary", on_click=journal.dismiss, args=(entry,)
        )  # fmt: skip
    if finish:
        plan_dialog.open_plan(entry.plan, connection, st.rerun, interrupted=entry)
    if clean and cleanup is not None:
        check_account(clients(connection), entry)
        plan_dialog.open_plan(cleanup, connection, st.rerun, cleans=entry)


def _cleanup(entry: JournalEntry) -> Plan | None:
    """Return the plan that removes what was created; None if the change can only be finished."""
    try:
        return clean_up(entry.plan, entry.states)
    except InputError:
        return None
