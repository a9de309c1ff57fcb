"""Labeled datasets, images with ground-truth masks: the form, and the pairs that it names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import streamlit as st

from core.aws.connection import Connection, clients
from core.aws.evaluation import pairs_in_s3, validation_set
from core.datasets.readers import read_dataset
from core.datasets.source import TRAIN, VALIDATION, Split
from core.datasets.temp_zip import ExtractedZip
from core.endpoints.endpoint import EndpointInfo
from core.errors import CoreError, InputError
from core.evaluation.pairs import InputFile, LabeledImage, pairs_from_files, pairs_of
from core.imaging.classes import Classes
from core.imaging.suffixes import IMAGE_SUFFIXES, uploader_types
from core.settings import Settings
from core.training.defaults import SANDBOX_DATA
from pages.parts import links, messages, state
from pages.parts.evaluate import data, slots
from pages.parts.shared_cache import PendingError

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

Kind = Literal["job", "folder", "files", "s3"]
KINDS: dict[Kind, str] = {
    "job": "The job's validation data",
    "folder": "A folder",
    "files": "Files",
    "s3": "S3",
}
PARTS = {"validation": "Validation", "all": "All of it"}
MOST_FILES = 200
"""Files uploaded at once: each stays in memory."""

FILES_HELP = (
    "**Drop images with their masks here**, or a ZIP of them. A mask has its image's name, `bay.jpg` with `bay.png` "
    "or `bay_mask.png`, and holds class IDs: a grayscale or indexed PNG, 255 for pixels to ignore."
)
FOLDER_HELP = (
    "On the machine that runs this dashboard: Pascal VOC, `images` with `masks`, a CVAT or Label Studio export, "
    "Ground Truth output, or the channels of a training job. Nothing in it is changed."
)


@dataclass(frozen=True, slots=True, eq=False)
class LabeledDataset:
    """A dataset to evaluate on.

    title:   its name for a person.
    classes: its own class names; None where it has none.
    zipped:  keeps the files of an uploaded ZIP until this is gone.
    """

    title: str
    pairs: Sequence[LabeledImage]
    classes: Classes | None
    notes: tuple[str, ...]
    zipped: ExtractedZip | None = None


Load = Callable[[], LabeledDataset]
"""Reads what the form names; takes a moment. Raises CoreError."""


def choose(connection: Connection, endpoint: EndpointInfo, settings: Settings) -> Load | None:
    """Draw the form. None where it is not filled in yet."""
    kind = st.segmented_control(
        "Labeled data",
        list(KINDS),
        default=None if state.chosen(slots.LABELED) else "job",  # it is also set by a button below
        format_func=KINDS.__getitem__,
        required=True,
        key=slots.LABELED,
        bind="query-params",
    )
    if kind == "folder":
        return _folder()
    if kind == "files":
        return _files(settings)
    return _s3(connection) if kind == "s3" else _job(connection, endpoint)


def _job(connection: Connection, endpoint: EndpointInfo) -> Load | None:
    try:
        job = data.training_job(connection, endpoint)
    except PendingError as pending:
        messages.waiting_line(pending)
        return None
    except CoreError as error:
        st.warning(
            f"Cannot look up the training job behind this endpoint. {messages.line(error)}",
            icon=":material/warning:",
        )
        return None
    if job is None:
        st.info(
            f"**No training job found for the model behind {messages.plain(endpoint.name)}.** "
            "Choose a folder, files or S3 instead.",
            icon=":material/info:",
        )
        if connection.is_sandbox:
            st.button(
                "Use the demo validation set",
                icon=":material/landscape:",
                on_click=slots.label_from_s3,
                args=(f"{SANDBOX_DATA}validation/", f"{SANDBOX_DATA}validation_annotation/"),
                help="Images and masks that the land-cover demo model was not trained on.",
            )
        return None
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("The validation channel of the training job", width="content")
        links.page_link(
            links.TRAINING_JOB,
            label=messages.plain(job.name),
            icon=":material/monitoring:",
            query_params={state.JOB: job.name},
        )

    def load() -> LabeledDataset:
        pairs, notes = validation_set(clients(connection), job)
        return LabeledDataset(f"the validation channel of {job.name}", pairs, None, notes)

    return load


def _folder() -> Load | None:
    with st.container(horizontal=True, vertical_alignment="top", gap="small"):
        text = st.text_input(
            "Folder", key=slots.FOLDER, bind="query-params", placeholder="/data/roads", help=FOLDER_HELP
        )
        part = _part()
    folder = Path(text.strip()).expanduser()
    return (lambda: _read(folder, part)) if text.strip() else None


def _part() -> str:
    part = st.segmented_control(
        "Images",
        list(PARTS),
        default="validation",
        format_func=PARTS.__getitem__,
        required=True,
        key=slots.PART,
        bind="query-params",
        help="Scores on training images are optimistic; use held-out images.",
    )
    return str(part)


def _read(folder: Path, part: str, called: str = "") -> LabeledDataset:
    source = read_dataset(folder, called=called)
    splits: tuple[Split, ...] = (VALIDATION,) if part == "validation" else (VALIDATION, TRAIN)
    pairs, notes = pairs_of(source, splits)
    classes = source.names.classes
    return LabeledDataset(folder.name, pairs, classes and source.names.in_own_colors(classes), notes)


def _files(settings: Settings) -> Load | None:
    files = st.file_uploader(
        FILES_HELP,
        type=[*uploader_types(IMAGE_SUFFIXES), "zip"],
        accept_multiple_files=True,
        max_upload_size=settings.max_upload_bytes // 1_000_000,
        key=slots.LABELED_FILES,
    )
    if not files:
        return None
    if len(files) > MOST_FILES:
        raise InputError(
            f"{len(files)} files are too many at once.",
            why=f"At most {MOST_FILES} are held in memory.",
            todo="Choose a folder or S3, or use `segdeck evaluate`, which has no limit.",
        )
    zips = [file for file in files if file.name.lower().endswith(".zip")]
    if zips and len(files) > 1:
        raise InputError("A ZIP cannot be combined with other files.", todo="Remove the ZIP or the others.")
    return (lambda: _from_zip(zips[0])) if zips else (lambda: _from_files(files))


def _from_files(files: Sequence[UploadedFile]) -> LabeledDataset:
    pairs, notes = pairs_from_files([InputFile(file.name, file.getvalue) for file in files])
    return LabeledDataset("the uploaded files", pairs, None, notes)


def _from_zip(file: UploadedFile) -> LabeledDataset:
    """Extract the ZIP and read it like a folder."""
    zipped = ExtractedZip(Path(file.name), data=file.getvalue())
    with zipped.named():
        return replace(_read(zipped.folder, "all", file.name), title=file.name, zipped=zipped)


def _s3(connection: Connection) -> Load | None:
    left, right = st.columns(2, gap="small")
    images = left.text_input(
        "Images", key=slots.S3_IMAGES, bind="query-params", placeholder="s3://bucket/validation/"
    ).strip()
    masks = right.text_input(
        "Masks", key=slots.S3_MASKS, bind="query-params", placeholder="s3://bucket/validation_annotation/"
    ).strip()
    if not images or not masks:
        return None

    def load() -> LabeledDataset:
        pairs, notes = pairs_in_s3(clients(connection), images, masks)
        return LabeledDataset(images, pairs, None, notes)

    return load
