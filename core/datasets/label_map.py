"""Read SageMaker's label map, which maps the pixel values of a mask to labels.

    {"scale": 3}                          the label is the pixel value divided by 3, rounded down
    {"map": {"0": 5, "1": 0, "2": 2}}     the KEY is the new label, the VALUE is the pixel value in the mask

It is easily written the wrong way around, so it is always shown as a table of pixel values and labels.

Source: Amazon SageMaker Developer Guide, "Semantic Segmentation Algorithm", section on the label map channels.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.datasets.problems import DataProblem, problem
from core.errors import InputError
from core.imaging.classes import IGNORE
from core.strict_json import parse_json
from core.text import listing

UNNAMED = 254
"""The label of pixel values that are not in the map; never a class id, as there are at most 254 classes."""


@dataclass(frozen=True, slots=True)
class LabelMap:
    """A label map.

    path:  the file.
    scale: 1 where there is a map.
    pairs: pixel value -> label; empty where there is a scale.
    """

    path: str
    scale: float = 1.0
    pairs: Mapping[int, int] = field(default_factory=dict)

    def table(self) -> NDArray[np.uint8]:
        """Return the label of each pixel value, (256,) uint8; 255 stays 255 unless the map has it."""
        if not self.pairs:
            table: NDArray[np.uint8] = np.floor(np.arange(256) / self.scale).astype(np.uint8)
        else:
            table = np.full(256, UNNAMED, np.uint8)
        table[IGNORE] = IGNORE
        for value, label in self.pairs.items():
            table[value] = label
        return table


def read_label_map(text: str | bytes, path: str) -> LabelMap:
    """Read the text of a label map file. Raises InputError where it is not a label map."""
    try:
        return _read(parse_json(text), path)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(f"The label map {path} is invalid.", why=f"{error}.") from error


def _read(document: Mapping[str, Any], path: str) -> LabelMap:
    unknown = sorted(set(document) - {"scale", "map"})
    if unknown or not document:
        raise ValueError(f"It has {', '.join(unknown) or 'no key'} instead of map or scale")
    if "map" in document:
        return LabelMap(path, pairs=_pairs(document["map"]))
    scale = float(document["scale"])
    if not 1 <= scale <= IGNORE:
        raise ValueError(f"The scale is {scale:g}")
    return LabelMap(path, scale)


def _pairs(entries: Mapping[str, Any]) -> dict[int, int]:
    pairs: dict[int, int] = {}
    for label, value in entries.items():
        if not (0 <= int(label) <= IGNORE and 0 <= int(value) <= IGNORE):
            raise ValueError(f"Label {label} has pixel value {value}; both must be 0 to {IGNORE}")
        if int(value) in pairs:
            raise ValueError(f"Pixel value {value} has two labels, {pairs[int(value)]} and {label}")
        pairs[int(value)] = int(label)
    return pairs


def used_table(label_map: LabelMap, values: Collection[int]) -> dict[int, int]:
    """Return pixel value -> label, for the values that occur in masks."""
    table = label_map.table()
    return {value: int(table[value]) for value in sorted(values)}


def check_label_map(label_map: LabelMap, values: Collection[int]) -> list[DataProblem]:
    """Return the problems of a label map. values: the pixel values that occur in the masks."""
    present = set(values) - {IGNORE}
    if not label_map.pairs:
        if label_map.scale != 1 and IGNORE in values:
            return [
                problem(
                    "scale_with_255",
                    label_map.path,
                    f"The scale is {label_map.scale:g}, and masks have pixels with value 255.",
                )
            ]
        return []
    unnamed = sorted(present - set(label_map.pairs))
    if not unnamed:
        return []
    shown = ", ".join(f"{value} -> {label}" for value, label in sorted(label_map.pairs.items())[:8])
    if present <= set(label_map.pairs.values()):
        message = (
            f"It looks reversed: it maps pixel values {shown}, but the masks contain {_listed(present)}."
        )
        return [problem("label_map_backwards", label_map.path, message)]
    message = (
        f"It has no label for pixel value {listing([str(value) for value in unnamed])}; it maps {shown}."
    )
    return [problem("label_map_incomplete", label_map.path, message)]


def _listed(values: Collection[int]) -> str:
    return listing([str(value) for value in sorted(values)])
