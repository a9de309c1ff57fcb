"""Class names and colours, as they travel with a model.

A model's classes lie in a small JSON beside its artifact, `classes.json` next to `model.tar.gz`:

    {"classes": [{"name": "grass", "color": "#8ebe60"}, ...]}

The place in the list is the class id. Id 255 is never a class: it means "ignore" (see `IGNORE`).
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
"""The label of pixels that belong to no class: holes and borders of Pascal VOC masks."""

IGNORE_NAME = "ignore"
SHOWN = 80
MAX_CLASSES = 254
"""SageMaker's own bound on `num_classes`: 255 is taken by IGNORE."""

Color = tuple[int, int, int]
"""Red, green, blue; each 0 to 255."""


@dataclass(frozen=True, slots=True)
class Classes:
    """Names and colours of K classes, by class id.

    names:  K names, 1 <= K <= 254.
    colors: K colours.
    """

    names: tuple[str, ...]
    colors: tuple[Color, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.names) <= MAX_CLASSES or len(self.names) != len(self.colors):
            raise InputError(
                f"There are {len(self.names)} class names and {len(self.colors)} colours.",
                todo=f"Give 1 to {MAX_CLASSES} names, and one colour for each.",
            )

    def __len__(self) -> int:
        return len(self.names)

    def name(self, class_id: int) -> str:
        """The name of a class id, also for 255 and for ids beyond the list."""
        if class_id == IGNORE:
            return IGNORE_NAME
        return self.names[class_id] if class_id < len(self.names) else f"class {class_id}"

    def table(self) -> NDArray[np.uint8]:
        """Colours of all 256 ids, (256, 3) uint8: ours first, then VOC's colours, 255 off-white as VOC has it."""
        table = voc_colors(256)
        table[: len(self.colors)] = self.colors
        return table

    def to_json(self) -> str:
        """The text of `classes.json`."""
        rows = [
            {"name": name, "color": "#{:02x}{:02x}{:02x}".format(*color)}
            for name, color in zip(self.names, self.colors, strict=True)
        ]
        return json_text({"classes": rows}, ascii_only=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Classes:
        """Read `classes.json`. Raises InputError, with the row at fault."""
        todo = (
            'Write it as {"classes": [{"name": "road", "color": "#808080"}, ...]}, in the order of the ids.'
        )
        try:
            rows = parse_json(text)["classes"]
            pairs = [(row["name"], row.get("color")) for row in rows]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                "The file of class names cannot be read.", why=_why_unreadable(error), todo=todo
            ) from error
        if not 1 <= len(pairs) <= MAX_CLASSES:
            raise InputError(
                f"The file of class names has {len(pairs):,} names.",
                why=f"A model has 1 to {MAX_CLASSES} classes.",
                todo=todo,
            )
        default = voc_colors(len(pairs))
        colors: list[Color] = []
        for number, (name, color) in enumerate(pairs):
            if not isinstance(name, str) or (color is not None and not _is_hex(color)):
                raise InputError(
                    f"Row {number} of the class names is {_short(name)}, {_short(color)}.", todo=todo
                )
            colors.append(_from_hex(color) if color else _triple(default[number]))
        return cls(tuple(name for name, _ in pairs), tuple(colors))

    @classmethod
    def numbered(cls, count: int) -> Classes:
        """Classes whose names nobody told us: `class 0`, `class 1`, ... in VOC's colours."""
        return cls(tuple(f"class {i}" for i in range(count)), _triples(voc_colors(count)))

    @classmethod
    def for_count(cls, count: int) -> Classes:
        """What to assume of a model that brought no names: VOC's 21 for 21 classes, else numbers."""
        return VOC if count == len(VOC) else cls.numbered(count)


def voc_colors(count: int) -> NDArray[np.uint8]:
    """The first `count` colours of Pascal VOC, (count, 3) uint8.

    The rule is that of the VOC development kit (`VOClabelcolormap.m`): the bits of the id, three at a time, are
    dealt to red, green and blue from the highest bit down.
    """
    ids = np.arange(count)
    colors = np.zeros((count, 3), np.uint8)
    for level in range(8):
        for channel in range(3):
            colors[:, channel] |= (((ids >> (3 * level + channel)) & 1) << (7 - level)).astype(np.uint8)
    return colors


def _why_unreadable(error: Exception) -> str:
    if isinstance(error, ValueError):
        return f"It is not JSON that can be used: {str(error).rstrip('.')}."
    if isinstance(error, KeyError):
        return f"It lacks {error}."
    return "It is JSON of another layout."


def _short(value: object) -> str:
    """Return a value for an error; a long one without its middle."""
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
"""Pascal VOC's 20 classes and the background: what AWS's own notebook trains on."""
