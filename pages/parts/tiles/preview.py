"""The map as a small image: while it grows, and when it is done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.imaging.classes import Classes
from core.render.palette import Table, table
from core.tiles.job import ASSUMED_CLASSES
from core.tiles.plan import encode_tile
from core.tiles.preview import GrowingMap
from pages.parts.tiles.task import FRAME
from pages.parts.viewer import viewer

HEIGHT = 600
"""Pixels of a growing map, so that it fits on the screen with what is above it."""


def show_map(folder: Path) -> None:
    """Draw a finished map over its image, from the bounded preview in its folder."""
    frame = folder / FRAME
    if frame.is_file():
        viewer.viewer(frame.read_bytes(), key="map-viewer")
    else:
        st.info("**The preview of this map is not stored.** Its files are complete.", icon=":material/info:")


def show_growing(growing: GrowingMap) -> None:
    """Draw a map that is being made."""
    drawn = growing.drawn()
    st.image(jpeg(drawn), output_format="JPEG", width=round(HEIGHT * drawn.shape[1] / drawn.shape[0]))


def colors(classes: Classes | None) -> Table:
    """Return the colors of the class ids, as in the viewer, (256, 3) uint8."""
    return table("model", classes or Classes.numbered(ASSUMED_CLASSES))


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """Return pixels, (h, w, 3) uint8, as JPEG."""
    return encode_tile(pixels, 85).body
