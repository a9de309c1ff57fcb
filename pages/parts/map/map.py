"""The map viewer as a Streamlit component: an image of any size with its mask, in tiles that the browser requests.

As `pages.parts.viewer`, whose style and smaller scripts it uses: pieces of one module, in this order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from core.imaging.classes import Classes
from pages.parts.map.service import MapFiles, base_path, current_session, maps

HERE = Path(__file__).parent
VIEWER = HERE.parent / "viewer"
SCRIPTS = (
    VIEWER / "planes.js",  # PNG to class ids
    VIEWER / "colors.js",
    VIEWER / "view.js",  # zoom and pan
    VIEWER / "layers.js",  # crosshair, mask and maps in colors
    VIEWER / "legend.js",
    VIEWER / "gestures.js",  # mouse and touch
    HERE / "tiles.js",  # requests and cache
    HERE / "scale.js",  # scale bar, coordinates
    HERE / "controls.js",  # buttons and keys
    HERE / "map.js",  # the map; exports what Streamlit calls
)


def map_view(
    scene: Path,
    mask: Path,
    confidence: Path | None,
    classes: Classes,
    key: str,
    *,
    bands: Sequence[int] = (),
    stretch: tuple[float, float] | None = None,
) -> None:
    """Show an image of any size with its mask. Raises ImageError if a file is not there.

    scene, mask, confidence: files of the same size, see `core.tiles.outputs`.
    key:                     of this map alone on the page, and the same from run to run.
    bands, stretch:          with which the scene was segmented, see `core.tiles.scene.open_scene`.

    The files stay where they are: the browser requests the tiles that it shows. If they lack overviews, these are
    made once, in a hidden file next to the mask, while the map shows the progress.
    """
    files = MapFiles(scene, mask, confidence, classes, tuple(bands), stretch)
    token = maps().token(files, current_session())
    _COMPONENT(data={"address": f"{base_path()}/map/{token}"}, key=key, on_renew_change=_rerun)


def _rerun() -> None:
    """Let the page run again, which gives the map another link: the browser says that the former one has expired."""


def _read(*paths: Path) -> str:
    return "\n".join(path.read_text("utf-8") for path in paths)


_COMPONENT = st.components.v2.component(
    "segdeck_map",
    html=_read(HERE / "map.html"),
    css=_read(VIEWER / "viewer.css", HERE / "map.css"),
    js=_read(*SCRIPTS),
)
