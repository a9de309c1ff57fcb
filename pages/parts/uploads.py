"""Pictures in: dropped, chosen, pasted, taken with the camera, or one of the endpoint's examples."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from core.aws.connection import Connection
from core.endpoints import Serving
from core.errors import CoreError
from core.settings import Settings
from pages.parts import cached, messages, state
from pages.parts.gallery.gallery import Tile, gallery
from pages.parts.work import Picture, digest

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

MOST_FILES = 24
"""Pictures at once: each is kept in memory, and its answer may be 40 MB."""

SUFFIXES = ["jpg", "jpeg", "jfif", "png", "webp", "tif", "tiff", "bmp", "gif", "avif", "jp2"]
"""What the chooser offers. What a file really is, `core.image` finds out."""


def from_files(settings: Settings) -> list[Picture]:
    """The drop zone, and the camera below it on request."""
    megabytes = settings.max_upload_bytes // 1_000_000
    dropped = st.file_uploader(
        "Photographs",
        type=SUFFIXES,
        accept_multiple_files=True,
        max_upload_size=megabytes,
        key=state.UPLOADS,
        label_visibility="collapsed",
    )
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption("Up to 24 photographs at a time. Click the box once, and Ctrl+V pastes a picture into it.")
        camera = st.toggle("Use the camera", key=state.CAMERA_ON)
    taken = (
        st.camera_input("Take a picture", key=state.CAMERA, resolution="720p", width=480) if camera else None
    )
    if len(dropped) > MOST_FILES:
        st.warning(
            f"**{len(dropped)} files are too many at once.** The first {MOST_FILES} are segmented; take some away, "
            "or use `python cli.py segment`, which knows no limit.",
            icon=":material/warning:",
        )
    return [_picture(file) for file in [*dropped[:MOST_FILES], *([taken] if taken else [])]]


def from_examples(connection: Connection, serving: Serving | None, *, open_at_first: bool) -> list[Picture]:
    """The endpoint's own examples as a row to click on; gives those that were clicked."""
    if serving is None or serving.examples_uri is None:
        return []
    try:
        shipped = cached.examples(connection, serving.examples_uri)
        tiles = [_tile(connection, example) for example in shipped]
    except CoreError as error:
        st.warning(f"The examples cannot be shown. {messages.line(error)}", icon=":material/warning:")
        return []
    with st.expander("Try it with an example", expanded=open_at_first, icon=":material/imagesmode:"):
        gallery(tiles, key=f"examples-{serving.name}", label="Examples", on_pick=state.add_example)
    titles = {example.uri: example for example in shipped}
    return [
        Picture(uri, titles[uri].uri.rpartition("/")[2], partial(cached.example, connection, uri))
        for uri in state.examples()
        if uri in titles
    ]


def _tile(connection: Connection, example: cached.Example) -> Tile:
    return Tile(example.uri, example.title, example.note, cached.example_thumbnail(connection, example.uri))


def _picture(file: UploadedFile) -> Picture:
    """The same file dropped twice is one picture; so is one that was renamed."""
    known = state.digests()
    if file.file_id not in known:
        known[file.file_id] = digest(file.getbuffer())
    return Picture(known[file.file_id], file.name, file.getvalue)
