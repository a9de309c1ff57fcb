"""Color palettes for class ids: (256, 3) uint8 tables, one row per id."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.imaging.classes import IGNORE, Classes, Color, voc_colors

Table = NDArray[np.uint8]
"""(256, 3) uint8: red, green and blue of each id."""

PALETTES = {
    "model": "Model palette",
    "voc": "Pascal VOC",
    "jet": "Jet (AWS notebook)",
    "safe": "Color-blind safe",
}
"""Name of a palette -> its label."""

IGNORE_COLOR: Color = (224, 224, 192)
"""Off-white, VOC's color of id 255 (`VOClabelcolormap.m` of the VOC development kit)."""

JET = (
    ((0.0, 0.0), (0.35, 0.0), (0.66, 1.0), (0.89, 1.0), (1.0, 0.5)),
    ((0.0, 0.0), (0.125, 0.0), (0.375, 1.0), (0.64, 1.0), (0.91, 0.0), (1.0, 0.0)),
    ((0.0, 0.5), (0.11, 1.0), (0.34, 1.0), (0.65, 0.0), (1.0, 0.0)),
)
"""matplotlib's `jet` (`_cm.py`): (position, value) of the corners of red, green and blue, linear in between."""

OKABE_ITO = ("000000", "e69f00", "56b4e9", "009e73", "f0e442", "0072b2", "d55e00", "cc79a7")
"""M. Okabe and K. Ito, "Color Universal Design", 2008: eight colors for all types of color vision."""

TOL_MUTED = ("cc6677", "332288", "ddcc77", "117733", "88ccee", "882255", "44aa99", "999933", "aa4499")
"""Paul Tol, technical note SRON/EPS/TN/09-002 on color schemes, 2021: the "muted" scheme, nine more colors."""


def table(name: str, classes: Classes) -> Table:
    """Return the palette of that name, (256, 3) uint8, a new array; id 255 is always off-white. Raises InputError."""
    makers: dict[str, Callable[[], Table]] = {
        "model": classes.table,
        "voc": lambda: voc_colors(256),
        "jet": lambda: _jet(len(classes)),
        "safe": lambda: _safe_colors().copy(),
    }
    if name not in makers:
        raise InputError(f"Palette {name!r} does not exist.", todo=f"Choose one of {', '.join(PALETTES)}.")
    colors = makers[name]()
    colors[IGNORE] = IGNORE_COLOR
    return colors


def _jet(count: int) -> Table:
    """Return the colors of `imshow(mask, vmin=0, vmax=count - 1, cmap="jet")`; ids beyond have the last color."""
    steps = np.linspace(0, 1, 256)
    ramp = np.empty((256, 3))
    for channel, corners in enumerate(JET):
        ramp[:, channel] = np.interp(
            steps, [position for position, _ in corners], [value for _, value in corners]
        )
    places = np.minimum(np.arange(256) / max(count - 1, 1) * 256, 255).astype(np.intp)
    shown: Table = (ramp * 255).astype(np.uint8)[places]
    return shown


@cache
def _safe_colors() -> Table:
    """Return Okabe and Ito's eight colors, then Tol's nine, then each time the color farthest from all before it.

    People can distinguish about ten colors. With more classes, use their names, or isolate one class.
    """
    named = [[int(text[i : i + 2], 16) for i in (0, 2, 4)] for text in (*OKABE_ITO, *TOL_MUTED)]
    levels = np.linspace(0, 255, 8).round()
    candidates = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    taken = np.array([*named, IGNORE_COLOR], float)
    nearest = np.abs(candidates[:, None] - taken).sum(axis=2).min(axis=1)
    colors = np.empty((256, 3), np.uint8)
    colors[: len(named)] = named
    for place in range(len(named), 256):
        colors[place] = candidates[nearest.argmax()]
        nearest = np.minimum(nearest, np.abs(candidates - colors[place]).sum(axis=1))
    return colors
