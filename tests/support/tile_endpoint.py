"""An endpoint in memory whose answer depends on the image, and at its edges on what it does not see."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from core.inference.invoke import EndpointResponse
from core.wire.decode import PNG, RECORDIO
from tests.support.answers import recordio

CENTERS = (40.0, 100.0, 150.0, 210.0)
"""Gray values of four classes."""

CONTEXT = 12
"""Pixels on each side that the answer depends on; beyond the image they count as black."""


def network(gray: np.ndarray) -> np.ndarray:
    """Return (4, H, W) float32 probabilities of a gray image, (H, W)."""
    blurred = gray.astype(np.float64)
    for axis in (0, 1):
        width = 2 * CONTEXT + 1
        pad = [(CONTEXT + 1, CONTEXT) if each == axis else (0, 0) for each in (0, 1)]
        sums = np.cumsum(np.pad(blurred, pad), axis=axis)
        first = np.take(sums, range(width, sums.shape[axis]), axis)
        blurred = (first - np.take(sums, range(sums.shape[axis] - width), axis)) / width
    scores = np.stack([-(((blurred - center) / 18) ** 2) for center in CENTERS])
    powers = np.exp(scores - scores.max(axis=0))
    return (powers / powers.sum(axis=0)).astype(np.float32)


@dataclass
class TileEndpoint:
    """Answers like `network`, counts the calls, and does first what `on_call` does with their number, from 1."""

    on_call: Callable[[int], None] = lambda _: None
    classes: Callable[[int], int] = lambda _: len(CENTERS)
    calls: int = 0
    answers: dict[bytes, np.ndarray] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, body: bytes, content_type: str, accept: str) -> EndpointResponse:
        with self.lock:
            self.calls += 1
            number = self.calls
        self.on_call(number)
        with Image.open(io.BytesIO(body)) as image:
            planes = network(np.asarray(image.convert("L")))
        self.answers[body] = planes
        if accept == PNG:
            buffer = io.BytesIO()
            Image.fromarray(planes.argmax(axis=0).astype(np.uint8)).save(buffer, "PNG")
            return EndpointResponse(buffer.getvalue(), PNG, 0.01)
        return EndpointResponse(recordio(planes[: self.classes(number)]), RECORDIO, 0.01)
