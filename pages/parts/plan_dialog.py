"""Show a plan before it is executed: steps, price, warnings, and the button that confirms it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import streamlit as st

from core.aws.connection import Connection, clients
from core.aws.execute import State, clean_up_interrupted, execute, resume
from core.cost.spot import ForecastLine
from core.escaping import json_text
from core.plans.journal import JournalEntry
from core.plans.plan import ApiCall, Plan, Price, StepState, Verb
from pages.parts import backend, cached, dialogs, elements, messages, state

FEW, HEIGHT = 8, 300
"""More steps than this scroll in a box of this height in pixels."""

ALONE = 2
"""More warnings than this are listed in one box."""

LONG_TEXT = 4_000
"""Characters of a parameter that are shown: more are slow to draw."""

PENDING: dict[StepState, str] = {"start": "", "waiting": " Waiting for completion ..."}
AFTER: dict[StepState, str] = {
    "already": " Already existed.",
    "kept": " Skipped: still in use.",
}
"""Texts behind a step while it runs, and after it."""

DONE: tuple[StepState, ...] = ("done", "recovered", "already")
SIGNS: dict[StepState, str] = {"kept": ":orange[:material/lock:]"}
BEFORE = "already done"
"""The note on steps of an interrupted plan that are not repeated."""


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one kind of change.

    title:  of the dialog. button, icon: of the button that confirms it.
    done:   the notification afterwards; {} stands for the target.
    typed:  whether the target must be typed first, so that nothing irreversible happens by accident.
    """

    title: str
    button: str
    icon: str
    done: str
    typed: bool = False


WORDS: dict[Verb, Words] = {
    "launch": Words(
        "Launch training job",
        "Launch job",
        ":material/rocket_launch:",
        "Training job {} started.",
    ),
    "stop": Words(
        "Stop training job",
        "Stop job",
        ":material/stop_circle:",
        "Stopping training job {}.",
    ),
    "deploy": Words(
        "Deploy endpoint",
        "Deploy endpoint",
        ":material/deployed_code:",
        "Creating endpoint {}.",
    ),
    "update": Words(
        "Update endpoint",
        "Update endpoint",
        ":material/published_with_changes:",
        "Updating endpoint {}.",
    ),
    "scale": Words(
        "Change instances and weights",
        "Apply",
        ":material/tune:",
        "Scaling endpoint {}.",
    ),
    "autoscale": Words(
        "Set up autoscaling",
        "Set up autoscaling",
        ":material/swap_vert:",
        "The instance count of {} now follows its traffic.",
    ),
    "stop autoscaling": Words(
        "Remove autoscaling",
        "Remove autoscaling",
        ":material/swap_vert:",
        "Autoscaling removed from {}. Its instance count stays as it is now.",
    ),
    "delete": Words(
        "Delete permanently",
        "Delete permanently",
        ":material/delete_forever:",
        "Deleted: {}.",
        typed=True,
    ),
    "clean up": Words(
        "Clean up an interrupted change",
        "Clean up",
        ":material/mop:",
        "Removed what the interrupted change to {} created.",
    ),
    "create role": Words(
        "Create an execution role",
        "Create role",
        ":material/person_add:",
        "Created execution role {}.",
    ),
    "start batch": Words(
        "Start transform job",
        "Start batch",
        ":material/rocket_launch:",
        "Transform job {} started.",
    ),
    "stop batch": Words(
        "Stop transform job",
        "Stop batch",
        ":material/stop_circle:",
        "Stopping transform job {}.",
    ),
}


@dataclass(slots=True)
class PendingPlan:
    """A plan that waits for confirmation.

    after:       called once it is executed, to open the page that shows the result.
    interrupted: its journal entry, if it was started before and interrupted; None for a new plan.
    done:        whether it has been executed: a second click reruns the dialog, but must not repeat the plan.
    cleans:      the journal entry of the interrupted change that the plan cleans up after; else None.
    kept:        a sentence on each deletion that was skipped.
    confirmed:   whether the button was clicked since it was last drawn; a refresh may end the run of the click.
    """

    plan: Plan
    connection: Connection
    after: Callable[[], None]
    interrupted: JournalEntry | None = None
    done: bool = False
    cleans: JournalEntry | None = None
    kept: tuple[str, ...] = ()
    confirmed: bool = False

    def confirm(self) -> None:
        """Note the click on the button that confirms it."""
        self.confirmed = True


def open_plan(
    plan: Plan,
    connection: Connection,
    after: Callable[[], None],
    interrupted: JournalEntry | None = None,
    cleans: JournalEntry | None = None,
) -> None:
    """Open the dialog.

    interrupted: the plan was started before and interrupted; the remaining steps are executed.
    cleans:      the plan removes what this interrupted change has created.
    """
    words = WORDS[plan.verb]
    pending = PendingPlan(plan, connection, after, interrupted, cleans=cleans)
    dialogs.show(words.title, partial(body, pending), icon=words.icon)


