"""Files that are made when their button is clicked."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.media_file_storage import MediaFileStorageError
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage

from pages.parts.downloads import HELD, hold

NAME, MEDIA_TYPE = "areas.csv", "text/csv"


def made(files: MediaFileManager, data: bytes) -> str:
    """Make a file as a click does; return the name under which the browser asks for it."""

    def content() -> bytes:
        hold(files, data, NAME, MEDIA_TYPE)
        return data

    clicked = files.add_deferred(content, MEDIA_TYPE, "button", file_name=NAME)
    return PurePosixPath(files.execute_deferred(clicked)).name


def end_runs(files: MediaFileManager) -> None:
    """End two runs of other pages: Streamlit keeps a download for one."""
    for _ in range(2):
        files.remove_orphaned_files()


def test_a_file_outlives_the_runs_of_other_pages() -> None:
    """A file stays available when runs end before the browser asks for it."""
    storage = MemoryMediaFileStorage("/media")
    files = MediaFileManager(storage)
    name = made(files, b"land,0.5")
    end_runs(files)
    assert storage.get_file(name).content == b"land,0.5"


def test_only_the_last_files_are_held() -> None:
    """A file is removed once more files were made than are held."""
    storage = MemoryMediaFileStorage("/media")
    files = MediaFileManager(storage)
    first = made(files, b"first")
    for number in range(HELD):
        made(files, b"%d" % number)
    end_runs(files)
    with pytest.raises(MediaFileStorageError):
        storage.get_file(first)
