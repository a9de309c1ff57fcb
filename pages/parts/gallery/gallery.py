"""The gallery as a Streamlit component: markup, style and script are read from the files next to this one."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import streamlit as st

from core.escaping import terminal
from pages.parts import state

Mark = Literal["", "waiting", "busy", "done", "failed"]


@dataclass(frozen=True, slots=True)
class Tile:
    """One image of the row.

    id:     what `on_pick` is called with.
    title:  one line below the image; a file's long name is shortened in its middle.
    note:   a smaller second line; may be empty.
    jpeg:   the image, some 240 pixels wide; None draws a gray field.
    state:  its mark; "" draws none.
    """

    id: str
    title: str
    note: str = ""
    jpeg: bytes | None = None
    state: Mark = ""


def gallery(
    tiles: Sequence[Tile],
    *,
    key: str,
    label: str,
    on_pick: Callable[[str], None],
    selected: str = "",
    follow: bool = False,
    wrap: bool = False,
) -> None:
    """Show the row. A click runs `on_pick` with the tile's id before the page runs again.

    label:    the name of the row for screen readers.
    selected: the id of the tile that is marked.
    follow:   the arrow keys pick an image, not only move to it. Not for images whose click costs something.
    wrap:     whether it has several lines instead of one that scrolls.
    """

    def picked() -> None:
        choice = next((tile.id for tile in tiles if tile.id == state.component_value(key, "picked")), None)
        if choice is not None:
            on_pick(choice)

    rows = [
        {
            **asdict(tile),
            "title": terminal(tile.title),
            "note": terminal(tile.note),
            "jpeg": _data_url(tile.jpeg),
        }
        for tile in tiles
    ]
    data = {"tiles": rows, "selected": selected, "label": label, "follow": follow, "wrap": wrap}
    _COMPONENT(data=data, key=key, on_picked_change=picked)


def _data_url(jpeg: bytes | None) -> str:
    return "" if jpeg is None else f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text("utf-8")


_COMPONENT = st.components.v2.component(
    "segdeck_gallery", html=_read("gallery.html"), css=_read("gallery.css"), js=_read("gallery.js")
)
