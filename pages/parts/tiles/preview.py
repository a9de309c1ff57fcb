"""The map as a small image: while it grows, and when it is done."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.errors import ImageError, InputError
from core.imaging.classes import Classes
from core.inference.export import unique_stems
from core.render import palette
from core.render.palette import Table
from core.runs.run import Run
from core.tiles.job import ASSUMED_CLASSES
from core.tiles.plan import encode_tile
from core.tiles.preview import GrowingMap
from pages.parts import messages
from pages.parts.map.map import map_view
from pages.parts.tiles.order import MapOrder
from pages.parts.tiles.task import FRAME
from pages.parts.viewer import viewer

HEIGHT = 600
"""Pixels of a growing map, so that it fits on the screen with what is above it."""


def show_map(folder: Path, run: Run, row: Mapping[str, Any]) -> None:
    """Draw a finished map over its image; from the bounded preview in its folder if the image is not there any more.

    row: the summary of the map.
    """
    try:
        _show_tiles(folder, run, row)
    except (ImageError, InputError) as error:
        st.caption(f":material/info: Shown reduced: {messages.line(error)}")
        _show_frame(folder)


def _show_tiles(folder: Path, run: Run, row: Mapping[str, Any]) -> None:
    order = MapOrder.from_form(run.form)
    scene = Path(order.path)
    if scene.exists() and scene.stat().st_size != row["file"]["bytes"]:
        raise ImageError(f"{scene.name} was replaced.", why="This map was made of another file.")
    names = row["class_names"]
    table = colors(run.classes)[: len(names)].tolist()
    classes = Classes(tuple(names), tuple((red, green, blue) for red, green, blue in table))
    (stem,) = unique_stems([run.title])
    suffix = ".tif" if (folder / f"{stem}_mask.tif").exists() else ".png"
    confidence = folder / f"{stem}_confidence{suffix}"
    map_view(
        scene,
        folder / f"{stem}_mask{suffix}",
        confidence if confidence.exists() else None,
        classes,
        key="map",
        bands=order.band_numbers,
        stretch=order.percentiles,
    )


def _show_frame(folder: Path) -> None:
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
    return palette.table("model", classes or Classes.numbered(ASSUMED_CLASSES))


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """Return pixels, (h, w, 3) uint8, as JPEG."""
    return encode_tile(pixels, 85).body
