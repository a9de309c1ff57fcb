"""The launch form of a transform job: checked before anything is billed, reviewed as a plan, then started."""

from __future__ import annotations

import streamlit as st

from core.aws.connection import Connection
from core.batch.job import TransformJob, clone_spec
from core.cost.training import PriceTable
from core.errors import CoreError
from core.plans.batch import plan_batch
from core.training.hyperparameters import Problem
from pages.parts import backend, cached, formatting, links, messages, plan_dialog, state
from pages.parts.batch import data, filters, form, preflight
from pages.parts.batch.slots import BATCH


def main() -> None:
    """Draw the form on the left; the price, the checks and the start button on the right."""
    filters.back_link()
    st.title("Start a batch")
    connection = backend.connection()
    clone = _clone(connection)
    prices = cached.prices(connection)
    fields, side_panel = st.columns([5, 3], gap="medium")
    with fields:
        form.draw(connection, prices)
    with side_panel, st.container(border=True), messages.error_boundary("preflight"):
        st.header("Pre-flight checks")
        _preflight(connection, clone, prices)


def _clone(connection: Connection) -> TransformJob | None:
    """Fill the form from the job that the URL names, or as a new one. Raises AwsError, PendingError."""
    name = state.query((state.CLONE,)).get(state.CLONE, "").strip()
    if not name:
        query = state.query((form.ENDPOINT, form.MODEL))
        form.fill(f"new {sorted(query.items())}", form.first_fields(connection, formatting.now()))
        st.caption("Masks of all images below an S3 prefix, made by instances that stop when they are done.")
        return None
    job = data.job(connection, name).value
    form.fill(f"clone {name}", form.cloned_fields(job, formatting.now()))
    st.caption(
        f"Cloned from {messages.plain(name)}. Edit anything before the start. With the same prefix for the masks, "
        "existing masks are overwritten."
    )
    return job


def _preflight(connection: Connection, clone: TransformJob | None, prices: PriceTable) -> None:
    problems, endpoint = [], form.endpoint()
    model = BATCH.get(form.MODEL) or "" if BATCH.get("source") == form.MODEL else ""
    new = None
    try:
        if (made := form.new_model(connection)) is not None:
            new, warnings = made
            model = new.model_name
            problems += [Problem("model", text, "warning") for text in warnings]
    except CoreError as error:
        problems.append(Problem("model", str(error)))
    if endpoint:
        try:
            model = data.endpoint_model(connection, endpoint)
        except CoreError as error:
            problems.append(Problem("model", str(error)))
    base = None
    if clone is not None:
        tags = data.tags(connection, clone)
        if tags.waiting is not None:
            raise tags.waiting
        own_tags, notes = tags.value
        base = clone_spec(clone, "", own_tags)
        problems += [Problem("tags", note, "warning") for note in notes]
    spec = form.spec_of(model, base)
    batch, listed = preflight.check(connection, spec, clone=clone, problems=problems)
    price = preflight.price_of(connection, batch, prices, endpoint=endpoint, clone=clone)
    preflight.show(batch, listed, price, sandbox=connection.is_sandbox)
    if st.button(
        "Review and start", type="primary", disabled=bool(batch.errors), width="stretch", key="review"
    ):
        plan = plan_batch(batch.spec, price, model=new, manifest=batch.manifest, warnings=batch.warnings)
        plan_dialog.open_plan(plan, connection, lambda: _open_job(plan.target))


def _open_job(name: str) -> None:
    BATCH.forget()
    links.open_page(links.BATCH, {state.JOB: name})


main()
