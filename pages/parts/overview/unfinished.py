"""Changes that were cut in the middle, by a crash or an error: what stands of each, and how to go on."""

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
    None: "not begun",
    "start": "begun; nobody knows whether it was done",
    "waiting": "asked for; not seen to be done",
    "already": "was there before",
    "kept": "left out: something else uses it",
}


def show(connection: Connection, target: str = "") -> None:
    """All of them, each with its steps and its buttons. target: only those of this endpoint."""
    for entry in backend.journal().unfinished():
        if not target or target in entry.plan.target.split(", "):
            _one(connection, entry)


def _one(connection: Connection, entry: JournalEntry) -> None:
    plan = entry.plan
    with st.container(border=True):
        why = f" {messages.plain(entry.error)}" if entry.error else ""
        st.warning(
            f"**The change “{plan.verb} {messages.plain(plan.target)}” was not finished.** "
            f"It was begun {formatting.ago(entry.started_at)}, at {formatting.moment(entry.started_at)}.{why}",
            icon=":material/running_with_errors:",
        )
        lines = [_line(step.what, said) for step, said in zip(plan.steps, entry.states, strict=True)]
        st.markdown("  \n".join(lines))
        _buttons(connection, entry)


def _line(what: str, said: StepState | None) -> str:
    words = f" :gray[· {WORDS[said]}]" if said in WORDS else ""
    return f"{SIGNS[said]} {messages.plain(what)}{words}"


def _buttons(connection: Connection, entry: JournalEntry) -> None:
    """Go on, go back, or leave it."""
    journal = backend.journal()
    with st.container(horizontal=True, gap="small"):
        finish = st.button("Finish", key=f"finish-{entry.id}", type="primary", icon=":material/play_arrow:")
        back = _way_back(entry)
        clean = back is not None and st.button("Clean up", key=f"clean-{entry.id}", icon=":material/mop:")
        st.button(
            "Leave it as it is", key=f"leave-{entry.id}", type="tertiary", on_click=journal.dismiss, args=(entry,)
        )  # fmt: skip
    if finish:
        plan_dialog.ask(entry.plan, connection, st.rerun, cut=entry)
    if clean and back is not None:
        check_account(clients(connection), entry)
        plan_dialog.ask(back, connection, st.rerun, cleans=entry)


def _way_back(entry: JournalEntry) -> Plan | None:
    """The plan that removes what was made; None where a change can only be finished."""
    try:
        return clean_up(entry.plan, entry.states)
    except InputError:
        return None
