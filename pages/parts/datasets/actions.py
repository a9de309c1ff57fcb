"""The actions on a validated dataset: export a fixed copy, upload it to S3, train on it. Each is confirmed first."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import streamlit as st

from core.aws.connection import Connection
from core.datasets.convert import plan_conversion
from core.datasets.prepare import ReadOptions
from core.datasets.report import LayoutReport
from core.datasets.source import Splitting
from core.datasets.upload_plan import order_upload, warnings_of
from core.escaping import terminal
from core.plans.plan import Plan, plan_upload
from core.text import plural
from pages.parts import buttons, dialogs, elements, links, messages, state, tasks
from pages.parts.datasets import session
from pages.parts.datasets.session import DATASET, CheckedDataset

SANDBOX_DATASETS = "s3://segdeck-sandbox/datasets/"
"""The default S3 prefix of uploads in the sandbox."""


def show(connection: Connection, checked: CheckedDataset) -> None:
    """Draw the export on the left and the upload on the right; for a dataset in S3, the link to the launch form."""
    if checked.source is None:
        _launch_link(checked.report, checked.report.root)
        return
    left, right = st.columns(2, gap="medium")
    with left, st.container(border=True, height="stretch"):
        _export(checked)
    with right, st.container(border=True, height="stretch"):
        _upload(connection, checked)


def _export(checked: CheckedDataset) -> None:
    assert checked.source is not None  # noqa: S101  # for the type checker
    st.header("Fixed copy")
    issues = checked.report.problems
    fixable = sum(problem.fixable for problem in issues)
    fixes = f"Fixes {fixable:,} of {plural(len(issues), 'issue')} automatically. " if fixable else ""
    st.caption(f"Writes the four channels to a new folder. {fixes}Your files are not changed.")
    root = checked.source.root.resolve()
    default = str(Path.home() if checked.home else root.parent) + f"/{root.name}-channels"
    out = st.text_input("New folder", default, key=f"out-{root}")
    if buttons.button(
        "Review and export",
        key="dataset-export",
        acts_on=(root, checked.options),
        icon=":material/content_copy:",
        disabled=not out,
    ):
        with messages.error_boundary():
            plan = plan_conversion(checked.source, checked.report, Path(out).expanduser(), checked.notes)
            _confirm("Export a fixed copy", str(plan), "Export", lambda: session.current().convert(plan))
    if (task := session.current().conversion) is not None:
        written = tasks.show(task, "conversion")
        if written is not None:
            st.success(f"Copy saved to {messages.code(str(written))}.", icon=":material/check_circle:")
            copy = (written, checked.options.splitting)
            st.button("Validate the copy", icon=":material/fact_check:", on_click=_check_copy, args=copy)


def _check_copy(folder: Path, splitting: Splitting) -> None:
    state.choose(DATASET, str(folder))
    session.current().check_folder(folder, ReadOptions(splitting))


def _upload(connection: Connection, checked: CheckedDataset) -> None:
    assert checked.source is not None  # noqa: S101  # for the type checker
    st.header("Upload to S3")
    st.caption("Unchanged files are skipped; interrupted uploads resume.")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", checked.source.root.resolve().name).strip("-") or "dataset"
    default = f"{SANDBOX_DATASETS}{name}/" if connection.is_sandbox else ""
    uri = st.text_input("S3 prefix", default, key=f"to-{name}", placeholder=f"s3://bucket/datasets/{name}/")
    overwrite = st.checkbox("Overwrite objects that differ")
    if buttons.button(
        "Review and upload",
        key="dataset-upload",
        acts_on=(checked.source.root.resolve(), checked.options),
        type="primary",
        icon=":material/upload:",
        disabled=not uri,
    ):
        with messages.error_boundary():
            order = order_upload(
                checked.source, checked.report, uri, splitting=checked.options.splitting, overwrite=overwrite
            )
            plan = plan_upload(order, warnings=warnings_of(checked.report))
            _confirm(
                "Upload the dataset",
                _plan_text(plan),
                "Upload",
                lambda: session.current().carry_out(connection, plan),
            )
    _upload_result(checked.report)


def _upload_result(report: LayoutReport) -> None:
    """Draw the progress of the upload; once it is done, the result and the link to the launch form."""
    current = session.current()
    if current.upload is None or current.uploaded is None:
        return
    result = tasks.show(current.upload, "upload")
    if result is not None:
        st.success(
            f"**{plural(result['Files'], 'file')} in S3, all verified.** {result['Sent']:,} uploaded in this run.",
            icon=":material/check_circle:",
        )
        if result.get("Note"):
            st.warning(messages.plain(result["Note"]), icon=":material/info:")
        _launch_link(report, current.uploaded.target)


def _launch_link(report: LayoutReport, uri: str) -> None:
    if not report.usable:
        return
    query = {state.DATA: uri, state.DATA_SAMPLES: str(report.num_training_samples)}
    query |= {state.DATA_CLASSES: str(len(report.classes))} if report.classes else {}
    links.page_link(
        links.LAUNCH_TRAINING,
        label="Train on this dataset",
        icon=":material/rocket_launch:",
        query_params=query,
    )


def _plan_text(plan: Plan) -> str:
    """Return the plan without the API request, which adds nothing that a user needs."""
    lines = [step.what for step in plan.steps]
    lines += [f"Warning: {text}" for text in plan.warnings]
    return "\n".join(map(terminal, [*lines, f"To undo: {plan.undo}"]))


def _confirm(title: str, text: str, button: str, action: Callable[[], None]) -> None:
    """Open a dialog with the plan and the one button that starts it."""
    dialogs.show(title, partial(body, text, button, action))


def body(text: str, button: str, action: Callable[[], None]) -> None:
    """Draw the dialog's body: the plan's text, Cancel, and the button that runs the action."""
    elements.code_block(text, language=None, wrap_lines=True)
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Cancel", key="dataset-cancel"):
            dialogs.close()
            st.rerun()
        if st.button(button, key="dataset-sure", type="primary"):
            action()
            dialogs.close()
            st.rerun()
