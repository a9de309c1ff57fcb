"""Images to segment: dropped, chosen, pasted, from the camera, or one of the endpoint's examples."""

from __future__ import annotations

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
from pages.parts import cached, messages
from pages.parts.gallery.gallery import Tile, gallery
from pages.parts.segment import files, slots
from pages.parts.segment.images import InputImage
from pages.parts.shared_cache import PendingError

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

MOST_FILES = 24
"""Images at once: each is kept in memory, and its response may have 40 MB."""


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
    """Draw the drop zone, without its text once there are images; return all files of this session."""
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
    kept = files.kept()
    masks = ground_truth_files([InputFile(file.name, file.read) for file in kept])
    mask_names = {mask.name for mask in masks.values()}
    images = [file for file in kept if file.name not in mask_names]
    if len(images) > MOST_FILES:
        st.warning(
            f"**{len(images)} images are too many at once.** The first {MOST_FILES} are segmented. Remove some, "
            "or use `segdeck segment`, which has no limit.",
            icon=":material/warning:",
        )
    images = images[:MOST_FILES]
    ground_truth = {image.id: masks[image.name] for image in images if image.name in masks}
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
    """Draw the endpoint's own examples as a row to click on; return those that were clicked."""
    if endpoint.examples_uri is None:
        return []
    try:
        available = cached.examples(connection, endpoint.examples_uri)
    except PendingError as pending:
        messages.waiting_line(pending)
        return []
    except CoreError as error:
        st.warning(f"Cannot show the examples. {messages.line(error)}", icon=":material/warning:")
        return []
    with _examples_box():
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


def _examples_box() -> DeltaGenerator:
    """Return a box on the page before the first image, then a popover."""
    if slots.has_images():
        return st.popover("Examples", icon=":material/imagesmode:")
    box = st.container(border=True)
    box.markdown("**No image handy?** Try an example.")
    return box
