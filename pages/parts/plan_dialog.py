"""What is about to be done, shown before it is: steps, price, warnings, and the one button that does it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from core.aws.connection import Connection, clients
from core.aws.execute import State, execute
from core.plans import ApiCall, Plan, Price, Verb
from pages.parts import cached, messages, state


@dataclass(frozen=True, slots=True)
class Words:
    """How a kind of change is called: the dialog's title, its button with an icon, what is said once it is done."""

    title: str
    button: str
    icon: str
    done: str


WORDS: dict[Verb, Words] = {
    "launch": Words("Start a training job", "Start the job", ":material/rocket_launch:", "is started"),
    "stop": Words("Stop the training job", "Stop the job", ":material/stop_circle:", "is being stopped"),
}


@dataclass(slots=True)
class Errand:
    """A plan that waits for a yes.

    after: called once it is carried out, to go where one sees it.
    done:  a second click of an impatient hand begins the dialog's script anew; the plan must not.
    """

    plan: Plan
    connection: Connection
    after: Callable[[], None]
    done: bool = False


def ask(plan: Plan, connection: Connection, after: Callable[[], None]) -> None:
    """Open the dialog."""
    words = WORDS[plan.verb]
    st.dialog(words.title, width="medium", icon=words.icon)(body)(Errand(plan, connection, after))


def body(errand: Errand) -> None:
    """What stands in the dialog."""
    plan, connection = errand.plan, errand.connection
    words = WORDS[plan.verb]
    for step in plan.steps:
        _step(step)
    if plan.price is not None:
        _price(plan.price, sandbox=connection.is_sandbox)
    for warning in plan.warnings:
        st.warning(messages.plain(warning), icon=":material/warning:")
    st.caption(f":material/undo: To undo: {messages.plain(plan.undo)}")
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Cancel", key="plan-cancel"):
            st.rerun()
        sure = st.button(words.button, key="plan-sure", type="primary", icon=words.icon)
    if sure:
        with messages.error_door():
            if not errand.done:
                _carry_out(errand, words)
            cached.shelf().expire()
            state.tell(f"The training job {plan.target} {words.done}.")
            errand.after()


def _step(step: ApiCall) -> None:
    st.markdown(f":material/arrow_forward: **{messages.plain(step.what)}**")
    with st.expander(f"What is sent: {step.service}:{step.operation}", icon=":material/data_object:"):
        st.code(json.dumps(step.params, indent=2, ensure_ascii=False), language="json", height=320)


def _price(price: Price, *, sandbox: bool) -> None:
    """Each figure with its name. The sandbox costs nothing, and says what AWS would take."""
    figures = price.figures
    with st.grid(len(figures), min_column_width=140):
        for name, amount in figures:
            label = f"On AWS, {name}" if sandbox else f"Price {name}"
            st.metric(label, str(amount) if amount else "unknown", border=True)
    free = "It runs on this machine, and costs nothing. " if sandbox else ""
    st.caption(f"{free}{messages.plain(price.source)}")


def _carry_out(errand: Errand, words: Words) -> None:
    """Do it, and say what happens. Raises AwsError."""
    with st.status(f"{words.title} ...", expanded=True) as status:

        def on_step(_number: int, step: ApiCall, said: State) -> None:
            if said == "start":
                status.update(label=messages.plain(step.what))

        outcome = execute(clients(errand.connection), errand.plan, on_step=on_step)
        errand.done = True  # before anything of Streamlit's, where a second click takes effect
        if outcome.recovered:
            status.write(
                "The answer was lost on its way; a second look found it done. Nothing was done twice."
            )
