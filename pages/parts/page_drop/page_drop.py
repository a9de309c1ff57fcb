"""Take files that are dropped anywhere on the page, and report files that are too large.

Streamlit's drop zone takes only what is dropped on it, and reports a file that is too large without a way out.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st


def page_drop(most_bytes: int, advice: str, *, key: str) -> None:
    """Give files that are dropped on the page to its only drop zone.

    most_bytes: the size of the largest file that the drop zone takes.
    advice:     what to do about a larger file; plain text.
    """
    _COMPONENT(data={"most_bytes": most_bytes, "advice": advice}, key=key)


def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text("utf-8")


_COMPONENT = st.components.v2.component(
    "segdeck_page_drop", html=_read("page_drop.html"), css=_read("page_drop.css"), js=_read("page_drop.js")
)
