"""A training job from a form: checked before it is paid for, shown as a plan, started on a yes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import streamlit as st

from core.aws.connection import Connection
from core.cost.training import PriceTable
from core.plans.plan import plan_launch
from core.training.defaults import new_name
from core.training.hyperparameters import INCREMENTAL_KEYS
from pages.parts import backend, cached, formatting, links, plan_dialog, state
from pages.parts.jobs import filters
from pages.parts.launch import data, fields, summary
from pages.parts.launch import form as launch_form
from pages.parts.launch import origin as launch_origin
from pages.parts.launch.check import CheckedLaunch, check
from pages.parts.launch.fields import LAUNCH
from pages.parts.launch.origin import LaunchPrefill


def main() -> None:
    """The form on the left; price, checks and the way on at its right."""
    filters.way_back()
    st.container(horizontal=True).title("Launch training")
    connection = backend.connection()
    origin = launch_origin.ask(connection)
    st.caption(origin.said)
    _fill(origin)
    checked, prices = check(connection, origin), cached.prices(connection)
    form, beside = st.columns([5, 3], gap="medium")
    with form:
        _form(checked, origin, prices, sandbox=connection.is_sandbox)
    with beside, st.container(border=True):
        _before_it_starts(connection, checked, origin, prices)
    if checked.drawing:
        st.fragment(_look_again, run_every=data.KEYS_SECONDS)(formatting.now())


def _look_again(drawn_at: datetime) -> None:
    """Run the page anew at the first tick after it was drawn, when its listing of the data may have changed."""
    if (formatting.now() - drawn_at).total_seconds() > data.KEYS_SECONDS / 2:
        st.rerun()


def _fill(origin: LaunchPrefill) -> None:
    """Once for each origin; from then on the form is its visitor's."""
    if LAUNCH.filled_from() != origin.source:
        name = new_name(origin.spec.name, formatting.now())
        LAUNCH.fill(origin.source, fields.to_fields(replace(origin.spec, name=name)))


def _form(checked: CheckedLaunch, origin: LaunchPrefill, prices: PriceTable, *, sandbox: bool) -> None:
    launch_form.job(checked.spec)
    locked = INCREMENTAL_KEYS if origin.previous is not None else ()
    launch_form.hyperparameters(checked.spec, locked=locked, sandbox=sandbox)
    launch_form.machine(checked.spec, prices, sandbox=sandbox)


def _before_it_starts(
    connection: Connection, checked: CheckedLaunch, origin: LaunchPrefill, prices: PriceTable
) -> None:
    st.subheader("Before it starts")
    summary.price(checked.spec, prices, sandbox=connection.is_sandbox)
    summary.counts(checked.counts)
    summary.problems(checked.problems, checked.spec, checked.counts, origin.previous)
    if st.button("Review and start", type="primary", disabled=checked.blocked, width="stretch", key="review"):
        plan = plan_launch(checked.spec, prices, warnings=checked.warnings)
        plan_dialog.ask(plan, connection, lambda: _show(plan.target))


def _show(name: str) -> None:
    LAUNCH.forget()
    links.open_page(links.TRAINING_JOB, {state.JOB: name})


main()
