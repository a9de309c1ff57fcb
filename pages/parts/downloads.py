"""A button that downloads a file, which is made when the button is clicked.

Streamlit deletes a file that no page shows once two runs have ended, whosever they are, and no page shows a file that
was made by a click. On a busy dashboard it was gone before the browser asked for it, and nothing was downloaded. So
the last files are kept here as well.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import streamlit as st
from streamlit import runtime
from streamlit.runtime.media_file_manager import MediaFileManager

HELD, MOST_BYTES = 4, 32_000_000
"""Files that are held, of all users together, and the bytes of the largest. The browser asks for each in seconds."""

_numbers = count()


def button(label: str, make: Callable[[], bytes], name: str, media_type: str, **options: Any) -> None:
    """Draw a download button that does not run the page again.

    make:    returns the file's content; called in another thread, without the page's session.
    name:    of the file. options: those of `st.download_button`.
    """
    st.download_button(
        label, partial(_made, make, name, media_type), name, media_type, on_click="ignore", **options
    )


def _made(make: Callable[[], bytes], name: str, media_type: str) -> bytes:
    data = make()
    if runtime.exists() and len(data) <= MOST_BYTES:
        hold(runtime.get_instance().media_file_mgr, data, name, media_type)
    return data


def hold(files: MediaFileManager, data: bytes, name: str, media_type: str) -> None:
    """Keep a file of this name, type and content until as many other files as `HELD` were made."""
    files.add(
        data,
        media_type,
        f"segdeck-download-{next(_numbers) % HELD}",
        file_name=name,
        is_for_static_download=True,
    )
