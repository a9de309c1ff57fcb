"""An image to segment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class InputImage:
    """An image to segment.

    id:   the same for the same content.
    name: the file's, as its owner calls it.
    read: returns the file's bytes; called in another thread.
    """

    id: str
    name: str
    read: Callable[[], bytes] = field(repr=False, compare=False)
