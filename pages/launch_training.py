"""A training job from a form: checked before it is paid for, shown as a plan, started on a yes."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from core.aws.connection import Connection
from core.hyperparameters import INCREMENTAL_KEYS, Problem
from core.plans import plan_launch
from core.preflight import S3_URI, preflight
from core.training import TrainingSpec
from pages.parts import (
    cached,
    launch_fields,
    launch_form,
    launch_origin,
    launch_summary,
    links,
    live,
    plan_dialog,
    state,
    times,
    upstream,
)
from pages.parts.launch_fixes import counts_of


def main() -> None:
    """Form on the left; price, checks and the way on at its right."""
    st.page_link(links.TRAINING_JOBS, label="Training jobs", icon=":material/arrow_back:")
    st.title("Launch training")
    connection = upstream.connection()
    origin = launch_origin.ask(connection)
    st.caption(origin.said)
    _fill(origin)
    keys, notes = _listed(connection, _spec(origin))
    counts = counts_of(keys)
    _count(counts)
    spec, prices = _spec(origin), cached.prices(connection)
    found = preflight(spec, keys, previous=origin.previous, sandbox=connection.is_sandbox)
    found += [Problem("channels", note, "warning") for note in (*notes, *_unreadable(origin))]
    form, beside = st.columns([5, 3], gap="medium")
    with form:
        launch_form.job(spec)
        launch_form.hyperparameters(
            spec,
            locked=INCREMENTAL_KEYS if origin.previous is not None else (),
            sandbox=connection.is_sandbox,
        )
        launch_form.machine(spec, prices, sandbox=connection.is_sandbox)
    with beside, st.container(border=True):
        st.subheader("Before it starts")
        launch_summary.price(spec, prices, sandbox=connection.is_sandbox)
        launch_summary.counts(counts)
        launch_summary.problems(found, spec, counts, origin.previous)
        blocked = any(problem.is_error for problem in found)
        if st.button("Review and start", type="primary", disabled=blocked, width="stretch", key="review"):
            warnings = tuple(problem.message for problem in found if problem.severity == "warning")
            plan_dialog.ask(
                plan_launch(spec, prices, warnings=warnings), connection, lambda: _show(spec.name)
            )


def _fill(origin: launch_origin.Origin) -> None:
    if state.form_filled_from() != origin.source:
        name = launch_fields.new_name(origin.spec.name, times.now())
        state.fill_form(origin.source, launch_fields.to_fields(replace(origin.spec, name=name)))


def _spec(origin: launch_origin.Origin) -> TrainingSpec:
    return launch_fields.to_spec(state.form_fields(launch_fields.FIELDS), origin.spec)


def _listed(connection: Connection, spec: TrainingSpec) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """The objects of every channel whose address is one; and why some could not be listed."""
    found = [live.channel_keys(connection, one) for one in spec.channels if S3_URI.fullmatch(one.uri)]
    keys = {name: names for one in found for name, names in one.keys.items()}
    return keys, tuple(note for one in found for note in one.notes)


def _count(counts: dict[str, int]) -> None:
    """Where nobody said how many pictures there are, take what was counted."""
    field = launch_fields.VALUE_FIELDS["num_training_samples"]
    if counts.get("train") and state.form_fields([field])[field] is None:
        state.set_field(field, counts["train"])


def _unreadable(origin: launch_origin.Origin) -> list[str]:
    lost = launch_fields.unreadable(origin.spec.hyperparameters)
    return [f"{name} was {text!r} there, which is no number: it is left out." for name, text in lost.items()]


def _show(name: str) -> None:
    state.forget_form()
    st.switch_page(links.TRAINING_JOB, query_params={state.JOB: name})


main()
