"""The viewer's frame: all the bytes that the viewer needs for one image, in one piece.

    u32, little-endian   length of the header
    header               JSON in UTF-8: classes, colors, and the names and lengths of the parts
    parts                one after the other, in the header's order

Streamlit passes a component one raw `bytes` value without base64 or JSON around it, so all is in it, unless `split`
makes two of it: the probability planes then follow in a frame of their own with the same id. The parts:
`image` (JPEG), `labels` (class ids), and, where there are probabilities, `confidence` and one `probability/ID` for
each class that matters. All planes are 8-bit grayscale PNG. Labels are exact; probabilities are whole percent, which
is what the viewer shows, and take half the space of finer steps.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.escaping import json_bytes, terminal
from core.imaging.classes import Classes
from core.imaging.segmentation import Segmentation
from core.render import palette
from core.render.plane_png import plane_png

PERCENT = 100
"""The value of a probability plane for a probability of 1."""

WORTH_SHOWING = 0.05
"""A class that is nowhere in the mask, and nowhere this probable, has no plane."""

PLANE_PIXELS = 16_000_000
"""With more pixels than this in all probability planes together, they are downsampled; 21 of 800 x 600 are not."""

PROBABILITY = "probability/"
"""The start of the name of a part that is a probability plane."""


def build(
    image_jpeg: bytes,
    image_size: tuple[int, int],
    segmentation: Segmentation,
    *,
    title: str = "Segmentation",
    own_colors: bool = False,
) -> bytes:
    """Return the frame of one image and its segmentation. Takes some ten milliseconds: keep it in a cache.

    image_jpeg: the image, upright. Its size may differ from that of the labels; it is drawn to the same extent.
    image_size: width and height of the original image, whose pixels are the unit of the coordinates shown.
    title:      what the labels are.
    own_colors: offer no other palette, because the colors themselves have a meaning.

    The viewer keeps zoom and position from one frame to the next with the same image.
    """
    ids, step = _plane_ids(segmentation)
    parts = {"image": image_jpeg, **_planes(segmentation, ids, step)}
    shown = _classes(segmentation, ids)
    palettes = _palettes(segmentation.classes, shown)
    return _pack(
        {
            "image_size": image_size,
            "scene": hashlib.blake2b(image_jpeg, digest_size=8).hexdigest(),
            "title": terminal(title),
            "classes": shown,
            "palettes": palettes[:1] if own_colors else palettes,
            "probabilities": None if segmentation.probabilities is None else {"ids": ids, "step": step},
        },
        parts,
    )


def split(frame: bytes) -> tuple[bytes, bytes]:
    """Return a frame without its probability planes, and these planes with the same id; b"" where it has none.

    The viewer shows the first without the second, which have more than half of the bytes.
    """
    (length,) = struct.unpack_from("<I", frame)
    header, start = json.loads(frame[4 : 4 + length]), 4 + length
    first = [(name, size) for name, size in header["parts"] if not name.startswith(PROBABILITY)]
    rest = header["parts"][len(first) :]  # the planes are the last parts
    if not rest:
        return frame, b""
    end = start + sum(size for _, size in first)
    return (
        _with_header({**header, "parts": first}, frame[start:end]),
        _with_header({"id": header["id"], "parts": rest}, frame[end:]),
    )


def _plane_ids(segmentation: Segmentation) -> tuple[list[int], int]:
    """Return the ids of the classes that have a plane, and how many pixels apart its samples are."""
    if segmentation.probabilities is None:
        return [], 1
    count = len(segmentation.probabilities)
    peaks = np.fmax.reduce(segmentation.probabilities.reshape(count, -1), axis=1)
    ids = np.flatnonzero((peaks >= WORTH_SHOWING) | (segmentation.counts()[:count] > 0))
    pixels = len(ids) * segmentation.labels.size
    return [int(i) for i in ids], max(1, math.ceil(math.sqrt(pixels / PLANE_PIXELS)))


def _planes(segmentation: Segmentation, ids: Sequence[int], step: int) -> dict[str, bytes]:
    """Return all planes as PNG, by part name. zlib runs without Python's lock, so the planes share the cores."""
    maps: dict[str, NDArray[np.float32]] = {}
    if segmentation.confidence is not None:
        maps["confidence"] = segmentation.confidence
    if segmentation.probabilities is not None:
        maps |= {f"{PROBABILITY}{i}": segmentation.probabilities[i, ::step, ::step] for i in ids}
    with ThreadPoolExecutor() as pool:
        bodies = pool.map(lambda plane: plane_png(_percent(plane)), maps.values())
        return {"labels": plane_png(segmentation.labels), **dict(zip(maps, bodies, strict=True))}


def _percent(probability: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return probabilities in whole percent, of the same shape; NaN becomes 0, and others are clipped to [0, 1]."""
    scaled = np.rint(np.multiply(probability, PERCENT, dtype=np.float32))
    np.nan_to_num(scaled, copy=False, nan=0.0, posinf=PERCENT, neginf=0.0)
    percent: NDArray[np.uint8] = np.clip(scaled, 0, PERCENT, out=scaled).astype(np.uint8)
    return percent


def _classes(segmentation: Segmentation, plane_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Return the classes of this image, the largest first."""
    counts = segmentation.counts()
    ids = {int(i) for i in np.flatnonzero(counts)} | set(plane_ids)
    rows = [{"id": i, "name": terminal(segmentation.classes.name(i)), "pixels": int(counts[i])} for i in ids]
    return sorted(rows, key=lambda row: (-row["pixels"], row["id"]))


def _palettes(classes: Classes, shown: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the colors of these classes in each palette: a change of palette needs no second frame."""
    tables = {title: palette.table(name, classes) for name, title in palette.PALETTES.items()}
    return [
        {"name": title, "colors": ["#{:02x}{:02x}{:02x}".format(*table[row["id"]]) for row in shown]}
        for title, table in tables.items()
    ]


def _pack(header: dict[str, Any], parts: Mapping[str, bytes]) -> bytes:
    """Return header and parts in one piece; the header's `id` is that of the content."""
    header["parts"] = [(name, len(body)) for name, body in parts.items()]
    digest = hashlib.blake2b(json.dumps(header).encode(), digest_size=8)
    for body in parts.values():
        digest.update(body)
    return _with_header({"id": digest.hexdigest(), **header}, *parts.values())


def _with_header(header: Mapping[str, Any], *bodies: bytes) -> bytes:
    text = json_bytes(header, indent=None)
    return b"".join((struct.pack("<I", len(text)), text, *bodies))
