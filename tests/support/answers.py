"""Responses of an endpoint with two classes, made without the project's own code."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 30, 40
NAMES = {"classes": [{"name": "sea", "color": "#0000ff"}, {"name": "land", "color": "#00aa00"}]}
"""The content of `classes.json`."""


def probabilities() -> np.ndarray:
    """Return (2, 30, 40) float32: the left three quarters are sea at 90 %, the rest is land at 70 %."""
    answer = np.empty((2, HEIGHT, WIDTH), np.float32)
    answer[0, :, :30], answer[0, :, 30:] = 0.9, 0.3
    answer[1] = 1 - answer[0]
    return answer


def mask() -> bytes:
    """Return the same as a PNG of class ids."""
    file = io.BytesIO()
    Image.fromarray(probabilities().argmax(0).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def recordio(values: np.ndarray) -> bytes:
    """Return a RecordIO frame around a Record with the features `target` and `shape`, as the algorithm does."""
    shape = b"".join(varint(size) for size in (1, *values.shape))
    features = {
        b"target": chunk(2, chunk(1, values.astype("<f4").tobytes())),
        b"shape": chunk(7, chunk(1, shape)),
    }
    record = b"".join(chunk(1, chunk(1, name) + chunk(2, value)) for name, value in features.items())
    return struct.pack("<II", 0xCED7230A, len(record)) + record + bytes(-len(record) % 4)


def chunk(field: int, payload: bytes) -> bytes:
    """Return a length-delimited protobuf field."""
    return varint(field << 3 | 2) + varint(len(payload)) + payload


def varint(number: int) -> bytes:
    """Return a protobuf varint."""
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])
