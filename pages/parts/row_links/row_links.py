"""Links to the pages of a table's rows.

A table of Streamlit is drawn on a canvas: its rows cannot be reached by the Tab key, nor opened in a new tab. These
links can.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlencode

import streamlit as st

from core.escaping import terminal
from core.text import plural
from pages.parts import account, links, state

MOST = 200
"""Links at most; the filters above a table find the rest."""


def row_links(names: Sequence[str], page: Path, param: str, noun: str, *, key: str) -> None:
    """Draw a closed list of links, and open the page of the one that was clicked.

    names: of the rows. page: the file of the page they open, whose URL names a row as `param`.
    noun:  what a row is, such as "job".
    """
    shown = list(names[:MOST])
    label = f"Links to {'these' if len(names) == len(shown) else 'the first'} {plural(len(shown), noun)}"
    if len(shown) == 1:
        label = f"Link to this {noun}"
    chosen = account.choice().query  # a new tab is a new session, which would have the default account
    rows = [
        (terminal(name), f"{page.stem}?{urlencode({**chosen, param: name}, safe='', quote_via=quote)}")
        for name in shown
    ]
    _COMPONENT(data={"label": label, "links": rows}, key=key, on_opened_change=_nothing)
    opened = state.component_value(key, "opened")
    name = next((name for name, (text, _) in zip(shown, rows, strict=True) if text == opened), None)
    if name is not None:
        links.open_page(page, {param: name})


def _nothing() -> None:
    """Do nothing: the click is handled by the run that it starts."""


def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text("utf-8")


_COMPONENT = st.components.v2.component(
    "segdeck_row_links", html=_read("row_links.html"), css=_read("row_links.css"), js=_read("row_links.js")
)
