"""Pictures in: dropped, chosen, pasted, taken with the camera, or one of the endpoint's examples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from core.aws.connection import Connection
from core.endpoints.endpoint import EndpointInfo
from core.errors import CoreError
from core.evaluation.pairs import Given, ground_truth_among
from core.settings import Settings
from pages.parts import cached, messages, state
from pages.parts.gallery.gallery import Tile, gallery
from pages.parts.segment.run import Picture, digest
from pages.parts.shared_cache import PendingError

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator
    from streamlit.runtime.uploaded_file_manager import UploadedFile

MOST_FILES = 24
"""Pictures at once: each is kept in memory, and its answer may be 40 MB."""

SUFFIXES = ["jpg", "jpeg", "jfif", "png", "webp", "tif", "tiff", "bmp", "gif", "avif", "jp2"]
"""What the chooser offers. What a file really is, `core.imaging.image` finds out."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was dropped. truths: id of a picture -> the mask beside it that says what is right."""

    pictures: list[Picture]
    truths: dict[str, Given]


def from_files(settings: Settings) -> Dropped:
    """The drop zone. Once pictures are there it makes room for them, and says less."""
    dropped = st.file_uploader(
        "**Drop photographs here** or choose them; click the box once and Ctrl+V pastes one. "
        f"Up to {MOST_FILES} at a time. A mask of the same name, `bay.png` beside `bay.jpg`, shows how right the "
        "model is.",
        type=SUFFIXES,
        accept_multiple_files=True,
        max_upload_size=settings.max_upload_bytes // 1_000_000,
        key=state.UPLOADS,
        label_visibility="collapsed" if state.has_pictures() else "visible",
    )
    truths = ground_truth_among([Given(file.name, file.getvalue) for file in dropped])
    masks = {mask.name for mask in truths.values()}
    photos = [file for file in dropped if file.name not in masks]
    if len(photos) > MOST_FILES:
        st.warning(
            f"**{len(photos)} files are too many at once.** The first {MOST_FILES} are segmented; take some away, "
            "or use `segdeck segment`, which knows no limit.",
            icon=":material/warning:",
        )
    pictures = [_picture(file) for file in photos[:MOST_FILES]]
    return Dropped(pictures, {one.id: truths[one.name] for one in pictures if one.name in truths})


def from_camera(switch: DeltaGenerator, place: DeltaGenerator) -> list[Picture]:
    """The switch, and the camera once it is on. It keeps its place: moved, it would lose the picture it shows."""
    if not switch.toggle("Use the camera", key=state.CAMERA_ON):
        return []
    taken = place.camera_input(
        "Camera", key=state.CAMERA, resolution="720p", width=400, label_visibility="collapsed"
    )
    return [_picture(taken)] if taken else []


def from_examples(connection: Connection, serving: EndpointInfo) -> list[Picture]:
    """The endpoint's own examples as a row to click on; gives those that were clicked."""
    if serving.examples_uri is None:
        return []
    try:
        shipped = cached.examples(connection, serving.examples_uri)
    except PendingError as pending:
        messages.waiting_line(pending)
        return []
    except CoreError as error:
        st.warning(f"The examples cannot be shown. {messages.line(error)}", icon=":material/warning:")
        return []
    with _place_for_examples():
        tiles = [Tile(example.uri, example.title, example.note, thumbnail) for example, thumbnail in shipped]
        gallery(tiles, key=f"examples-{serving.name}", label="Examples", on_pick=state.add_example)
        if state.examples():
            st.button("Take the examples away", icon=":material/close:", on_click=state.clear_examples)
    names = {example.uri: example.uri.rpartition("/")[2] for example, _ in shipped}
    return [
        Picture(uri, names[uri], partial(cached.example, connection, uri))
        for uri in state.examples()
        if uri in names
    ]


def _place_for_examples() -> DeltaGenerator:
    """In full view for a newcomer; behind a button once there is something better to look at."""
    if state.has_pictures():
        return st.popover("Examples", icon=":material/imagesmode:")
    box = st.container(border=True)
    box.markdown("**Nothing at hand?** One click on an example shows what the model does.")
    return box


def _picture(file: UploadedFile) -> Picture:
    """The same file dropped twice is one picture; so is one that was renamed."""
    known = state.digests()
    if file.file_id not in known:
        known[file.file_id] = digest(file.getbuffer())
    return Picture(known[file.file_id], file.name, file.getvalue)
