"""Decode the response of an endpoint into a `Segmentation`.

    application/x-recordio-protobuf    one RecordIO record with a `ResponseRecord`
    application/x-protobuf             the same, as AWS sends it, or a bare `ResponseRecord`
    image/png                          a grayscale or palette PNG of class ids

The content types are those of the Semantic Segmentation algorithm ("Input/Output Interface for the Semantic
Segmentation Algorithm" in the Amazon SageMaker Developer Guide).

Claimed lengths and shapes are not trusted: whatever a response claims, the memory used stays within a small multiple
of its size. Everything that is wrong with a response raises a DecodeError.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import DecodeError
from core.imaging.classes import IGNORE, MAX_CLASSES, Classes
from core.imaging.counting import pixel_counts
from core.imaging.segmentation import Segmentation
from core.text import plural
from core.wire import png, recordio
from core.wire.probabilities import most_likely
from core.wire.record import ResponseRecord, Tensor, read_record
from core.wire.source import ByteSource, described

RECORDIO = "application/x-recordio-protobuf"
PROTOBUF = "application/x-protobuf"
PNG = "image/png"

_MIN_CLASSES = 2
_SHAPE_WANTED = "(1, C, H, W) or (C, H, W)"


def decode(
    body: bytes | bytearray | memoryview, content_type: str, *, classes: Classes | None = None
) -> Segmentation:
    """Decode an endpoint's response to one image.

    body:         the whole response. Probabilities sent as packed float32 are not copied: do not change the body
                  while the `Segmentation` is in use.
    content_type: that of the response; case and parameters after `;` do not matter.
    classes:      names and colors of the model's classes. If there are too few, the rest is numbered (`class 7`); if
                  there are none, 21 probability maps get Pascal VOC's classes, any other number is numbered. A PNG
                  does not contain the number of classes: without `classes` they are numbered up to the highest id in
                  it, except 255 (ignore).

    Raises DecodeError with the value found, the value wanted and the offset.
    """
    source = ByteSource.of_response(body)
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type == PNG:
        return _from_png(source, classes)
    if media_type == RECORDIO or (media_type == PROTOBUF and recordio.is_framed(source)):
        return _from_record(recordio.record(source), classes)
    if media_type == PROTOBUF:
        return _from_record(source, classes)
    raise DecodeError(
        "The response has a content type that cannot hold a segmentation",
        found=f"content type {content_type!r} with {described(source.data)}",
        wanted=f"{RECORDIO}, {PROTOBUF} or {PNG}",
    )


def decoded_bytes(body: bytes | bytearray | memoryview, content_type: str) -> int:
    """Return about how many bytes of memory `decode` takes in addition to the response, from its first bytes.

    A small PNG may hold millions of pixels; the other types take as much as their size. 0 for a damaged header.
    """
    if (content_type or "").partition(";")[0].strip().lower() != PNG:
        return len(body)
    return png.BYTES_PER_PIXEL * min(png.claimed_pixels(ByteSource.of_response(body)), png.MAX_PIXELS)


def _from_png(source: ByteSource, classes: Classes | None) -> Segmentation:
    labels = png.read_labels(source)
    counts = pixel_counts(labels)
    ids = np.flatnonzero(counts[:MAX_CLASSES])
    count = int(ids[-1]) + 1 if len(ids) else 1
    invalid = int(counts[MAX_CLASSES:IGNORE].sum())
    problems = (
        (f"{plural(invalid, 'pixel')} hold {MAX_CLASSES}, which is not a class id: 0 to {MAX_CLASSES - 1}.",)
        if invalid
        else ()
    )
    return Segmentation(labels, None, None, _at_least(count, classes or Classes.numbered(count)), problems)


def _from_record(source: ByteSource, classes: Classes | None) -> Segmentation:
    record = read_record(source)
    count, height, width = _dimensions(source, record)
    planes = _as_float32(record.target.numbers).reshape(count, height * width)
    planes.flags.writeable = False
    best = most_likely(planes)
    return Segmentation(
        best.labels.reshape(height, width),
        best.confidence.reshape(height, width),
        planes.reshape(count, height, width),
        _at_least(count, classes or Classes.numbered(count)),
        best.problems,
    )


def _as_float32(numbers: NDArray[Any]) -> NDArray[np.float32]:
    """Return the numbers as float32, not copied if they are; what overflows becomes infinite, and is reported."""
    with np.errstate(over="ignore", invalid="ignore"):
        return numbers.astype("<f4", copy=False)


def _dimensions(source: ByteSource, record: ResponseRecord) -> tuple[int, int, int]:
    """Return C, H and W, checked against the number of values."""
    target = record.target
    position, claimed = _claimed_shape(source, record)
    shape = claimed[1:] if len(claimed) == 4 and claimed[0] == 1 else claimed
    if len(shape) != 3 or min(shape) < 1:
        raise source.error(
            "The response has an invalid shape", found=str(claimed), wanted=_SHAPE_WANTED, position=position
        )
    if not _MIN_CLASSES <= shape[0] <= MAX_CLASSES:
        raise source.error(
            "The response has an invalid number of classes",
            found=plural(shape[0], "class", "classes"),
            wanted=f"{_MIN_CLASSES} to {MAX_CLASSES} classes",
            position=position,
        )
    if math.prod(shape) != target.numbers.size:
        raise source.error(
            "The shape of the response does not match its values",
            found=plural(target.numbers.size, "value"),
            wanted=f"{math.prod(shape):,} for the shape {claimed}",
            position=target.position,
        )
    return shape[0], shape[1], shape[2]


def _claimed_shape(source: ByteSource, record: ResponseRecord) -> tuple[int, tuple[int, ...]]:
    """Return the position of the shape, and the shape: that of the feature, else that of the tensor itself."""
    if record.shape is not None:
        return record.shape.position, _integers(source, record.shape, record.shape.numbers)
    if record.target.shape.size:
        return record.target.position, _integers(source, record.target, record.target.shape)
    raise source.error(
        "The response does not contain its shape",
        found="no feature named 'shape'",
        wanted=f"one with {_SHAPE_WANTED}",
        position=0,
    )


def _integers(source: ByteSource, tensor: Tensor, numbers: NDArray[Any]) -> tuple[int, ...]:
    """Return the numbers of a shape. Integers in a float tensor are accepted."""
    few = numbers[:5].tolist()
    if not 3 <= numbers.size <= 4 or not all(
        math.isfinite(number) and number == int(number) for number in few
    ):
        raise source.error(
            "The response has an invalid shape",
            found=f"{plural(numbers.size, 'number')}: {', '.join(map(str, few))}{', …' if numbers.size > 5 else ''}",
            wanted=_SHAPE_WANTED,
            position=tensor.position,
        )
    return tuple(int(number) for number in few)


def _at_least(count: int, classes: Classes) -> Classes:
    """Return `classes`, extended by numbered ones up to `count`."""
    if len(classes) >= count:
        return classes
    more = Classes.numbered(count)
    return Classes(
        classes.names + more.names[len(classes) :],
        classes.colors + more.colors[len(classes) :],
    )
