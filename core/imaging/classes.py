"""Class names and colors of a model.

They are kept in a small JSON file next to the model's artifact, `classes.json` next to `model.tar.gz`:

    {"classes": [{"name": "grass", "color": "#8ebe60"}, ...]}

The position in the list is the class id. Id 255 is never a class: it means "ignore" (see `IGNORE`). The format is
Segdeck's own, as SageMaker has none for class names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.escaping import json_text
from core.strict_json import parse_json

IGNORE = 255
"""The label of pixels without a class, such as the object borders in Pascal VOC masks; the algorithm ignores them."""

IGNORE_NAME = "ignore"
SHOWN = 80
MAX_CLASSES = 254
"""SageMaker's limit for the hyperparameter `num_classes`; 255 is IGNORE."""

Color = tuple[int, int, int]
"""Red, green and blue, each 0 to 255."""


@dataclass(frozen=True, slots=True)
class Classes:
    """Names and colors of K classes, by class id.

    names:  K names, 1 <= K <= 254.
    colors: K colors.
    """

    names: tuple[str, ...]
    colors: tuple[Color, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.names) <= MAX_CLASSES or len(self.names) != len(self.colors):
            raise InputError(
                f"There are {len(self.names)} class names and {len(self.colors)} colors.",
                todo=f"Give 1 to {MAX_CLASSES} names, and one color for each.",
            )

    def __len__(self) -> int:
        return len(self.names)

    def name(self, class_id: int) -> str:
        """Return the name of a class id, also for 255 and for ids beyond the list."""
        if class_id == IGNORE:
            return IGNORE_NAME
        return self.names[class_id] if class_id < len(self.names) else f"class {class_id}"

    def table(self) -> NDArray[np.uint8]:
        """Return the colors of all 256 ids, (256, 3) uint8: these classes', then VOC's; 255 is VOC's off-white."""
        table = voc_colors(256)
        table[: len(self.colors)] = self.colors
        return table

    def to_json(self) -> str:
        """Return the text of `classes.json`."""
        rows = [
            {"name": name, "color": "#{:02x}{:02x}{:02x}".format(*color)}
            for name, color in zip(self.names, self.colors, strict=True)
        ]
        return json_text({"classes": rows}, ascii_only=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Classes:
        """Read the text of `classes.json`. Raises InputError with the invalid row."""
        todo = (
            'Write it as {"classes": [{"name": "road", "color": "#808080"}, ...]}, in the order of the ids.'
        )
        try:
            rows = parse_json(text)["classes"]
            pairs = [(row["name"], row.get("color")) for row in rows]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                "The class names file cannot be read.", why=_why_unreadable(error), todo=todo
            ) from error
        if not 1 <= len(pairs) <= MAX_CLASSES:
            raise InputError(
                f"The class names file has {len(pairs):,} names.",
                why=f"A model has 1 to {MAX_CLASSES} classes.",
                todo=todo,
            )
        default = voc_colors(len(pairs))
        colors: list[Color] = []
        for number, (name, color) in enumerate(pairs):
            if not isinstance(name, str) or (color is not None and not _is_hex(color)):
                raise InputError(
                    f"Row {number} of the class names is invalid: {_short(name)}, {_short(color)}.", todo=todo
                )
            colors.append(_from_hex(color) if color else _triple(default[number]))
        return cls(tuple(name for name, _ in pairs), tuple(colors))

    @classmethod
    def numbered(cls, count: int) -> Classes:
        """Return classes without known names: `class 0`, `class 1`, ... in VOC's colors."""
        return cls(tuple(f"class {i}" for i in range(count)), _triples(voc_colors(count)))


def voc_colors(count: int) -> NDArray[np.uint8]:
    """Return the first `count` colors of Pascal VOC, (count, 3) uint8.

    As in the VOC development kit (`VOClabelcolormap.m`): the bits of the id, three at a time, are distributed to red,
    green and blue from the highest bit down.
    """
    ids = np.arange(count)
    colors = np.zeros((count, 3), np.uint8)
    for level in range(8):
        for channel in range(3):
            colors[:, channel] |= (((ids >> (3 * level + channel)) & 1) << (7 - level)).astype(np.uint8)
    return colors


def _why_unreadable(error: Exception) -> str:
    if isinstance(error, ValueError):
        return f"It is not valid JSON: {str(error).rstrip('.')}."
    if isinstance(error, KeyError):
        return f"{error} is missing."
    return "Its JSON has a different structure."


def _short(value: object) -> str:
    """Return a value for an error message, truncated where it is long."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _is_hex(text: object) -> bool:
    return isinstance(text, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", text) is not None


def _from_hex(text: str) -> Color:
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def _triple(row: Iterable[int]) -> Color:
    red, green, blue = (int(value) for value in row)
    return red, green, blue


def _triples(rows: Iterable[Iterable[int]]) -> tuple[Color, ...]:
    return tuple(_triple(row) for row in rows)


VOC_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
VOC = Classes(VOC_NAMES, _triples(voc_colors(len(VOC_NAMES))))
"""Pascal VOC's 20 classes and the background, which AWS's example notebook trains on."""
