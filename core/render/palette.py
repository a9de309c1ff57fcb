"""Colours for class ids: a palette is a (256, 3) uint8 table, one row an id."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from core.classes import IGNORE, Classes, Color, voc_colors
from core.errors import InputError

Table = NDArray[np.uint8]
"""(256, 3) uint8: red, green, blue of each id."""

PALETTES = {
    "model": "The model's own colours",
    "voc": "Pascal VOC",
    "jet": "Jet, as AWS's notebook draws",
    "safe": "Colour-blind safe",
}
"""Names of the palettes, with what a person reads."""

IGNORE_COLOR: Color = (224, 224, 192)
"""Off-white: VOC's colour of id 255."""

JET = (
    ((0.0, 0.0), (0.35, 0.0), (0.66, 1.0), (0.89, 1.0), (1.0, 0.5)),
    ((0.0, 0.0), (0.125, 0.0), (0.375, 1.0), (0.64, 1.0), (0.91, 0.0), (1.0, 0.0)),
    ((0.0, 0.5), (0.11, 1.0), (0.34, 1.0), (0.65, 0.0), (1.0, 0.0)),
)
"""Corners of matplotlib's `jet`, (place, height) for red, green and blue, straight lines between."""

OKABE_ITO = ("000000", "e69f00", "56b4e9", "009e73", "f0e442", "0072b2", "d55e00", "cc79a7")
"""M. Okabe and K. Ito, "Color Universal Design", 2008: eight colours that all kinds of colour vision tell apart."""

TOL_MUTED = ("cc6677", "332288", "ddcc77", "117733", "88ccee", "882255", "44aa99", "999933", "aa4499")
TOL_LIGHT = ("77aadd", "99ddff", "44bb99", "bbcc33", "aaaa00", "eedd88", "ee8866", "ffaabb", "dddddd")
"""Paul Tol, "Colour schemes", 2021: safe each within its own set."""


def table(name: str, classes: Classes) -> Table:
    """The palette of that name, (256, 3) uint8, a new array. Id 255 is always off-white. Raises InputError."""
    makers = {"model": classes.table, "voc": _voc, "jet": lambda: _jet(len(classes)), "safe": _safe}
    if name not in makers:
        raise InputError(f"There is no palette {name!r}.", todo=f"Choose one of {', '.join(PALETTES)}.")
    colors = makers[name]()
    colors[IGNORE] = IGNORE_COLOR
    return colors


def _voc() -> Table:
    return voc_colors(256)


def _jet(count: int) -> Table:
    """What `imshow(mask, vmin=0, vmax=count - 1, cmap="jet")` shows; ids beyond are as the last."""
    steps = np.linspace(0, 1, 256)
    ramp = np.empty((256, 3))
    for channel, corners in enumerate(JET):
        ramp[:, channel] = np.interp(
            steps, [place for place, _ in corners], [height for _, height in corners]
        )
    places = np.minimum(np.arange(256) / max(count - 1, 1) * 256, 255).astype(np.intp)
    shown: Table = (ramp * 255).astype(np.uint8)[places]
    return shown


def _safe() -> Table:
    """Okabe and Ito's eight, then Tol's eighteen, then hues made up here. No two are alike.

    Nobody tells more than about ten colours apart by eye alone: beyond, names and the isolating of a class must help.
    """
    return np.array(list(islice(_safe_colors(), 256)), np.uint8)


def _safe_colors() -> Iterator[Color]:
    taken = {IGNORE_COLOR}
    for text in (*OKABE_ITO, *TOL_MUTED, *TOL_LIGHT):
        color = int(text[:2], 16), int(text[2:4], 16), int(text[4:], 16)
        taken.add(color)
        yield color
    number = 0
    while True:
        # Steps of the golden ratio never come back to a hue; three lightnesses tell neighbours apart without hue.
        red, green, blue = colorsys.hls_to_rgb(number * 0.618034 % 1, (0.3, 0.55, 0.8)[number % 3], 0.65)
        color = round(red * 255), round(green * 255), round(blue * 255)
        number += 1
        if color not in taken:
            taken.add(color)
            yield color
