"""Dialogs that stay open while the page below them is drawn again.

Streamlit closes a dialog when the page runs without calling it. But a page refreshes automatically while something on
it is pending or has failed (see `pages.parts.refresh`), and the user may be typing in the dialog at that time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from pages.parts.state import Slot


@dataclass(slots=True)
class OpenDialog:
    """A dialog that was opened and not closed yet.

    draw:  draws it, and opens it if it is not open.
    page:  the page that it belongs to; None until the run of that page has ended.
    drawn: whether the current run of the page has drawn it.
    """

    draw: Callable[[], None]
    page: str | None = None
    drawn: bool = True


OPEN = Slot[OpenDialog]("dialog")


def show(title: str, body: Callable[[], None], *, icon: str | None = None) -> None:
    """Open a dialog. It stays open until it is dismissed, `close` is called, or another page is shown."""

    ask(title, body, icon=icon)
    if (dialog := OPEN.get()) is not None:
        dialog.drawn = True
        dialog.draw()


def ask(title: str, body: Callable[[], None], *, icon: str | None = None) -> None:
    """Open a dialog as `show` does, from a callback: it is drawn at the end of the page's next run."""

    def draw() -> None:
        st.dialog(title, width="medium", icon=icon, on_dismiss=OPEN.clear)(body)()

    OPEN.set(OpenDialog(draw, drawn=False))


def close() -> None:
    """Forget the open dialog: the next run of the page draws none."""
    OPEN.clear()


def before_page() -> None:
    """Note that no run has drawn the dialog yet."""
    if (dialog := OPEN.get()) is not None:
        dialog.drawn = False


def after_page(page: str) -> None:
    """Draw the open dialog again, unless this run has just opened it; close that of another page."""
    dialog = OPEN.get()
    if dialog is None:
        return
    if dialog.page is None:
        dialog.page = page
    if dialog.page != page:
        close()
    elif not dialog.drawn:
        dialog.drawn = True
        dialog.draw()
