"""SageMaker's label map: which label each pixel value of a mask stands for.

    {"scale": 3}                          the label is the pixel value divided by 3, rounded down
    {"map": {"0": 5, "1": 0, "2": 2}}     the KEY is the new label, the VALUE is the pixel value in the mask

It is easily written backwards, so it is always shown as the table that it makes.
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
"""What a pixel value becomes that the map does not name: never a class, as there are at most 254."""


@dataclass(frozen=True, slots=True)
class LabelMap:
    """path: the file. scale: 1 where there is a map. pairs: pixel value -> label; empty where there is a scale."""

    path: str
    scale: float = 1.0
    pairs: Mapping[int, int] = field(default_factory=dict)

    def table(self) -> NDArray[np.uint8]:
        """The label of each pixel value, (256,) uint8; 255 stays 255 unless the map names it."""
        if not self.pairs:
            table: NDArray[np.uint8] = np.floor(np.arange(256) / self.scale).astype(np.uint8)
        else:
            table = np.full(256, UNNAMED, np.uint8)
        table[IGNORE] = IGNORE
        for value, label in self.pairs.items():
            table[value] = label
        return table


def read_label_map(text: str | bytes, path: str) -> LabelMap:
    """Raises InputError for what is no label map."""
    try:
        return _read(parse_json(text), path)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(f"The label map {path} cannot be used.", why=f"{error}.") from error


def _read(document: Mapping[str, Any], path: str) -> LabelMap:
    unknown = sorted(set(document) - {"scale", "map"})
    if unknown or not document:
        raise ValueError(f"It has {', '.join(unknown) or 'nothing'} in place of map or scale")
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
            raise ValueError(f"Label {label} stands for pixel value {value}; both must be 0 to {IGNORE}")
        if int(value) in pairs:
            raise ValueError(f"Pixel value {value} has two labels, {pairs[int(value)]} and {label}")
        pairs[int(value)] = int(label)
    return pairs


def used_table(label_map: LabelMap, values: Collection[int]) -> dict[int, int]:
    """Pixel value -> label, of the values that stand in masks."""
    table = label_map.table()
    return {value: int(table[value]) for value in sorted(values)}


def check_label_map(label_map: LabelMap, values: Collection[int]) -> list[DataProblem]:
    """values: the pixel values that stand in the masks."""
    present = set(values) - {IGNORE}
    if not label_map.pairs:
        if label_map.scale != 1 and IGNORE in values:
            return [
                problem(
                    "scale_with_255",
                    label_map.path,
                    f"The scale is {label_map.scale:g}, and masks have pixels of 255.",
                )
            ]
        return []
    unnamed = sorted(present - set(label_map.pairs))
    if not unnamed:
        return []
    shown = ", ".join(f"{value} is {label}" for value, label in sorted(label_map.pairs.items())[:8])
    if present <= set(label_map.pairs.values()):
        message = f"It looks written backwards: pixel value {shown}; but the masks hold {_listed(present)}."
        return [problem("label_map_backwards", label_map.path, message)]
    message = (
        f"It names no label for pixel value {listing([str(value) for value in unnamed])}; it says: {shown}."
    )
    return [problem("label_map_incomplete", label_map.path, message)]


def _listed(values: Collection[int]) -> str:
    return listing([str(value) for value in sorted(values)])
