"""What is about to be done, shown before it is: steps, price, warnings, and the one button that does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import streamlit as st

from core.aws.connection import Connection, clients
from core.aws.execute import State, clean_up_interrupted, execute, resume
from core.escaping import json_text
from core.plans.journal import JournalEntry
from core.plans.plan import ApiCall, Plan, Price, StepState, Verb
from pages.parts import backend, cached, dialogs, elements, messages, state

FEW, HEIGHT = 8, 300
"""More steps than these scroll in a box of so many pixels."""

ALONE = 2
"""More warnings than these stand in one box."""

PENDING: dict[StepState, str] = {"start": "", "waiting": " Waiting until it is done ..."}
AFTER: dict[StepState, str] = {
    "already": " It was there already.",
    "kept": " This was left out: something else uses it.",
}
"""What is said of a step while it is under way, and after it."""

DONE: tuple[StepState, ...] = ("done", "recovered", "already")
SIGNS: dict[StepState, str] = {"kept": ":orange[:material/lock:]"}
BEFORE = "done before"
"""What is said of a cut plan's steps that need not be done again."""


@dataclass(frozen=True, slots=True)
class Words:
    """How a kind of change is called.

    title:  the dialog's. button, icon: of the button that does it.
    done:   what is said once it is; {} stands for the target.
    typed:  whether the target must be typed first: what cannot be taken back is not done by a slip.
    """

    title: str
    button: str
    icon: str
    done: str
    typed: bool = False


WORDS: dict[Verb, Words] = {
    "launch": Words(
        "Start a training job",
        "Start the job",
        ":material/rocket_launch:",
        "The training job {} is started.",
    ),
    "stop": Words(
        "Stop the training job",
        "Stop the job",
        ":material/stop_circle:",
        "The training job {} is being stopped.",
    ),
    "deploy": Words(
        "Deploy an endpoint",
        "Deploy it",
        ":material/deployed_code:",
        "The endpoint {} is being created.",
    ),
    "update": Words(
        "Update the endpoint",
        "Update it",
        ":material/published_with_changes:",
        "The endpoint {} is being updated.",
    ),
    "scale": Words(
        "Change instances and weights",
        "Change them",
        ":material/tune:",
        "The endpoint {} is being changed.",
    ),
    "autoscale": Words(
        "Scale by itself",
        "Let it scale",
        ":material/swap_vert:",
        "The number of instances of {} follows its calls from now on.",
    ),
    "stop autoscaling": Words(
        "End the autoscaling",
        "End it",
        ":material/swap_vert:",
        "The number of instances of {} stays as it is.",
    ),
    "delete": Words(
        "Delete for good",
        "Delete for good",
        ":material/delete_forever:",
        "Deleted: {}.",
        typed=True,
    ),
    "clean up": Words(
        "Clean up what a cut change left",
        "Clean up",
        ":material/mop:",
        "Removed what the interrupted change to {} created.",
    ),
}


@dataclass(slots=True)
class PendingPlan:
    """A plan that waits for a yes.

    after:  called once it is carried out, to go where one sees it.
    cut:    the journal's entry of it, where it was begun before; None where it is new.
    done:   a second click of an impatient hand begins the dialog's script anew; the plan must not.
    cleans: the journal's entry of the interrupted change that the plan cleans up after; None for any other plan.
    kept:   a sentence on each deletion that was left out.
    """

    plan: Plan
    connection: Connection
    after: Callable[[], None]
    cut: JournalEntry | None = None
    done: bool = False
    cleans: JournalEntry | None = None
    kept: tuple[str, ...] = ()


def ask(
    plan: Plan,
    connection: Connection,
    after: Callable[[], None],
    cut: JournalEntry | None = None,
    cleans: JournalEntry | None = None,
) -> None:
    """Open the dialog.

    cut:    the plan was begun before, and this carries out what is left of it.
    cleans: the plan removes what this interrupted change has created.
    """
    words = WORDS[plan.verb]
    errand = PendingPlan(plan, connection, after, cut, cleans=cleans)
    dialogs.show(words.title, partial(body, errand), icon=words.icon)


