"""What is done with a checked set: a mended copy, an upload, a training job. Each change is a plan with a yes."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import streamlit as st

from core.aws.connection import Connection
from core.datasets.convert import plan_conversion
from core.datasets.report import LayoutReport
from core.datasets.source import Splitting
from core.datasets.upload_plan import order_upload, warnings_of
from core.escaping import terminal
from core.plans.plan import Plan, plan_upload
from pages.parts import background, dialogs, elements, links, messages, state
from pages.parts.datasets import session
from pages.parts.datasets.session import DATASET, CheckedDataset

SANDBOX_DATASETS = "s3://segdeck-sandbox/datasets/"
"""Where a set goes in the sandbox, unless said otherwise."""


def show(connection: Connection, checked: CheckedDataset) -> None:
    """Mend at the left, upload at the right; then the way to a job."""
    if checked.source is None:
        _to_training(checked.report, checked.report.root)
        return
    left, right = st.columns(2, gap="medium")
    with left, st.container(border=True, height="stretch"):
        _conversion(checked)
    with right, st.container(border=True, height="stretch"):
        _upload(connection, checked)


def _conversion(checked: CheckedDataset) -> None:
    assert checked.source is not None  # noqa: S101  # for the type checker
    st.subheader("A mended copy")
    fixable = sum(one.fixable for one in checked.report.problems)
    mended = (
        f"what can be mended is ({fixable:,} of the problems). " if fixable else "nothing needs mending. "
    )
    st.caption(f"Written into a new folder in the four channels; {mended}Your files are only read.")
    beside = checked.source.root.resolve()
    default = str(Path.home() if checked.home else beside.parent) + f"/{beside.name}-channels"
    out = st.text_input("New folder", default, key=f"out-{beside}")
    if st.button("Review and write", icon=":material/content_copy:", disabled=not out):
        with messages.error_door():
            plan = plan_conversion(checked.source, checked.report, Path(out).expanduser())
            _ask("Write a mended copy", str(plan), "Write it", lambda: session.current().convert(plan))
    if (task := session.current().conversion) is not None:
        written = background.show(task, "conversion")
        if written is not None:
            st.success(f"The copy is in {messages.code(str(written))}.", icon=":material/check_circle:")
            again = (written, checked.splitting)
            st.button("Check the copy", icon=":material/fact_check:", on_click=_check_copy, args=again)


def _check_copy(folder: Path, splitting: Splitting) -> None:
    state.choose(DATASET, str(folder))
    session.current().check_folder(folder, splitting, None)


def _upload(connection: Connection, checked: CheckedDataset) -> None:
    assert checked.source is not None  # noqa: S101  # for the type checker
    st.subheader("Into S3")
    st.caption(
        "What stands there with the same content is not sent again; a cut upload goes on where it was."
    )
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", checked.source.root.resolve().name).strip("-") or "set"
    default = f"{SANDBOX_DATASETS}{name}/" if connection.is_sandbox else ""
    to = st.text_input("S3 prefix", default, key=f"to-{name}", placeholder=f"s3://bucket/datasets/{name}/")
    overwrite = st.checkbox("Replace objects with other content")
    if st.button("Review and upload", type="primary", icon=":material/upload:", disabled=not to):
        with messages.error_door():
            order = order_upload(
                checked.source, checked.report, to, splitting=checked.splitting, overwrite=overwrite
            )
            plan = plan_upload(order, warnings=warnings_of(checked.report))
            _ask(
                "Upload the data set",
                _said(plan),
                "Upload it",
                lambda: session.current().carry_out(connection, plan),
            )
    _uploaded(checked.report)


def _uploaded(report: LayoutReport) -> None:
    """How far it is; once it is done, where to go on."""
    current = session.current()
    if current.upload is None or current.uploaded is None:
        return
    answer = background.show(current.upload, "upload")
    if answer is not None:
        st.success(
            f"**{answer['Files']:,} files stand there**, their number and hashes verified; "
            f"{answer['Sent']:,} of them were sent now.",
            icon=":material/check_circle:",
        )
        _to_training(report, current.uploaded.target)


def _to_training(report: LayoutReport, uri: str) -> None:
    if not report.usable:
        return
    query = {state.DATA: uri, state.DATA_SAMPLES: str(report.num_training_samples)}
    query |= {state.DATA_CLASSES: str(len(report.classes))} if report.classes else {}
    st.page_link(
        links.LAUNCH_TRAINING,
        label="Launch training with it",
        icon=":material/rocket_launch:",
        query_params=query,
    )


def _said(plan: Plan) -> str:
    """The plan without the request, which holds nothing more."""
    lines = [step.what for step in plan.steps]
    lines += [f"Warning: {text}" for text in plan.warnings]
    return "\n".join(map(terminal, [*lines, f"To undo: {plan.undo}"]))


def _ask(title: str, said: str, button: str, then: Callable[[], None]) -> None:
    """The plan, and the one button that begins it."""
    dialogs.show(title, partial(body, said, button, then))


def body(said: str, button: str, then: Callable[[], None]) -> None:
    """What stands in the dialog."""
    elements.code_block(said, language=None, wrap_lines=True)
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Cancel", key="dataset-cancel"):
            dialogs.close()
            st.rerun()
        if st.button(button, key="dataset-sure", type="primary"):
            then()
            dialogs.close()
            st.rerun()
