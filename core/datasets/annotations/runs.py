"""Decode run-length encodings of masks.

COCO counts pixels column by column. Its text form writes each length, from the fourth on as the difference from the
length two before it, in groups of 5 bits: each group is a character (its value plus 48), bit 6 says that another
group follows, and bit 5 of the last group is the sign.

Source: cocodataset.org, "Data format", and the documentation in the COCO API's `mask.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.datasets.annotations.model import Runs

FIRST, MORE, SIGN = 48, 0x20, 0x10
MAX_GROUPS = 7
"""Groups of a length that fits into 32 bits."""


def decode(runs: Runs) -> NDArray[np.bool_]:
    """Return the pixels of a run-length encoding, (H, W) bool. Raises ValueError where it is invalid."""
    counts = decompressed(runs.counts) if isinstance(runs.counts, str) else runs.counts
    height, width = runs.size
    total = sum(counts)
    if min(counts, default=0) < 0:
        raise ValueError("its run lengths have a negative number")
    if total != height * width:
        raise ValueError(
            f"its run lengths cover {total:,} pixels of the {height * width:,} of its size {width} x {height}"
        )
    values = np.arange(len(counts)) % 2 == 1
    pixels = np.repeat(values, np.asarray(counts, np.int64))
    return pixels.reshape((height, width)) if runs.by_rows else pixels.reshape((width, height)).T


def decompressed(text: str) -> Sequence[int]:
    """Return the lengths in COCO's text form. Raises ValueError where it is invalid."""
    counts: list[int] = []
    value = groups = 0
    for character in text:
        code = ord(character) - FIRST
        if not 0 <= code < 64 or groups == MAX_GROUPS:
            raise ValueError(f"its run lengths have the invalid character {character!r}")
        value |= (code & 0x1F) << 5 * groups
        groups += 1
        if code & MORE:
            continue
        if code & SIGN:
            value -= 1 << 5 * groups
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = groups = 0
    if groups:
        raise ValueError("its run lengths end in the middle of a number")
    return counts
