"""The viewer as a Streamlit component: markup, style and script are read from the files next to this one.

It needs neither a build step nor an iframe. The scripts are pieces of one module, in this order: a piece uses only
those before it. Nothing that a user does in the viewer runs Python again.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

SCRIPTS = (
    "planes.js",  # the frame, read back
    "later.js",  # planes that follow the frame
    "colors.js",
    "view.js",  # zoom and pan
    "layers.js",  # mask, maps, outlines, crosshair
    "legend.js",
    "readout.js",  # the pixel under the mouse
    "settings.js",
    "gestures.js",  # mouse and touch
    "controls.js",  # buttons and keys
    "viewer.js",  # the viewer; exports what Streamlit calls
)


def viewer(frame: bytes, *, key: str) -> None:
    """Show an image and its mask.

    frame: made by `frame.build`. The same bytes again cost nothing, and keep zoom and all else as they are; other
           bytes show the whole image, and keep layout, mode, palette and opacity.
    key:   of this viewer alone on the page, and the same from run to run.
    """
    _COMPONENT(data=frame, key=key)


def planes(data: bytes, *, key: str) -> None:
    """Give the viewer the planes of a frame that was shown without them. data: made by `frame.split`.

    key: of this component alone on the page, and the same from run to run.
    """
    _PLANES(data=data, key=key)


def _read(*names: str) -> str:
    return "\n".join(Path(__file__).with_name(name).read_text("utf-8") for name in names)


_COMPONENT = st.components.v2.component(
    "segdeck_viewer", html=_read("viewer.html"), css=_read("viewer.css"), js=_read(*SCRIPTS)
)

_PLANES = st.components.v2.component("segdeck_planes", js=_read("planes.js", "later.js", "delivery.js"))
"""Passes planes to the viewer; it shows nothing."""