def body(pending: PendingPlan) -> None:
    """Draw the content of the dialog."""
    plan, connection = pending.plan, pending.connection
    words = WORDS[plan.verb]
    _steps(plan.steps, pending.interrupted.states if pending.interrupted is not None else ())
    if plan.price is not None:
        _price(plan.price, sandbox=connection.is_sandbox)
    _forecast(plan.forecast)
    _warnings(plan.warnings)
    st.caption(f":material/undo: To undo: {messages.plain(plan.undo)}")
    meant = not words.typed or pending.interrupted is not None or _typed(plan.target)
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Cancel", key="plan-cancel"):
            dialogs.close()
            st.rerun()
        label = words.button if pending.interrupted is None else "Finish"
        st.button(
            label,
            key="plan-sure",
            type="primary",
            icon=words.icon,
            disabled=not meant,
            on_click=pending.confirm,
        )
        sure, pending.confirmed = meant and pending.confirmed, False
    if sure:
        with messages.error_boundary():
            if not pending.done:
                _execute(pending, words)
            cached.shelf().expire()
            state.notify(
                " ".join(
                    [
                        words.done.format(messages.plain(_short(plan.target))),
                        *map(messages.plain, pending.kept),
                    ]
                )
            )
            dialogs.close()
            pending.after()


def _steps(steps: Sequence[ApiCall], states: Sequence[StepState | None]) -> None:
    """Draw the steps in order, and the API requests. states: the state of each step of an interrupted plan."""
    with st.container(
        height=HEIGHT if len(steps) > FEW else "content", border=len(steps) > FEW, gap="xsmall"
    ):
        for number, step in enumerate(steps, 1):
            sign = f"{number}." if len(steps) > 1 else ":material/arrow_forward:"
            there = number <= len(states) and states[number - 1] in DONE
            before = f" :green[:material/check: {BEFORE}]" if there else ""
            st.markdown(f"{sign} **{messages.plain(step.what)}**{before}")
    if len(steps) == 1:
        label = f"API request: {messages.plain(f'{steps[0].service}:{steps[0].operation}')}"
    else:
        label = f"API requests: {len(steps)}"
    with st.expander(label, icon=":material/data_object:"):
        requests = [request_text(step, alone=len(steps) == 1) for step in steps]
        elements.code_block("\n\n".join(requests), language=None, height=320)


def request_text(step: ApiCall, *, alone: bool) -> str:
    """Return the parameters of a request, long texts shortened; with its operation, if there are several."""
    shown = {key: _shortened(value) for key, value in step.params.items()}
    params = json_text(shown, indent=2, ascii_only=False)
    return params if alone else f"{step.service}:{step.operation} {params}"


def _shortened(value: object) -> object:
    """Return a long text, such as a manifest of all images, without its end, and with its length."""
    if not isinstance(value, str) or len(value) <= LONG_TEXT:
        return value
    return f"{value[:LONG_TEXT]} … ({len(value):,} characters in total)"


def _warnings(warnings: Sequence[str]) -> None:
    """Draw a box per warning; many warnings as a list in one box."""
    if len(warnings) <= ALONE:
        for warning in warnings:
            st.warning(messages.plain(warning), icon=":material/warning:")
        return
    with st.container(height=HEIGHT if len(warnings) > FEW else "content"):
        st.warning("\n".join(f"- {messages.plain(warning)}" for warning in warnings))


def _typed(target: str) -> bool:
    """Ask to type the target's name or, of several, their number. Return whether it matches."""
    wanted = _short(target)
    typed = st.text_input(
        f"Type **{messages.plain(wanted)}** to confirm", key="plan-typed", live=True, autocomplete="off"
    )
    return (typed or "").strip() == wanted


def _short(target: str) -> str:
    """Return the name of a single target, or how many endpoints there are."""
    count = len(target.split(", "))
    return target if count == 1 else f"{count} endpoints"


def _price(price: Price, *, sandbox: bool) -> None:
    """Draw the amounts of a price. In the sandbox, they are estimates of the price on AWS."""
    amounts = price.amounts
    with st.grid(len(amounts), min_column_width=200):
        for name, amount in amounts:
            label = f"AWS price {name}" if sandbox else f"Price {name}"
            st.metric(label, str(amount) if amount else "unknown", border=True)
    st.caption(messages.plain(price.source))


def _forecast(lines: Sequence[ForecastLine]) -> None:
    """Draw the estimates of a plan, each with its source."""
    if lines:
        rows = [
            f"- **{line.label}:** {messages.plain(line.value)} :gray[({messages.plain(line.source)})]"
            for line in lines
        ]
        st.markdown("\n".join(["Spot forecast :gray-badge[estimate]", *rows]))


def _execute(pending: PendingPlan, words: Words) -> None:
    """Execute the plan and show each step. Raises AwsError, and InputError if another process is executing it."""
    journal, aws, count = backend.journal(), clients(pending.connection), len(pending.plan.steps)
    with st.status(f"{words.title} ...", expanded=True) as status:

        def on_step(number: int, step: ApiCall, step_state: State) -> None:
            if step_state in PENDING:
                of = f"{number + 1} of {count}: " if count > 1 else ""
                status.update(label=f"{of}{messages.plain(step.what)}{PENDING[step_state]}")
            elif count > 1:
                sign = SIGNS.get(step_state, ":green[:material/check:]")
                status.write(f"{sign} {messages.plain(step.what)}{AFTER.get(step_state, '')}")

        if pending.interrupted is not None:
            outcome = resume(aws, journal, pending.interrupted, on_step=on_step)
        elif pending.cleans is not None:
            outcome = clean_up_interrupted(aws, journal, pending.cleans, pending.plan, on_step=on_step)
        else:
            outcome = execute(aws, pending.plan, on_step=on_step, journal=journal)
        pending.done, pending.kept = (
            True,
            outcome.kept,
        )  # before Streamlit reruns the script for a second click
        if outcome.recovered:
            status.write(
                "AWS's reply was lost. Segdeck checked: the call had succeeded. Nothing was done twice."
            )
