"""The Evaluate page: endpoints scored on labeled images."""

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
from pages.parts.evaluate.datasets import LabeledDataset, Load
from pages.parts.evaluate.run import BackgroundEvaluation
from pages.parts.segment import slots as segment_slots


def main() -> None:
    """Draw the endpoints, the labeled data, and the results, which stay while other choices are made."""
    st.container(horizontal=True).title("Evaluate")
    connection, settings = backend.connection(), backend.settings()
    # The Segment page has the same endpoint, and its examples go with it.
    choice = endpoint_picker.choose(connection, compare=True, on_change=segment_slots.clear_examples)
    if choice is None:
        return
    for endpoint in choice.endpoints:
        endpoint_picker.warn(endpoint)
    evaluation = run.CURRENT.get()
    running = evaluation is not None and not evaluation.over
    with st.container(border=True):
        load = datasets.choose(connection, choice.endpoint, settings)
        if choice.pending is not None:
            messages.waiting_line(choice.pending)
        if _button(enabled=load is not None and choice.pending is None, running=running):
            assert load is not None  # noqa: S101  # for the type checker: the button is off without
            _start(connection, settings, choice, load)
    if evaluation is None:
        return
    result = progress.show(evaluation)
    if running and evaluation.over:
        st.rerun()  # it ended after its button was drawn, which can be clicked again
    if result is not None:
        results.show(evaluation, result)


def _button(*, enabled: bool, running: bool) -> bool:
    calls = "Sends each image once to each endpoint. Cached predictions are reused."
    return st.button(
        "Evaluate",
        type="primary",
        icon=":material/grading:",
        disabled=running or not enabled,
        help="An evaluation is running." if running else calls,
    )


def _start(connection: Connection, settings: Settings, choice: EndpointChoice, load: Load) -> None:
    try:
        with st.spinner("Reading images and masks ..."):
            run.keep(_started(connection, settings, choice, load()))
    except CoreError as error:
        st.error(messages.card(error), icon=":material/error:")
    else:
        st.rerun()


def _started(
    connection: Connection, settings: Settings, choice: EndpointChoice, dataset: LabeledDataset
) -> BackgroundEvaluation:
    endpoints = [evaluated_endpoint(clients(connection), endpoint) for endpoint in choice.endpoints]
    classes, notes = resolve_classes(endpoints, dataset.classes)
    task = EvaluationTask(dataset.pairs, endpoints, classes, choice.fit, (*dataset.notes, *notes))
    store = run.store_for(settings, connection, [endpoint.name for endpoint in endpoints])
    scores = partial(job_scores, clients(connection), choice.endpoints)
    return run.start(task, store, dataset.title, scores, dataset.zipped)


main()
