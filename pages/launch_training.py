"""The launch form for a training job: checked before anything is billed, reviewed as a plan, then launched."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import streamlit as st

from core.access.quotas import InstanceNeed
from core.aws.connection import Connection
from core.cost.spot import spot_history
from core.cost.training import PriceTable
from core.plans.plan import plan_launch
from core.training.defaults import new_name
from core.training.hyperparameters import INCREMENTAL_KEYS
from pages.parts import (
    account_checks,
    backend,
    buttons,
    cached,
    formatting,
    links,
    plan_dialog,
    refresh,
    state,
)
from pages.parts.jobs import filters
from pages.parts.launch import data, fields, summary
from pages.parts.launch import form as launch_form
from pages.parts.launch import prefill as launch_prefill
from pages.parts.launch.check import CheckedLaunch, check
from pages.parts.launch.fields import LAUNCH
from pages.parts.launch.prefill import LaunchPrefill


def main() -> None:
    """Draw the form on the left; the price, the checks and the launch button on the right."""
    filters.back_link()
    st.container(horizontal=True).title("Launch training")
    connection = backend.connection()
    prefill = launch_prefill.from_url(connection)
    st.caption(prefill.caption)
    _fill(prefill)
    checked, prices = check(connection, prefill), cached.prices(connection)
    form, side_panel = st.columns([5, 3], gap="medium")
    with form:
        _form(checked, prefill, prices, sandbox=connection.is_sandbox)
    with side_panel, st.container(border=True):
        _preflight(connection, checked, prefill, prices)
    if checked.generating:
        refresh.timed(_rerun_page, data.KEYS_SECONDS)(formatting.now())


def _rerun_page(drawn_at: datetime) -> None:
    """Run the page again at the first tick after it was drawn, when its listing of the data may have changed."""
    if (formatting.now() - drawn_at).total_seconds() > data.KEYS_SECONDS / 2:
        refresh.rerun_at_tick()


def _fill(prefill: LaunchPrefill) -> None:
    """Fill the form once for each source; what the user edits afterwards is kept."""
    if LAUNCH.filled_from() != prefill.source:
        name = new_name(prefill.spec.name, formatting.now())
        LAUNCH.fill(prefill.source, fields.to_fields(replace(prefill.spec, name=name)))


def _form(checked: CheckedLaunch, prefill: LaunchPrefill, prices: PriceTable, *, sandbox: bool) -> None:
    launch_form.job(checked.spec)
    locked = INCREMENTAL_KEYS if prefill.previous is not None else ()
    launch_form.hyperparameters(checked.spec, locked=locked, sandbox=sandbox)
    launch_form.compute(checked.spec, prices)
    launch_form.security(checked.spec)


def _preflight(
    connection: Connection, checked: CheckedLaunch, prefill: LaunchPrefill, prices: PriceTable
) -> None:
    st.header("Pre-flight checks")
    summary.price(checked.spec, prices, sandbox=connection.is_sandbox)
    past = data.past_jobs(connection, checked.spec)
    plan = plan_launch(
        checked.spec, prices, warnings=checked.warnings, history=spot_history(past.value, checked.spec)
    )
    summary.forecast(plan.forecast, past)
    summary.counts(checked.counts)
    if checked.generating:
        summary.preparing()
    summary.problems(
        checked.problems,
        checked.spec,
        checked.counts,
        prefill.previous,
        checked.classes,
        labels=checked.labels,
        generating=checked.generating,
    )
    spec = checked.spec
    account_checks.show_problems(
        connection,
        role=spec.role_arn,
        uri=spec.output_uri,
        need=InstanceNeed("spot" if spec.spot else "training", spec.instance_type),
    )
    if buttons.button(
        "Review and launch",
        key="review-launch",
        acts_on=prefill.source,
        type="primary",
        disabled=checked.blocked,
        width="stretch",
    ):
        plan_dialog.open_plan(plan, connection, lambda: _open_job(plan.target))


def _open_job(name: str) -> None:
    LAUNCH.forget()
    links.open_page(links.TRAINING_JOB, {state.JOB: name})


main()
