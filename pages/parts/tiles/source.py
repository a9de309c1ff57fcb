"""The large image of this session: uploaded, on the dashboard's machine, or in S3."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import DeletedFile

from core.aws.connection import Connection, clients
from core.aws.storage import download
from core.datasets.temp_zip import TempFolder
from core.errors import InputError
from core.imaging.suffixes import IMAGE_SUFFIXES, uploader_types
from core.local_files import reason
from core.text import byte_size
from pages.parts import messages, state, tasks
from pages.parts.state import Slot
from pages.parts.tasks import BackgroundTask, OnCount

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

MOST_MB = 2048
"""Of an upload, as `server.maxUploadSize`. An image that is given by its path has no limit but that of its pixels."""

MOST_BYTES = 20_000_000_000
"""Of an image in S3, which is downloaded first."""

PIECE = 16_000_000
"""Bytes that an upload is written to the disk in."""

PATH = "scene"
"""The key of the field for a path or an S3 URI, which is bound to the URL under the same name."""


@dataclass(frozen=True, slots=True, eq=False)
class SourceFile:
    """An image in a file. folder: temporary, removed with this object; None for a file that is not ours."""

    path: Path
    folder: TempFolder | None = None


_SOURCE: Slot[SourceFile] = Slot("tiles.source")
_DOWNLOAD: Slot[BackgroundTask[SourceFile]] = Slot("tiles.download")
_NUMBER: Slot[int] = Slot("tiles.uploads")
_FAILURE: Slot[InputError] = Slot("tiles.upload_failure")


def current() -> SourceFile | None:
    """Return the image of this session; None before there is one."""
    return _SOURCE.get()


def forget() -> None:
    """Leave the image."""
    if (task := _DOWNLOAD.pop()) is not None:
        task.stop.set()
    _SOURCE.clear()
    _FAILURE.clear()
    state.choose(PATH, "")


def keep(name: str, write: Callable[[Path], object]) -> SourceFile:
    """Write an image into a temporary file. Raises InputError."""
    folder = TempFolder()
    path = folder.path / (re.sub(r"[^\w.-]+", "_", name).lstrip(".") or "image")
    try:
        write(path)
    except OSError as error:
        folder.close()
        raise InputError(
            f"{name} cannot be written to a temporary file.",
            why=reason(error),
            todo="Free disk space for temporary files (TMPDIR), or give the path of the image.",
        ) from error
    except BaseException:
        folder.close()
        raise
    return SourceFile(path, folder)


def use(name: str, data: bytes) -> None:
    """Make an image that the session has already the large image; in a callback."""
    _SOURCE.set(keep(name, lambda path: path.write_bytes(data)))


def choose(connection: Connection) -> SourceFile | None:
    """Draw how to choose an image, until there is one; then return it."""
    if (source := current()) is not None:
        return source
    if (failure := _FAILURE.get()) is not None:
        st.error(messages.card(failure), icon=":material/error:")
    key = f"scene-upload-{_NUMBER.get() or 0}"
    st.file_uploader(
        f"**Drop one large image here** or choose a file: GeoTIFF, JPEG 2000 or any plain image of up to "
        f"{MOST_MB // 1024} GB. It is read in windows and keeps its coordinates. Nothing is sent before you confirm "
        "the plan.",
        type=uploader_types(IMAGE_SUFFIXES),
        max_upload_size=MOST_MB,
        key=key,
        on_change=_take,
        args=(key,),
    )
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        text = st.text_input(
            "Or a path or S3 URI",
            key=PATH,
            bind="query-params",
            placeholder="/data/scene.tif or s3://bucket/scene.tif",
            help="A path on the machine that runs this dashboard, of any size. An image in S3 is downloaded first.",
        )
        opened = st.button("Open", icon=":material/folder_open:", disabled=not text)
    if opened:
        text = str(text).strip()
        if text.startswith("s3://"):
            _DOWNLOAD.set(tasks.start("Download", lambda on_count: _downloaded(connection, text, on_count)))
        else:
            with messages.error_boundary("scene"):
                _SOURCE.set(SourceFile(_absolute(text)))
                st.rerun()
    if (task := _DOWNLOAD.get()) is not None:
        result = tasks.show(
            task,
            "scene-download",
            status=lambda: (
                f"Downloading: {byte_size(task.done)}"
                + (f" of {byte_size(task.total)}" if task.total else "")
            ),
        )
        if result is not None:
            _DOWNLOAD.clear()
            _SOURCE.set(result)
            st.rerun()
    return None


def _absolute(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_absolute():
        raise InputError(f"{text} is not an absolute path.", todo="Enter one, such as /data/scene.tif.")
    return path


def _downloaded(connection: Connection, uri: str, on_count: OnCount) -> SourceFile:
    name = uri.rpartition("/")[2]
    return keep(
        name,
        lambda path: download(clients(connection), uri, path, max_bytes=MOST_BYTES, on_bytes=on_count),
    )


def _take(key: str) -> None:
    """Write an upload to the disk and free its memory; in its callback. Streamlit itself keeps uploads in memory."""
    file: UploadedFile | DeletedFile | None = state.chosen(key)
    if file is None or isinstance(file, DeletedFile):
        return
    try:
        _SOURCE.set(keep(file.name, lambda path: _spool(file, path)))
        _FAILURE.clear()
    except InputError as error:
        _FAILURE.set(error)
    _NUMBER.set((_NUMBER.get() or 0) + 1)  # another field, without the file
    context = get_script_run_ctx()
    if context is not None and isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
        context.uploaded_file_mgr.remove_file(context.session_id, file.file_id)


def _spool(file: UploadedFile, path: Path) -> None:
    content = file.getbuffer()
    with path.open("xb") as out:
        for start in range(0, len(content), PIECE):
            out.write(content[start : start + PIECE])
