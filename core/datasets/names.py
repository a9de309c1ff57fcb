"""Names and colours of the classes, from the files that data sets bring along.

classes.json     ours, see `core.imaging.classes`
labelmap.txt     CVAT and Label Studio: `name:red,green,blue:parts:actions`, a class a line, in order of the ids
classes.txt      a name a line, in order of the ids
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from core.datasets.masks import Colors
from core.datasets.source import Names
from core.errors import InputError
from core.imaging.classes import IGNORE, Classes, Color, voc_colors
from core.local_files import read_text, reason

FILES = ("classes.json", "labelmap.txt", "label_map.txt", "classes.txt", "class_names.txt", "labels.txt")
"""Looked for in this order."""

IGNORED = ("void", "ignore", "ignored", "unlabelled", "unlabeled")
"""Names in a labelmap.txt whose pixels become 255."""

VOC_BORDER: Color = (224, 224, 192)
"""Pascal VOC's colour of pixels to ignore."""

LINE = re.compile(
    r"(?P<name>[^:]+):\s*(?P<red>\d{1,3})\s*,\s*(?P<green>\d{1,3})\s*,\s*(?P<blue>\d{1,3})\s*(:.*)?"
)
MAX_BYTES = 1_000_000


def find_names(root: Path) -> Names:
    """What stands beside the folders; without classes where nothing does. Raises InputError."""
    for name in FILES:
        if (root / name).exists() and not (root / name).is_dir():
            return read_names(root / name, name)
    return Names(None)


def read_names(path: Path, shown: str = "") -> Names:
    """One of the three kinds of file, told by what is in it. Raises InputError."""
    shown = shown or str(path)
    text = _text(path)
    try:
        return _names_in(text, shown)
    except InputError as error:
        if shown in error.what:
            raise
        raise InputError(
            f"{shown} cannot be used.", why=f"{error.what} {error.why}".strip(), todo=error.todo
        ) from error


def _names_in(text: str, shown: str) -> Names:
    if text.lstrip().startswith("{"):
        classes = Classes.from_json(text)
        return Names(classes, shown, by_color(classes), painted=True)
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        raise InputError(f"{shown} names no class.", todo="Write a name a line, in order of the ids.")
    if all(LINE.fullmatch(line) for line in lines):
        return _labelmap(lines, shown)
    classes = Classes(tuple(lines), colors_of(len(lines)))
    return Names(classes, shown)


def by_color(classes: Classes) -> dict[Color, int]:
    """Colour -> class id; VOC's colour of borders is 255 unless a class has it."""
    return {VOC_BORDER: IGNORE, **{color: place for place, color in enumerate(classes.colors)}}


def mask_colors(names: Names) -> Colors:
    """What colours mean: by a file, else by other masks' palette, else as VOC's."""
    colors = names.colors
    if not colors and names.palette:
        colors = _by_palette(names.palette, len(names.classes) if names.classes else None)
    elif not colors and names.classes:
        colors = by_color(names.classes)
    return Colors(tuple(sorted(colors.items())), names.painted)


def _by_palette(palette: Sequence[Color], count: int | None) -> dict[Color, int]:
    """Colour -> class id. count: of classes; None: what all the last ids have in common is taken for padding."""
    used = len(palette) if count is None else count
    while count is None and used > 1 and palette[used - 1] == palette[-1]:
        used -= 1
    defaults = (
        {palette[IGNORE]: IGNORE} if len(palette) > IGNORE and palette[IGNORE] != palette[IGNORE - 1] else {}
    )
    return defaults | {palette[number]: number for number in reversed(range(min(used, len(palette))))}


def colors_of(count: int) -> tuple[Color, ...]:
    """Pascal VOC's first colours."""
    return tuple((int(red), int(green), int(blue)) for red, green, blue in voc_colors(count))


def _labelmap(lines: list[str], shown: str) -> Names:
    names: list[str] = []
    painted: list[Color] = []
    colors: dict[Color, int] = {}
    for line in lines:
        match = LINE.fullmatch(line)
        assert match is not None  # noqa: S101  # for the type checker
        color = int(match["red"]), int(match["green"]), int(match["blue"])
        if max(color) > 255 or color in colors:
            why = "A colour is given twice." if color in colors else "A part of a colour is above 255."
            raise InputError(f"{shown} cannot be used: {line!r}.", why=why, todo="Correct the line.")
        if match["name"].strip().lower() in IGNORED:
            colors[color] = IGNORE
        else:
            colors[color] = len(names)
            names.append(match["name"].strip())
            painted.append(color)
    return Names(Classes(tuple(names), tuple(painted)), shown, {VOC_BORDER: IGNORE, **colors}, painted=True)


def _text(path: Path) -> str:
    try:
        return read_text(path, max_bytes=MAX_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The classes cannot be read from {path}.", why=reason(error), todo="Give a text file in UTF-8."
        ) from error
