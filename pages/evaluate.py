"""Endpoints judged by photos whose masks are known."""

from __future__ import annotations

from functools import partial

import streamlit as st

from core.aws.connection import Connection, clients
from core.aws.evaluation import evaluated_endpoint, job_scores
from core.errors import CoreError
from core.evaluation.results import resolve_classes
from core.evaluation.run import EvaluationTask
from core.settings import Settings
from pages.parts import backend, endpoint_picker, messages
from pages.parts.endpoint_picker import EndpointChoice
from pages.parts.evaluate import datasets, progress, results, run
from pages.parts.evaluate.datasets import Load


def main() -> None:
    """Whom, by what, then the verdict. What was judged stays while other choices are made."""
    st.container(horizontal=True).title("Evaluate")
    connection, settings = backend.connection(), backend.settings()
    chosen = endpoint_picker.choose_judged(connection)
    if chosen is None:
        return
    for one in chosen.servings:
        endpoint_picker.warn(one)
    with st.container(border=True):
        load = datasets.choose(connection, chosen.servings[0], settings)
        if chosen.pending is not None:
            messages.waiting_line(chosen.pending)
        _button(connection, settings, chosen, None if chosen.pending else load)
    found = run.CURRENT.get()
    if found is None:
        return
    progress.show(found)
    if found.result is not None:
        results.show(found, found.result)


def _button(connection: Connection, settings: Settings, chosen: EndpointChoice, load: Load | None) -> None:
    running = (found := run.CURRENT.get()) is not None and not found.over
    calls = "Each photo is one call of each endpoint. What was asked before is not asked again."
    if st.button(
        "Evaluate",
        type="primary",
        icon=":material/grading:",
        disabled=load is None or running,
        help="It is running already." if running else calls,
    ):
        assert load is not None  # noqa: S101  # for the type checker: the button is off without
        try:
            with st.spinner("Looking for photos and masks ..."):
                _start(connection, settings, chosen, load)
        except CoreError as error:
            st.error(messages.card(error), icon=":material/error:")
        else:
            st.rerun()


def _start(connection: Connection, settings: Settings, chosen: EndpointChoice, load: Load) -> None:
    found = load()
    asked = [evaluated_endpoint(clients(connection), info) for info in chosen.servings]
    classes, said = resolve_classes(asked, found.classes)
    task = EvaluationTask(found.pairs, asked, classes, chosen.fit, (*found.notes, *said))
    store = run.store_for(settings, connection, [one.name for one in asked])
    jobs = partial(job_scores, clients(connection), chosen.servings)
    run.keep(run.start(task, store, found.title, jobs, found.home))


main()
