"""Dialogs that stay open while the page below them is drawn again.

Streamlit closes a dialog when the page runs without calling it, so each run of the page draws it again. For that, the
browser closes it for a moment, and loses what is being typed. So a page whose data has changed does not run again by
itself while a dialog is open (see `pages.parts.refresh`); whatever ends the dialog runs it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import streamlit as st

from pages.parts.state import Slot, current_page


@dataclass(slots=True)
class OpenDialog:
    """A dialog that was opened and not closed yet.

    draw: draws it, and opens it if it is not open.
    page: the page that it belongs to; None until a run of that page has ended, where pages have no names.
    """

    draw: Callable[[], None]
    page: str | None = None


OPEN = Slot[OpenDialog]("dialog")


def show(title: str, body: Callable[[], None], *, icon: str | None = None) -> NoReturn:
    """Open a dialog. It stays open until it is dismissed, `close` is called, or another page is shown.

    The page runs again for it. If the page itself drew the dialog, Streamlit would give its widgets other identities
    than at the end of a run, and the next run would lose what the user has typed.
    """
    ask(title, body, icon=icon)
    st.rerun()


def ask(title: str, body: Callable[[], None], *, icon: str | None = None) -> None:
    """Open a dialog as `show` does, from a callback: it is drawn at the end of the page's next run."""

    def draw() -> None:
        st.dialog(title, width="medium", icon=icon, on_dismiss=OPEN.clear)(body)()

    OPEN.set(OpenDialog(draw, current_page()))


def is_open() -> bool:
    """Return whether a dialog is open."""
    return OPEN.get() is not None


def close() -> None:
    """Forget the open dialog: the next run of the page draws none."""
    OPEN.clear()


def after_page(page: str) -> None:
    """Draw the open dialog at the end of the run of a page; close that of another page."""
    dialog = OPEN.get()
    if dialog is None:
        return
    if dialog.page is None:
        dialog.page = page
    if dialog.page != page:
        close()
    else:
        dialog.draw()
