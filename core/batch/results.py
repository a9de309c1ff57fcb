"""The outputs of a transform job: masks that are checked as they are read, and the area of each class."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import DecodeError, InputError
from core.escaping import csv_bytes
from core.imaging.classes import IGNORE, Classes
from core.imaging.segmentation import Segmentation
from core.training.log_lines import LogEvent
from core.wire.decode import RECORDIO, decode

MAX_REASON = 300
LINE = re.compile(r"\[sagemaker logs\]: (?P<object>[^/\s]+/.+?): (?P<reason>.*)")
"""A line of the data log: `2026-11-30T10:00:00.000:[sagemaker logs]: BUCKET/KEY: TEXT`, as users report it."""

NO_REASON = "no reason in the log"


@dataclass(frozen=True, slots=True)
class ImageResult:
    """The mask of one image, measured.

    key:     the input's key below its prefix.
    width, height: pixels.
    pixels:  class id -> pixels, for the ids in the mask, except ignored ones.
    ignored: pixels of id 255.
    mean_confidence: 0 to 1; None for a mask alone.
    """

    key: str
    width: int
    height: int
    pixels: Mapping[int, int]
    ignored: int
    mean_confidence: float | None

    def share(self, class_id: int) -> float:
        """Return a class's share of the pixels, 0 to 1."""
        return self.pixels.get(class_id, 0) / (self.width * self.height)


@dataclass(frozen=True, slots=True)
class Failure:
    """An image without a valid output, and the reason as the log or the decoder gives it."""

    key: str
    reason: str
    too_large: bool = False

    @property
    def error(self) -> InputError:
        """Return it as an error to raise."""
        return InputError(
            f"The mask of {self.key} is not valid.", why=self.reason, todo="Resume the job to make it again."
        )


def read_output(
    key: str, body: bytes, accept: str, classes: Classes | None
) -> tuple[ImageResult, Segmentation]:
    """Decode one output and measure it. accept: see `core.batch.job.TransformJob`. Raises DecodeError.

    A class id that the model does not have is an error: the mask is of another model, or damaged.
    """
    segmentation = decode(body, accept or RECORDIO, classes=classes)
    counts = segmentation.counts()
    pixels = {int(i): int(counts[i]) for i in np.flatnonzero(counts) if i != IGNORE}
    unknown = [i for i in pixels if classes is not None and i >= len(classes)]
    if unknown:
        raise DecodeError(
            f"The mask of {key} has classes that the model does not have",
            found=f"class {unknown[0]}",
            wanted=f"0 to {len(classes or ()) - 1}",
        )
    confidence = segmentation.confidence
    return (
        ImageResult(
            key,
            segmentation.width,
            segmentation.height,
            pixels,
            int(counts[IGNORE]),
            None if confidence is None else float(np.nanmean(confidence, dtype=np.float64)),
        ),
        segmentation,
    )


def failures(
    log: Iterable[LogEvent], bucket: str, prefix: str, outside: Collection[str] = frozenset()
) -> dict[str, str]:
    """Return key below the prefix -> reason, of the objects that the data log names.

    bucket, prefix: of the inputs. outside: see `core.batch.objects.Inputs`. The container's own message follows in
    lines for the same object.
    """
    parent = prefix.removesuffix("/")
    parent = parent[: parent.rfind("/") + 1]
    reasons: dict[str, list[str]] = {}
    for event in log:
        match = LINE.search(event.message)
        if match is None:
            continue
        name = match["object"].removeprefix(f"{bucket}/")
        if name == match["object"]:
            continue
        if name.startswith(prefix):
            name = name[len(prefix) :]
        elif (name := name.removeprefix(parent)) not in outside:
            continue
        text = match["reason"].strip()
        if text and text != "Message:":
            reasons.setdefault(name, []).append(text)
    return {key: ": ".join(dict.fromkeys(texts))[:MAX_REASON] for key, texts in reasons.items()}


def area_rows(results: Iterable[ImageResult], classes: Classes | None) -> Iterable[dict[str, Any]]:
    """Yield a row per image and class: image, size, class, pixels, share."""
    for result in results:
        for class_id, pixels in sorted(result.pixels.items()):
            yield {
                "image": result.key,
                "width": result.width,
                "height": result.height,
                "class_id": class_id,
                "class": _name(classes, class_id),
                "pixels": pixels,
                "share": round(result.share(class_id), 6),
                "mean_confidence": None
                if result.mean_confidence is None
                else round(result.mean_confidence, 6),
            }


def total_rows(results: Iterable[ImageResult], classes: Classes | None) -> list[dict[str, Any]]:
    """Return a row per class over all images: images with it, pixels, share of all pixels."""
    pixels: dict[int, int] = {}
    images: dict[int, int] = {}
    every = 0
    for result in results:
        every += result.width * result.height
        for class_id, count in result.pixels.items():
            pixels[class_id] = pixels.get(class_id, 0) + count
            images[class_id] = images.get(class_id, 0) + 1
    return [
        {
            "class_id": class_id,
            "class": _name(classes, class_id),
            "images": images[class_id],
            "pixels": pixels[class_id],
            "share": round(pixels[class_id] / every, 6),
        }
        for class_id in sorted(pixels)
    ]


def areas_csv(results: Iterable[ImageResult], classes: Classes | None) -> bytes:
    """Return `area_rows` as CSV."""
    columns = ("image", "width", "height", "class_id", "class", "pixels", "share", "mean_confidence")
    return csv_bytes(area_rows(results, classes), columns)


def _name(classes: Classes | None, class_id: int) -> str:
    return classes.name(class_id) if classes is not None else f"class {class_id}"
