"""The label map of a channel: the label of each pixel value of a mask.

`{"scale": "3"}` divides, rounding down; `{"map": {"0": 5, "1": 0}}` gives for each label its value in the mask. 255
is "ignore" and stays so unless the map contains it. Source: SageMaker developer guide, "Semantic Segmentation
Algorithm" (label map).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.algorithm.failure import ClientError
from sandbox.algorithm.scores import IGNORE

UNKNOWN = 254
"""The label of values missing in the map: never a class, as there are at most 254."""


def identity() -> NDArray[np.uint8]:
    """Return the table without a map: (256,) uint8, each value itself."""
    return np.arange(256, dtype=np.uint8)


def read_label_map(path: Path) -> NDArray[np.uint8]:
    """Read the label of each pixel value, (256,) uint8. Raises ClientError for an invalid label map."""
    try:
        label_map = json.loads(path.read_bytes())
        unknown = sorted(set(label_map) - {"scale", "map"})
        if unknown:
            raise ClientError(
                f"The label map {path.name} has {', '.join(unknown)}, expected 'scale' or 'map'."
            )
        if "map" in label_map:
            return _by_map(label_map["map"])
        return _by_scale(label_map.get("scale", 1))
    except (ValueError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise ClientError(
            f"The label map {path.name} cannot be read ({error}): expected "
            '{"scale": "3"}, or {"map": {"LABEL": PIXEL VALUE}} with whole numbers from 0 to 255.'
        ) from error


def _by_map(pairs: dict[str, Any]) -> NDArray[np.uint8]:
    """Return the table of a "map". Raises ValueError."""
    table = np.full(256, UNKNOWN, np.uint8)
    table[IGNORE] = IGNORE
    for label, value in pairs.items():
        if not (0 <= int(label) <= 255 and 0 <= int(value) <= 255):
            raise ValueError(f"{label} for {value}")
        table[int(value)] = int(label)
    return table


def _by_scale(scale: Any) -> NDArray[np.uint8]:
    """Return the table of a "scale". Raises ValueError."""
    if not 1 <= float(scale) <= 255:  # NaN fails the comparison
        raise ValueError(f"scale {scale}")
    table: NDArray[np.uint8] = np.floor(identity() / float(scale)).astype(np.uint8)
    table[IGNORE] = IGNORE
    return table
