"""Images to segment: dropped, chosen, pasted, from the camera, or one of the endpoint's examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from core.aws.connection import Connection
from core.endpoints.endpoint import EndpointInfo
from core.errors import CoreError
from core.evaluation.pairs import InputFile, ground_truth_files
from core.imaging.suffixes import IMAGE_SUFFIXES, uploader_types
from core.settings import Settings
from core.text import listing
from pages.parts import cached, elements, messages
from pages.parts.cached import Example
from pages.parts.gallery.gallery import Tile, gallery
from pages.parts.page_drop.page_drop import page_drop
from pages.parts.segment import files, slots
from pages.parts.segment.images import InputImage
from pages.parts.shared_cache import PendingError

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

MOST_FILES = 24
"""Images at once: each is kept in memory, and its response may have 40 MB."""


STREAMLIT_MB = 1024 * 1024
"""Bytes of a megabyte in Streamlit's limit."""

LARGE_ZONE = """
[data-testid=stFileUploaderDropzone] {
  min-height: 16rem; flex-direction: column; align-items: center; justify-content: center; border-style: dashed;
}
[data-testid=stFileUploaderDropzoneInstructions], [data-testid=stFileUploaderDropzoneInstructions] * {
  flex: none; max-width: 100%; white-space: normal; text-align: center;
}
"""
"""The style of the drop zone of a page without images."""


@dataclass(frozen=True, slots=True)
class Uploads:
    """Uploaded images.

    ground_truth: image id -> the mask that was uploaded with it.
    others:       ids of all other files: these masks, and images beyond the limit.
    """

    images: list[InputImage]
    ground_truth: dict[str, InputFile]
    others: frozenset[str]


def from_files(settings: Settings) -> Uploads:
    """Draw the drop zone: large until there are images, then without its text; return all files of this session.

    Files may be dropped anywhere on the page.
    """
    if not slots.has_images():
        elements.style(LARGE_ZONE)
    added = st.file_uploader(
        "**Drop images here** or choose files; to paste an image, click the box and press Ctrl+V. "
        f"Up to {MOST_FILES} at a time. Add a ground-truth mask with the same name (`bay.jpg` + `bay.png`) to get "
        "IoU.",
        type=uploader_types(IMAGE_SUFFIXES),
        accept_multiple_files=True,
        max_upload_size=settings.max_upload_bytes // 1_000_000,
        key=files.uploads_key(),
        on_change=files.drop_removed,
        args=(files.uploads_key(),),
        label_visibility="collapsed" if slots.has_images() else "visible",
    )
    files.take(files.uploads_key(), added)
    limit = f"{settings.max_upload_bytes // 1_000_000:,} MB"
    page_drop(
        settings.max_upload_bytes // 1_000_000 * STREAMLIT_MB,
        f"A file can have up to {limit}. For one large image, choose Tiles as the input size. Otherwise, raise "
        "SEGDECK_MAX_UPLOAD_MB and restart the dashboard, or use "
        "`segdeck segment`, which has no limit.",
        key="page-drop",
    )
    kept = files.kept()
    names = {file.id: (file.name, *files.copies(file)) for file in kept}
    masks = ground_truth_files([InputFile(name, file.read) for file in kept for name in names[file.id]])
    mask_names = {mask.name for mask in masks.values()}
    images = [file for file in kept if mask_names.isdisjoint(names[file.id])]
    if len(images) > MOST_FILES:
        st.warning(
            f"**{len(images)} images are too many at once.** The first {MOST_FILES} are segmented. Remove some, "
            "or use `segdeck segment`, which has no limit.",
            icon=":material/warning:",
        )
    images = images[:MOST_FILES]
    ground_truth = {
        image.id: next(masks[name] for name in names[image.id] if name in masks)
        for image in images
        if not masks.keys().isdisjoint(names[image.id])
    }
    return Uploads(images, ground_truth, frozenset(file.id for file in kept if file not in images))


def from_camera(switch: DeltaGenerator, place: DeltaGenerator) -> None:
    """Draw the switch, and the camera once it is on; its image joins the files of this session.

    It keeps its place: moved, it would lose the image it shows.
    """
    if not switch.toggle("Camera", key=slots.CAMERA_ON):
        return
    taken = place.camera_input(
        "Camera",
        key=files.CAMERA,
        resolution="720p",
        width=400,
        label_visibility="collapsed",
        on_change=files.drop_removed,
        args=(files.CAMERA,),
    )
    files.take(files.CAMERA, [taken] if taken else [])


def from_examples(connection: Connection, endpoint: EndpointInfo) -> list[InputImage]:
    """Draw examples that fit the model as a row to click on; return those that were clicked.

    They are the endpoint's own or, where it has none, validation images of the training job behind its model.
    """
    try:
        available, note = _examples(connection, endpoint)
    except PendingError as pending:
        messages.waiting_line(pending)
        return []
    except CoreError as error:
        st.warning(f"Cannot show the examples. {messages.line(error)}", icon=":material/warning:")
        return []
    if not available:
        return []
    with _examples_box(note):
        tiles = [
            Tile(example.uri, example.title, example.note, thumbnail) for example, thumbnail in available
        ]
        gallery(tiles, key=f"examples-{endpoint.name}", label="Examples", on_pick=slots.add_example)
        if slots.examples():
            st.button("Remove examples", icon=":material/close:", on_click=slots.clear_examples)
    names = {example.uri: example.uri.rpartition("/")[2] for example, _ in available}
    return [
        InputImage(uri, names[uri], partial(cached.example, connection, uri))
        for uri in slots.examples()
        if uri in names
    ]


def name_copies(copies: Mapping[str, Sequence[str]]) -> None:
    """Draw which files are shown once because they have the same content."""
    for name, others in copies.items():
        if not others:
            continue
        same = listing([messages.plain(other) for other in others])
        verb = "is a byte-identical copy" if len(others) == 1 else "are byte-identical copies"
        st.caption(f":material/content_copy: {same} {verb} of {messages.plain(name)}, which is shown once.")


def _examples(
    connection: Connection, endpoint: EndpointInfo
) -> tuple[tuple[tuple[Example, bytes], ...], str]:
    """Return examples with their thumbnails, and a note on where they are from. Raises CoreError, PendingError."""
    if endpoint.examples_uri is not None:
        return cached.examples(connection, endpoint.examples_uri), ""
    of_job = cached.job_examples(connection, endpoint)
    return of_job.images, f"Validation images of {of_job.job}"


def _examples_box(note: str) -> DeltaGenerator:
    """Return a box on the page before the first image, then a popover. note: where the examples are from."""
    if slots.has_images():
        return st.popover("Examples", icon=":material/imagesmode:")
    box = st.container(border=True)
    box.markdown(f"**No image handy?** Try an example.{f' {messages.plain(note)}.' if note else ''}")
    return box
