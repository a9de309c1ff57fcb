"""The files of this session: images, and ground-truth masks among them.

The widgets that files come in by are empty after a visit to another page. So the session keeps each file on its own,
until it is removed in its widget or on the page. Once a file is stored with a run, it is read from there, and its
memory is free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from core.runs.responses import content_id
from core.runs.store import RunStore
from pages.parts import state
from pages.parts.segment.images import InputImage
from pages.parts.state import Slot

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

CAMERA = "camera"
"""The key of the camera."""

_FILES: Slot[dict[str, InputImage]] = Slot("segment.files")
_IDS: Slot[dict[str, str]] = Slot("segment.file_ids")
_DRAWN: Slot[dict[str, list[str]]] = Slot("segment.files_drawn")
_NAMES: Slot[dict[str, list[str]]] = Slot("segment.file_names")
_CLEARED: Slot[int] = Slot("segment.files_cleared")


def uploads_key() -> str:
    """Return the key of the drop zone: a new one, with an empty drop zone, after all files were removed."""
    return f"uploads-{_CLEARED.get() or 0}"


def kept() -> list[InputImage]:
    """Return the session's files, in the order in which they came."""
    return list(_FILES.setdefault(dict).values())


def in_widgets() -> bool:
    """Return whether a widget holds a file, which the next run of the page takes."""
    return bool(state.chosen(uploads_key()) or state.chosen(CAMERA))


def take(key: str, files: Sequence[UploadedFile]) -> None:
    """Keep the files that the widget with this key returned. Call it at each run."""
    drawn, known = _DRAWN.setdefault(dict), _FILES.setdefault(dict)
    for file in files:
        if file.file_id not in drawn.get(key, ()):
            image = InputImage(_id(file), file.name, file.getvalue)
            known.setdefault(image.id, image)  # the same content again is one image, under its first name
            names = _NAMES.setdefault(dict).setdefault(image.id, [])
            if image.name not in names:
                names.append(image.name)
    drawn[key] = [file.file_id for file in files]


def drop_removed(key: str) -> None:
    """Drop the files that were just removed in the widget with this key; in its callback."""
    value = state.chosen(key)
    files: list[UploadedFile] = value if isinstance(value, list) else [value] if value else []
    left = {file.file_id for file in files}
    removed = [file_id for file_id in _DRAWN.setdefault(dict).get(key, ()) if file_id not in left]
    ids = _IDS.setdefault(dict)
    still_there = {ids.get(file_id) for file_id in left}  # the same content may have been added twice
    remove(ids[file_id] for file_id in removed if file_id in ids and ids[file_id] not in still_there)


def replace_all(files: Iterable[InputImage]) -> None:
    """Replace the session's files."""
    clear()
    known, names = _FILES.setdefault(dict), _NAMES.setdefault(dict)
    for file in files:
        known.setdefault(file.id, file)
        own = names.setdefault(file.id, [])
        if file.name not in own:
            own.append(file.name)


def remove(ids: Iterable[str]) -> None:
    """Drop the files with these ids."""
    known, names = _FILES.setdefault(dict), _NAMES.setdefault(dict)
    for image_id in list(ids):
        known.pop(image_id, None)
        names.pop(image_id, None)


def copies(image: InputImage) -> list[str]:
    """Return the names of other files of this session with the same content as an image's."""
    return [name for name in _NAMES.setdefault(dict).get(image.id, ()) if name != image.name]


def clear() -> None:
    """Drop all files, and empty the drop zone."""
    for slot in (_FILES, _IDS, _DRAWN, _NAMES):
        slot.clear()
    _CLEARED.set((_CLEARED.get() or 0) + 1)


def read_from(store: RunStore) -> None:
    """Read those files from the store that it has and no widget holds any more."""
    ids, drawn, known = _IDS.setdefault(dict), _DRAWN.setdefault(dict), _FILES.setdefault(dict)
    held = {ids[file_id] for files in drawn.values() for file_id in files if file_id in ids}
    for image in list(known.values()):
        if image.id not in held and not _is_stored(image.read) and store.has_content(image.id):
            known[image.id] = replace(image, read=partial(store.content, image.id))


def _is_stored(read: Callable[[], bytes]) -> bool:
    return isinstance(read, partial)


def _id(file: UploadedFile) -> str:
    """Return the id of a file's content, which is computed once."""
    ids = _IDS.setdefault(dict)
    if file.file_id not in ids:
        ids[file.file_id] = content_id(file.getbuffer())
    return ids[file.file_id]
