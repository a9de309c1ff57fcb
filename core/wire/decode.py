"""The door to the wire: an endpoint's answer in, a `Segmentation` out.

    application/x-recordio-protobuf    one RecordIO frame around a `ResponseRecord`
    application/x-protobuf             the same, as AWS sends it, or a bare `ResponseRecord`
    image/png                          a grey or palette PNG of class ids

Nothing is believed that is not there: whatever lengths and shapes an answer claims, the memory used stays within a
small multiple of the answer's own size. Whatever is wrong with it is a DecodeError.
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
    """What an endpoint said about one picture.

    body:         the answer, whole. Probabilities sent as packed float32 are not copied: keep it unchanged as long
                  as the `Segmentation` lives.
    content_type: the answer's own; capital letters and parameters behind `;` do not matter.
    classes:      names and colours of the model's classes. Where there are too few, the rest is numbered
                  (`class 7`); where there are none, 21 planes of probabilities are taken for Pascal VOC's, anything
                  else is numbered. A PNG does not say how many classes there are: without `classes` they are
                  numbered up to the greatest id in it, 255 (ignore) aside.

    Raises DecodeError, with what was found, what was wanted and the offset.
    """
    source = ByteSource.of_answer(body)
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type == PNG:
        return _from_png(source, classes)
    if media_type == RECORDIO or (media_type == PROTOBUF and recordio.is_framed(source)):
        return _from_record(recordio.record(source), classes)
    if media_type == PROTOBUF:
        return _from_record(source, classes)
    raise DecodeError(
        "The answer is of a type that holds no segmentation",
        found=f"content type {content_type!r} with {described(source.data)}",
        wanted=f"{RECORDIO}, {PROTOBUF} or {PNG}",
    )


def decoded_bytes(body: bytes | bytearray | memoryview, content_type: str) -> int:
    """Return about how much memory `decode` takes next to the answer itself, read from its first bytes.

    A PNG of few bytes may hold millions of pixels; everything else is as large as its bytes. 0 for a damaged header.
    """
    if (content_type or "").partition(";")[0].strip().lower() != PNG:
        return len(body)
    return png.BYTES_PER_PIXEL * min(png.claimed_pixels(ByteSource.of_answer(body)), png.MAX_PIXELS)


def _from_png(source: ByteSource, classes: Classes | None) -> Segmentation:
    labels = png.read_labels(source)
    counts = pixel_counts(labels)
    ids = np.flatnonzero(counts[:MAX_CLASSES])
    count = int(ids[-1]) + 1 if len(ids) else 1
    beyond = int(counts[MAX_CLASSES:IGNORE].sum())
    problems = (
        (
            f"{plural(beyond, 'pixel')} hold {MAX_CLASSES}, which is no class id: these are 0 to {MAX_CLASSES - 1}.",
        )
        if beyond
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
        _at_least(count, classes or Classes.for_count(count)),
        best.problems,
    )


def _as_float32(numbers: NDArray[Any]) -> NDArray[np.float32]:
    """The numbers as float32; not copied if they are. What float32 cannot hold becomes infinite, and is reported."""
    with np.errstate(over="ignore", invalid="ignore"):
        return numbers.astype("<f4", copy=False)


def _dimensions(source: ByteSource, record: ResponseRecord) -> tuple[int, int, int]:
    """C, H and W, checked against the number of values."""
    target = record.target
    position, claimed = _claimed_shape(source, record)
    shape = claimed[1:] if len(claimed) == 4 and claimed[0] == 1 else claimed
    if len(shape) != 3 or min(shape) < 1:
        raise source.error(
            "The answer's shape cannot be used", found=str(claimed), wanted=_SHAPE_WANTED, position=position
        )
    if not _MIN_CLASSES <= shape[0] <= MAX_CLASSES:
        raise source.error(
            "The answer's number of classes cannot be used",
            found=plural(shape[0], "class", "classes"),
            wanted=f"{_MIN_CLASSES} to {MAX_CLASSES} classes",
            position=position,
        )
    if math.prod(shape) != target.numbers.size:
        raise source.error(
            "The answer's shape and its values do not agree",
            found=plural(target.numbers.size, "value"),
            wanted=f"{math.prod(shape):,} for the shape {claimed}",
            position=target.position,
        )
    return shape[0], shape[1], shape[2]


def _claimed_shape(source: ByteSource, record: ResponseRecord) -> tuple[int, tuple[int, ...]]:
    """Where the shape stands, and the shape: that of the feature, else the one that the tensor itself carries."""
    if record.shape is not None:
        return record.shape.position, _integers(source, record.shape, record.shape.numbers)
    if record.target.shape.size:
        return record.target.position, _integers(source, record.target, record.target.shape)
    raise source.error(
        "The answer does not say its shape",
        found="no feature named 'shape'",
        wanted=f"one that holds {_SHAPE_WANTED}",
        position=0,
    )


def _integers(source: ByteSource, tensor: Tensor, numbers: NDArray[Any]) -> tuple[int, ...]:
    """The numbers of a shape. Whole numbers in a float tensor will do."""
    few = numbers[:5].tolist()
    if not 3 <= numbers.size <= 4 or not all(
        math.isfinite(number) and number == int(number) for number in few
    ):
        raise source.error(
            "The answer's shape cannot be used",
            found=f"{plural(numbers.size, 'number')}: {', '.join(map(str, few))}{', …' if numbers.size > 5 else ''}",
            wanted=_SHAPE_WANTED,
            position=tensor.position,
        )
    return tuple(int(number) for number in few)


def _at_least(count: int, classes: Classes) -> Classes:
    """`classes`, and numbered ones behind them up to `count`."""
    if len(classes) >= count:
        return classes
    more = Classes.numbered(count)
    return Classes(
        classes.names + more.names[len(classes) :],
        classes.colors + more.colors[len(classes) :],
    )
