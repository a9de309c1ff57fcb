"""Upload the images of a local folder before a batch: reviewed first, then sent in the background."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from core.aws.connection import Connection, clients
from core.aws.execute import execute
from core.datasets.upload_plan import order_images
from core.errors import InputError
from core.escaping import terminal
from core.plans.plan import Plan, plan_upload
from core.text import listing, plural
from pages.parts import dialogs, elements, messages, tasks
from pages.parts.batch.slots import BATCH
from pages.parts.state import Slot
from pages.parts.tasks import BackgroundTask, OnCount

FOLDER, TARGET = "batch-folder", "batch-upload-to"
"""Keys of the widgets."""

SANDBOX_IMAGES = "s3://segdeck-sandbox/images/"


@dataclass(eq=False, slots=True)
class ImageUpload:
    """An upload in the background. uri: the prefix that it writes to."""

    task: BackgroundTask[dict[str, Any]]
    uri: str


UPLOAD: Slot[ImageUpload] = Slot("batch.upload")


def draw(connection: Connection) -> None:
    """Draw the fields, the upload's progress, and the button that uses its images."""
    with st.expander("Upload a local folder", icon=":material/upload:"):
        folder = st.text_input(
            "Folder",
            key=FOLDER,
            placeholder="/data/images",
            help="A path on the machine that runs this dashboard. Its JPEG files are uploaded, subfolders included.",
        )
        default = SANDBOX_IMAGES if connection.is_sandbox else ""
        target = st.text_input("Upload to", default, key=TARGET, placeholder="s3://my-bucket/images/")
        if st.button("Review and upload", icon=":material/upload:", disabled=not (folder and target)):
            with messages.error_boundary("upload"):
                _review(connection, _path(folder), target)
        if (upload := UPLOAD.get()) is None:
            return
        result = tasks.show(upload.task, "batch-upload")
        if result is not None:
            st.success(
                f"**{plural(result['Files'], 'image')} in S3, all verified.** "
                f"{result['Sent']:,} uploaded in this run.",
                icon=":material/check_circle:",
            )
            st.button(
                "Use these images", icon=":material/check:", on_click=BATCH.set, args=("input", upload.uri)
            )


def _path(text: str) -> Path:
    path = Path(text.strip()).expanduser()
    if not path.is_absolute() or not path.is_dir():
        raise InputError(
            f"{text} is not the absolute path of a folder.", todo="Enter one, such as /data/images."
        )
    return path


def _review(connection: Connection, folder: Path, target: str) -> None:
    """Open the dialog with the plan. Raises InputError for the folder or the prefix."""
    order, left_out = order_images(folder, target)
    unsent = f"Not uploaded, because they are not JPEG files: {listing(left_out)}."
    plan = plan_upload(order, warnings=(unsent,) if left_out else ())
    dialogs.show("Upload images", partial(body, connection, plan, order.uri), icon=":material/upload:")


def body(connection: Connection, plan: Plan, uri: str) -> None:
    """Draw the dialog's body: the plan, Cancel, and the button that starts the upload."""
    lines = [step.what for step in plan.steps]
    lines += [f"Warning: {text}" for text in plan.warnings]
    lines.append(f"To undo: {plan.undo}")
    elements.code_block("\n".join(map(terminal, lines)), language=None, wrap_lines=True)
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Cancel", key="batch-upload-cancel"):
            dialogs.close()
            st.rerun()
        if st.button("Upload", key="batch-upload-sure", type="primary"):
            start(connection, plan, uri)
            dialogs.close()
            st.rerun()


def start(connection: Connection, plan: Plan, uri: str) -> None:
    """Execute the plan in the background. Started again after an interruption, it skips what is in S3."""

    def work(on_count: OnCount) -> dict[str, Any]:
        outcome = execute(
            clients(connection),
            plan,
            on_progress=lambda progress: on_count(progress.files, progress.total),
        )
        return dict(outcome.done[0].answer)

    UPLOAD.set(ImageUpload(tasks.start("Upload", work), uri))
