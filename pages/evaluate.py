"""The Evaluate page: endpoints scored on labeled images."""

from __future__ import annotations

from functools import partial

import streamlit as st

from core.aws.connection import Connection, clients
from core.aws.evaluation import evaluated_endpoint, job_scores
from core.errors import CoreError, InputError
from core.evaluation.results import resolve_classes
from core.evaluation.run import EvaluationTask
from core.runs.run import Run
from core.runs.store import RunStore
from core.settings import Settings
from pages.parts import backend, endpoint_picker, links, messages, run_store
from pages.parts.endpoint_picker import EndpointChoice
from pages.parts.evaluate import datasets, progress, recording, results, run, slots, stored
from pages.parts.evaluate.datasets import LabeledDataset, Load
from pages.parts.evaluate.run import BackgroundEvaluation
from pages.parts.run_store import RUN
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
    store = run_store.store()
    evaluation, reopened = _current(store)
    running = evaluation is not None and not evaluation.over
    with st.container(border=True):
        load = datasets.choose(connection, choice.endpoint, settings)
        if choice.pending is not None:
            messages.waiting_line(choice.pending)
        calibrate = st.toggle(
            "Calibration",
            key=slots.CALIBRATE,
            help="Requests probabilities, a large response, and compares the confidence with the accuracy. Images "
            "whose cached predictions have labels only are sent again.",
        )
        if _button(enabled=load is not None and choice.pending is None, running=running):
            assert load is not None  # noqa: S101  # for the type checker: the button is off without
            _start(connection, settings, choice, load, calibrate=calibrate)
    if store is not None and reopened is not None:
        _link(reopened.id)
        stored.show(store, reopened)
    if evaluation is None:
        return
    result = progress.show(evaluation)
    if running and evaluation.over:
        st.rerun()  # it ended after its button was drawn, which can be clicked again
    if result is not None:
        if evaluation.run_id:
            _link(evaluation.run_id)
        results.show(evaluation.task.pairs, evaluation.store, result)


def _current(store: RunStore | None) -> tuple[BackgroundEvaluation | None, Run | None]:
    """Return this session's evaluation, or the stored run that the URL names: after a reload, the session is new."""
    evaluation, run_id = run.CURRENT.get(), RUN.get()
    if evaluation is not None and run_id in {"", evaluation.run_id}:
        RUN.set(evaluation.run_id)
        return evaluation, None
    if not run_id or store is None:
        return evaluation, None
    try:
        found = store.find(run_id)
    except InputError as error:
        st.warning(messages.line(error), icon=":material/link_off:")
        return None, None
    if found is None and (evaluation := recording.in_progress(run_id)) is not None:
        run.keep(evaluation)
        return evaluation, None
    if found is None or found.kind != "evaluation":
        RUN.set("")
        st.warning(
            "**The link names no stored evaluation.** Open Runs to see what is stored.",
            icon=":material/link_off:",
        )
        return None, None
    return None, found


def _link(run_id: str) -> None:
    run_store.show_problem()
    links.page_link(
        links.RUNS,
        label="Stored as a run",
        icon=":material/history:",
        query_params={RUN.name: run_id},
        help="Open it at an address of its own, which you can send to a colleague. Opening it costs nothing.",
    )


def _button(*, enabled: bool, running: bool) -> bool:
    calls = "Sends each image once to each endpoint. Cached predictions are reused."
    return st.button(
        "Evaluate",
        type="primary",
        icon=":material/grading:",
        disabled=running or not enabled,
        help="An evaluation is running." if running else calls,
    )


def _start(
    connection: Connection, settings: Settings, choice: EndpointChoice, load: Load, *, calibrate: bool
) -> None:
    try:
        with st.spinner("Reading images and masks ..."):
            run.keep(_started(connection, settings, choice, load(), calibrate=calibrate))
    except CoreError as error:
        st.error(messages.card(error), icon=":material/error:")
    else:
        st.rerun()


def _started(
    connection: Connection,
    settings: Settings,
    choice: EndpointChoice,
    dataset: LabeledDataset,
    *,
    calibrate: bool,
) -> BackgroundEvaluation:
    endpoints = [evaluated_endpoint(clients(connection), endpoint) for endpoint in choice.endpoints]
    classes, notes = resolve_classes(endpoints, dataset.classes)
    notes = (*dataset.notes, *notes)
    task = EvaluationTask(dataset.pairs, endpoints, classes, choice.fit, notes, calibrate)
    predictions = run.store_for(settings, connection, [endpoint.name for endpoint in endpoints])
    scores = partial(job_scores, clients(connection), choice.endpoints)
    evaluation = run.prepared(task, predictions, dataset.title, dataset.zipped)
    RUN.set("")
    if (store := run_store.store()) is not None:
        new = recording.new_run(connection, choice.endpoints, choice.fit, dataset.title)
        recording.follow(store, new, evaluation)
    run.start(evaluation, scores)
    return evaluation


main()
