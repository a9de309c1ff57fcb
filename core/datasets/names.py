"""Read class names and colors from the class names file of a dataset.

classes.json     Segdeck's own, see `core.imaging.classes`
labelmap.txt     CVAT and Label Studio: `name:red,green,blue:parts:actions`, one class per line in id order (CVAT
                 documentation, "Segmentation mask" format)
classes.txt      one name per line, in id order; labelme's labels.txt begins with __ignore__, whose id is -1
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
"""Class names files, in the order in which they are tried."""

IGNORED = ("void", "ignore", "ignored", "unlabelled", "unlabeled")
"""Names in labelmap.txt whose pixels become 255."""

LABELME_IGNORE = "__ignore__"
"""The first line of labelme's labels.txt: its id is -1, which labelme writes as 255, so the next line is class 0."""

VOC_BORDER: Color = (224, 224, 192)
"""Pascal VOC's color for pixels to ignore (`VOClabelcolormap.m`, id 255)."""

LINE = re.compile(
    r"(?P<name>[^:]+):\s*(?P<red>\d{1,3})\s*,\s*(?P<green>\d{1,3})\s*,\s*(?P<blue>\d{1,3})\s*(:.*)?"
)
MAX_BYTES = 1_000_000


def find_names(root: Path) -> Names:
    """Read the class names file in the dataset's root folder, if there is one. Raises InputError."""
    for name in FILES:
        if (root / name).exists() and not (root / name).is_dir():
            return read_names(root / name, name)
    return Names(None)


def read_names(path: Path, shown: str = "") -> Names:
    """Read a class names file; its format is detected from its content. Raises InputError."""
    shown = shown or str(path)
    text = _text(path)
    try:
        return _names_in(text, shown)
    except InputError as error:
        if shown in error.what:
            raise
        raise InputError(
            f"{shown} is invalid.", why=f"{error.what} {error.why}".strip(), todo=error.todo
        ) from error


def _names_in(text: str, shown: str) -> Names:
    if text.lstrip().startswith("{"):
        classes = Classes.from_json(text)
        return Names(classes, shown, by_color(classes), has_colors=True)
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        raise InputError(f"{shown} has no class names.", todo="Write one name per line, in id order.")
    if all(LINE.fullmatch(line) for line in lines):
        return _labelmap(lines, shown)
    if LABELME_IGNORE in lines[1:]:
        raise InputError(
            f"{shown} has {LABELME_IGNORE} in line {lines.index(LABELME_IGNORE, 1) + 1} of its names.",
            why="labelme writes it in the first line, where it has the id -1; here, it would shift the class ids.",
            todo="Move it to the first line, or remove it.",
        )
    notes: tuple[str, ...] = ()
    if lines[0] == LABELME_IGNORE:
        lines = lines[1:]
        first = f"; class 0 is {lines[0]}" if lines else ""
        notes = (f"{shown} begins with {LABELME_IGNORE} (labelme's id -1), which is 255 in masks{first}.",)
    classes = Classes(tuple(lines), colors_of(len(lines)))
    return Names(classes, shown, notes=notes)


def by_color(classes: Classes) -> dict[Color, int]:
    """Return color -> class id; VOC's border color is 255 unless a class has it."""
    return {VOC_BORDER: IGNORE, **{color: class_id for class_id, color in enumerate(classes.colors)}}


def mask_colors(names: Names) -> Colors:
    """Return the colors of the classes in masks: those of a file, else those of an indexed mask, else VOC's."""
    colors = names.colors
    if not colors and names.palette:
        colors = _by_palette(names.palette, len(names.classes) if names.classes else None)
    elif not colors and names.classes:
        colors = by_color(names.classes)
    return Colors(tuple(sorted(colors.items())), names.has_colors)


def _by_palette(palette: Sequence[Color], count: int | None) -> dict[Color, int]:
    """Return color -> class id. count: number of classes; None: the repeated color of the last ids is padding."""
    used = len(palette) if count is None else count
    while count is None and used > 1 and palette[used - 1] == palette[-1]:
        used -= 1
    defaults = (
        {palette[IGNORE]: IGNORE} if len(palette) > IGNORE and palette[IGNORE] != palette[IGNORE - 1] else {}
    )
    return defaults | {palette[number]: number for number in reversed(range(min(used, len(palette))))}


def colors_of(count: int) -> tuple[Color, ...]:
    """Return the first `count` colors of Pascal VOC."""
    return tuple((int(red), int(green), int(blue)) for red, green, blue in voc_colors(count))


def _labelmap(lines: list[str], shown: str) -> Names:
    names: list[str] = []
    class_colors: list[Color] = []
    colors: dict[Color, int] = {}
    for line in lines:
        match = LINE.fullmatch(line)
        assert match is not None  # noqa: S101  # for the type checker
        color = int(match["red"]), int(match["green"]), int(match["blue"])
        if max(color) > 255 or color in colors:
            why = "The color is used twice." if color in colors else "A color value is above 255."
            raise InputError(f"{shown} is invalid: {line!r}.", why=why, todo="Correct the line.")
        if match["name"].strip().lower() in IGNORED:
            colors[color] = IGNORE
        else:
            colors[color] = len(names)
            names.append(match["name"].strip())
            class_colors.append(color)
    return Names(
        Classes(tuple(names), tuple(class_colors)), shown, {VOC_BORDER: IGNORE, **colors}, has_colors=True
    )


def _text(path: Path) -> str:
    try:
        return read_text(path, max_bytes=MAX_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The class names cannot be read from {path}.",
            why=reason(error),
            todo="Use a text file in UTF-8.",
        ) from error
