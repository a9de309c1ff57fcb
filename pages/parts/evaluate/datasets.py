"""Labelled sets: photos whose masks are known. The form, and the pairs that it asks for."""

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
from core.datasets.temp_zip import Unpacked
from core.endpoints.endpoint import EndpointInfo
from core.errors import CoreError, InputError
from core.evaluation.pairs import Given, LabeledImage, pairs_given, pairs_of
from core.imaging.classes import Classes
from core.settings import Settings
from core.training.defaults import SANDBOX_DATA
from pages.parts import cached, links, messages, state
from pages.parts.evaluate import slots
from pages.parts.shared_cache import PendingError

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

Kind = Literal["job", "folder", "files", "s3"]
KINDS: dict[Kind, str] = {
    "job": "Its own validation data",
    "folder": "A folder",
    "files": "Files",
    "s3": "S3",
}
PARTS = {"validation": "Validation", "all": "All of it"}
MOST_FILES = 200
"""Uploaded at once: each stays in memory."""

FILES_HELP = (
    "**Drop photos with their masks here**, or a zip of them. A mask has its photo's name, `bay.jpg` with `bay.png` "
    "or `bay_mask.png`, and holds class ids: a grey or indexed PNG, 255 where nothing is to be counted."
)
FOLDER_HELP = (
    "On the machine that this dashboard runs on: Pascal VOC, `images` with `masks`, an export of CVAT or Label "
    "Studio, Ground Truth, or the channels of a training job. Nothing in it is changed."
)


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """A set that can be judged.

    title:   for a person.
    classes: its own names; None where it has none.
    home:    what a zip was unpacked into; it goes with this.
    """

    title: str
    pairs: Sequence[LabeledImage]
    classes: Classes | None
    notes: tuple[str, ...]
    home: Unpacked | None = None


Load = Callable[[], Labelled]
"""Reads what the form names; takes a moment. Raises CoreError."""


def choose(connection: Connection, serving: EndpointInfo, settings: Settings) -> Load | None:
    """The form. None where it is not filled in yet."""
    kind = st.segmented_control(
        "Photos with known masks",
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
    return _s3(connection) if kind == "s3" else _job(connection, serving)


def _job(connection: Connection, serving: EndpointInfo) -> Load | None:
    try:
        job = cached.job_behind(connection, serving)
    except PendingError as pending:
        messages.waiting_line(pending)
        return None
    except CoreError as error:
        st.warning(
            f"The training job behind this endpoint stays unknown. {messages.line(error)}",
            icon=":material/warning:",
        )
        return None
    if job is None:
        st.info(
            f"**No training job is known that made the model of {messages.plain(serving.name)}.** "
            "Its photos and masks must come from elsewhere: choose a folder, files or S3.",
            icon=":material/info:",
        )
        if connection.is_sandbox:
            st.button(
                "Take the sandbox's drawn landscapes",
                icon=":material/landscape:",
                on_click=slots.label_from_s3,
                args=(f"{SANDBOX_DATA}validation/", f"{SANDBOX_DATA}validation_annotation/"),
                help="Photos and masks that its demonstration of land cover was not trained on.",
            )
        return None
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("The validation channel of the training job", width="content")
        st.page_link(
            links.TRAINING_JOB,
            label=messages.plain(job.name),
            icon=":material/monitoring:",
            query_params={state.JOB: job.name},
        )

    def load() -> Labelled:
        pairs, notes = validation_set(clients(connection), job)
        return Labelled(f"the validation channel of {job.name}", pairs, None, notes)

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
    found = st.segmented_control(
        "Photos",
        list(PARTS),
        default="validation",
        format_func=PARTS.__getitem__,
        required=True,
        key=slots.PART,
        bind="query-params",
        help="What a model was trained on, it knows by heart: judge it by photos that it has not seen.",
    )
    return str(found)


def _read(folder: Path, part: str, called: str = "") -> Labelled:
    source = read_dataset(folder, called=called)
    wanted: tuple[Split, ...] = (VALIDATION,) if part == "validation" else (VALIDATION, TRAIN)
    pairs, notes = pairs_of(source, wanted)
    named = source.names.classes
    return Labelled(folder.name, pairs, named and source.names.in_own_colors(named), notes)


def _files(settings: Settings) -> Load | None:
    dropped = st.file_uploader(
        FILES_HELP,
        type=["jpg", "jpeg", "png", "webp", "tif", "tiff", "bmp", "zip"],
        accept_multiple_files=True,
        max_upload_size=settings.max_upload_bytes // 1_000_000,
        key=slots.LABELED_FILES,
    )
    if not dropped:
        return None
    if len(dropped) > MOST_FILES:
        raise InputError(
            f"{len(dropped)} files are too many at once: up to {MOST_FILES} are held in memory.",
            todo="Give a folder or S3, or use `segdeck evaluate`, which knows no limit.",
        )
    zips = [file for file in dropped if file.name.lower().endswith(".zip")]
    if zips and len(dropped) > 1:
        raise InputError("A zip and other files are two sets.", todo="Take one of them away.")
    return (lambda: _unpacked(zips[0])) if zips else (lambda: _given(dropped))


def _given(dropped: Sequence[UploadedFile]) -> Labelled:
    pairs, notes = pairs_given([Given(file.name, file.getvalue) for file in dropped])
    return Labelled("the uploaded files", pairs, None, notes)


def _unpacked(file: UploadedFile) -> Labelled:
    """What it holds is read as a folder is."""
    home = Unpacked(Path(file.name), data=file.getvalue())
    with home.named():
        return replace(_read(home.folder, "all", file.name), title=file.name, home=home)


def _s3(connection: Connection) -> Load | None:
    left, right = st.columns(2, gap="small")
    photos = left.text_input(
        "Photos", key=slots.S3_PHOTOS, bind="query-params", placeholder="s3://bucket/validation/"
    ).strip()
    masks = right.text_input(
        "Masks", key=slots.S3_MASKS, bind="query-params", placeholder="s3://bucket/validation_annotation/"
    ).strip()
    if not photos or not masks:
        return None

    def load() -> Labelled:
        pairs, notes = pairs_in_s3(clients(connection), photos, masks)
        return Labelled(photos, pairs, None, notes)

    return load
