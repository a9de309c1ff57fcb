"""The viewer as a Streamlit component: markup, style and script are read from the files beside this one.

There is no build step and no iframe. The scripts are pieces of one module, in this order: what a piece uses stands
before it. Nothing a person does in the viewer runs Python again.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

SCRIPTS = (
    "planes.js",  # the frame, read back
    "colors.js",
    "view.js",  # zoom and pan
    "layers.js",  # mask, maps, borders, crosshair
    "legend.js",  # the chips
    "readout.js",  # what is under the mouse
    "settings.js",
    "gestures.js",  # mouse and fingers
    "controls.js",  # buttons and keys
    "viewer.js",  # the viewer; exports what Streamlit calls
)


def viewer(frame: bytes, *, key: str) -> None:
    """Show a picture and its mask.

    frame: what `frame.build` made. The same bytes again cost nothing, and keep zoom and all else as they are; other
           bytes start at the whole picture and keep layout, mode, colours and opacity.
    key:   tells this viewer from others on the page, and keeps it the same one from run to run.
    """
    _COMPONENT(data=frame, key=key)


def _read(*names: str) -> str:
    return "\n".join(Path(__file__).with_name(name).read_text("utf-8") for name in names)


_COMPONENT = st.components.v2.component(
    "segdeck_viewer", html=_read("viewer.html"), css=_read("viewer.css"), js=_read(*SCRIPTS)
)
