"""A button whose click is not lost.

Streamlit reports a click to the one run that it starts. That run may end before it draws the button: where a check
above it is pending, or where a refresh or another click runs the page again. So the click is kept until the button is
drawn, and only for a while: it must not act on a page that the user comes back to later.
"""

from __future__ import annotations

import time
from typing import Any

import streamlit as st

from pages.parts.state import Slot

KEPT_SECONDS = 30.0
"""Seconds for which a click is kept: longer than a page waits for AWS before it reports that."""


def button(label: str, *, key: str, disabled: bool = False, **options: Any) -> bool:
    """Draw a button; return whether it was clicked since it was last drawn. A disabled one drops its click.

    key:     of this button and what it acts on. options: those of `st.button`, without a callback.
    """
    clicked: Slot[float] = Slot(f"clicked.{key}")
    st.button(label, key=key, disabled=disabled, on_click=_note, args=(clicked,), **options)
    at = clicked.pop()
    return at is not None and not disabled and time.monotonic() - at < KEPT_SECONDS


def _note(clicked: Slot[float]) -> None:
    clicked.set(time.monotonic())
