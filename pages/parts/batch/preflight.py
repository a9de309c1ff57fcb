"""The panel next to the launch form of a batch: expected price, images, and problems, before anything is billed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from core.aws.connection import Connection
from core.batch.job import BatchSpec, TransformJob, check_spec
from core.batch.objects import folder_uri
from core.batch.prepare import Batch, ListedInputs, prepare
from core.cost.batch import SANDBOX_STARTUP_SECONDS, STARTUP_SECONDS, BatchPrice, batch_price, speed_of
from core.cost.training import PriceTable
from core.errors import CoreError
from core.text import duration, plural
from core.training.hyperparameters import Problem
from pages.parts import messages, problem_list, state
from pages.parts.batch import data
from pages.parts.shared_cache import PendingError

MAX_SHOWN = 12
MEGABYTE = 1_000_000


def check(
    connection: Connection, spec: BatchSpec, *, clone: TransformJob | None, problems: Sequence[Problem] = ()
) -> tuple[Batch, ListedInputs | None]:
    """Check the form's spec and the images below its prefix. Raises PendingError.

    clone:    the job that is copied: its manifest is used unchanged.
    problems: with the choice of the model.
    """
    listed = None
    if clone is not None and spec.manifest:
        inputs = data.inputs(connection, clone)
        if inputs.waiting is not None:
            raise inputs.waiting
        batch = Batch(spec, inputs.value.inputs.images, problems=tuple(check_spec(spec)))
        problems = (*problems, *_failure(inputs.failure))
    elif any(problem.name == "input_uri" for problem in check_spec(spec)):
        batch = Batch(replace(spec, payload_mb=spec.payload_mb or 1), (), problems=())
        batch = replace(batch, problems=tuple(check_spec(batch.spec)))
    else:
        try:
            listed = data.listed_inputs(connection, folder_uri(spec.input_uri))
            batch = prepare(spec, listed)
        except PendingError:
            raise
        except CoreError as error:
            batch = Batch(spec, (), problems=tuple(_failure(error)))
    every = sorted((*problems, *batch.problems), key=lambda problem: not problem.is_error)
    return replace(batch, problems=tuple({problem.message: problem for problem in every}.values())), listed


def price_of(
    connection: Connection, batch: Batch, prices: PriceTable, *, endpoint: str, clone: TransformJob | None
) -> BatchPrice:
    """Return the expected price, from the seconds per image of the copied job, an earlier one, or the endpoint."""
    speed = None
    if clone is not None:
        outputs = data.outputs(connection, clone)
        placed = data.inputs(connection, clone).value
        own = outputs.value  # other jobs may write below the same prefix
        if placed.complete and placed.inputs.images:
            own = own.of(placed.inputs)
        speed = speed_of(clone, len(own.objects))
        _why_unknown(f"The speed of {clone.name} is unknown.", outputs.failure)
    if speed is None and (batch.spec.model or endpoint):
        measured = data.speed(connection, batch.spec.model, batch.spec.instance_type, endpoint)
        speed, notes = measured.value
        if measured.waiting is not None:
            messages.waiting_line(measured.waiting)
        _why_unknown("The seconds per image are unknown.", measured.failure)
        for note in notes:
            st.caption(f":material/info: {messages.plain(note)}")
    return batch_price(
        batch.spec.instance_type,
        batch.spec.instance_count,
        len(batch.images),
        speed,
        prices,
        startup=SANDBOX_STARTUP_SECONDS if connection.is_sandbox else STARTUP_SECONDS,
    )


def show(batch: Batch, listed: ListedInputs | None, price: BatchPrice, *, sandbox: bool) -> None:
    """Draw price, images and problems."""
    with st.grid(2, min_column_width=120, gap="small"):
        st.metric(
            "AWS price per hour" if sandbox else "Price per hour",
            str(price.per_hour) if price.per_hour else "unknown",
        )
        st.metric(
            "Expected in total",
            str(price.expected) if price.expected else "unknown",
            help=None if price.seconds is None else f"About {duration(price.seconds)}.",
        )
    st.caption(messages.plain(price.source))
    _images(batch, listed)
    problem_list.heading(batch.problems, before="the start")
    for problem in batch.problems[:MAX_SHOWN]:
        problem_list.line(problem)
    if len(batch.problems) > MAX_SHOWN:
        st.caption(f"And {len(batch.problems) - MAX_SHOWN} more.")


def _images(batch: Batch, listed: ListedInputs | None) -> None:
    parts = [f"**{len(batch.images):,}** {plural(len(batch.images), 'image').partition(' ')[2]}"]
    if listed is not None:
        parts.append(f"{listed.inputs.size / MEGABYTE:,.1f} MB")
        if listed.inputs.skipped:
            parts.append(f"{len(listed.inputs.skipped):,} skipped")
        if listed.sizes:
            widest = max(listed.sizes, key=lambda row: row[1] * row[2])
            parts.append(f"up to {widest[1]:,} × {widest[2]:,} px in {len(listed.sizes)} sampled")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(f":material/folder_open: {' · '.join(parts)}", width="stretch")
        st.button(
            "Check again",
            icon=":material/refresh:",
            type="tertiary",
            key="check-again",
            on_click=state.request_retry,
        )


def _why_unknown(what: str, error: CoreError | None) -> None:
    if error is not None:
        st.caption(f":material/info: {messages.plain(what)} {messages.line(error)}")


def _failure(error: CoreError | None) -> list[Problem]:
    return [] if error is None else [Problem("input_uri", str(error))]