def body(errand: PendingPlan) -> None:
    """What stands in the dialog."""
    plan, connection = errand.plan, errand.connection
    words = WORDS[plan.verb]
    _steps(plan.steps, errand.cut.states if errand.cut is not None else ())
    if plan.price is not None:
        _price(plan.price, sandbox=connection.is_sandbox)
    _warnings(plan.warnings)
    st.caption(f":material/undo: To undo: {messages.plain(plan.undo)}")
    meant = not words.typed or errand.cut is not None or _typed(plan.target)
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Cancel", key="plan-cancel"):
            dialogs.close()
            st.rerun()
        label = words.button if errand.cut is None else "Finish it"
        sure = st.button(label, key="plan-sure", type="primary", icon=words.icon, disabled=not meant)
    if sure:
        with messages.error_boundary():
            if not errand.done:
                _carry_out(errand, words)
            cached.shelf().expire()
            state.tell(
                " ".join(
                    [
                        words.done.format(messages.plain(_short(plan.target))),
                        *map(messages.plain, errand.kept),
                    ]
                )
            )
            dialogs.close()
            errand.after()


def _steps(steps: Sequence[ApiCall], states: Sequence[StepState | None]) -> None:
    """What is done, in order, and all that is sent. states: what became of each step before, of a cut plan."""
    with st.container(
        height=HEIGHT if len(steps) > FEW else "content", border=len(steps) > FEW, gap="xsmall"
    ):
        for number, step in enumerate(steps, 1):
            sign = f"{number}." if len(steps) > 1 else ":material/arrow_forward:"
            there = number <= len(states) and states[number - 1] in DONE
            before = f" :green[:material/check: {BEFORE}]" if there else ""
            st.markdown(f"{sign} **{messages.plain(step.what)}**{before}")
    sent = f"{steps[0].service}:{steps[0].operation}" if len(steps) == 1 else f"{len(steps)} calls"
    with st.expander(f"What is sent: {messages.plain(sent)}", icon=":material/data_object:"):
        shown = [_sent(step, alone=len(steps) == 1) for step in steps]
        elements.code_block("\n\n".join(shown), language="json", height=320)


def _sent(step: ApiCall, *, alone: bool) -> str:
    """A call's parameters; of several, with its name."""
    params = json_text(step.params, indent=2, ascii_only=False)
    return params if alone else f"{step.service}:{step.operation} {params}"


def _warnings(warnings: Sequence[str]) -> None:
    """A box each; many of them, such as all that a deletion leaves behind, as a list in one."""
    if len(warnings) <= ALONE:
        for warning in warnings:
            st.warning(messages.plain(warning), icon=":material/warning:")
        return
    with st.container(height=HEIGHT if len(warnings) > FEW else "content"):
        st.warning("\n".join(f"- {messages.plain(warning)}" for warning in warnings))


def _typed(target: str) -> bool:
    """Whether what is asked for stands in the field: the target's name, or how many there are."""
    wanted = _short(target)
    said = st.text_input(
        f"Type **{messages.plain(wanted)}** to go on", key="plan-typed", live=True, autocomplete="off"
    )
    return (said or "").strip() == wanted


def _short(target: str) -> str:
    """A single name as it is; how many there are, of several."""
    count = len(target.split(", "))
    return target if count == 1 else f"{count} endpoints"


def _price(price: Price, *, sandbox: bool) -> None:
    """Each figure with its name. The sandbox costs nothing, and says what AWS would take."""
    figures = price.amounts
    with st.grid(len(figures), min_column_width=200):
        for name, amount in figures:
            label = f"AWS price {name}" if sandbox else f"Price {name}"
            st.metric(label, str(amount) if amount else "unknown", border=True)
    free = "It runs on this machine, and costs nothing. " if sandbox else ""
    st.caption(f"{free}{messages.plain(price.source)}")


def _carry_out(errand: PendingPlan, words: Words) -> None:
    """Do it, and say what happens. Raises AwsError, and InputError where another process is at it."""
    journal, aws, count = backend.journal(), clients(errand.connection), len(errand.plan.steps)
    with st.status(f"{words.title} ...", expanded=True) as status:

        def on_step(number: int, step: ApiCall, said: State) -> None:
            if said in PENDING:
                of = f"{number + 1} of {count}: " if count > 1 else ""
                status.update(label=f"{of}{messages.plain(step.what)}{PENDING[said]}")
            elif count > 1:
                sign = SIGNS.get(said, ":green[:material/check:]")
                status.write(f"{sign} {messages.plain(step.what)}{AFTER.get(said, '')}")

        if errand.cut is not None:
            outcome = resume(aws, journal, errand.cut, on_step=on_step)
        elif errand.cleans is not None:
            outcome = clean_up_interrupted(aws, journal, errand.cleans, errand.plan, on_step=on_step)
        else:
            outcome = execute(aws, errand.plan, on_step=on_step, journal=journal)
        errand.done, errand.kept = True, outcome.kept  # before Streamlit's, where a second click takes effect
        if outcome.recovered:
            status.write(
                "The answer was lost on its way; a second look found it done. Nothing was done twice."
            )
