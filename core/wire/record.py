"""SageMaker's `ResponseRecord` message, as the Semantic Segmentation algorithm fills it.

    Record        { map<string, Value> features = 1; ... }
    Value         { oneof { Float32Tensor = 2; Float64Tensor = 3; Int32Tensor = 7; Bytes = 9 } }
    ...Tensor     { repeated <number> values = 1; repeated uint64 keys = 2; repeated uint64 shape = 3 }

`features["target"]` holds the probabilities, `features["shape"]` the integers (1, C, H, W). The numbers are those of
the descriptor in the SageMaker SDK (`sagemaker/amazon/record_pb2.py`, package `aialgs.data`).

Strategy: a message is a list of spans, since protobuf lets a writer send it in pieces; only the spans of the two
features are kept. As in protobuf, a later map entry of the same name replaces an earlier one, and in the `oneof` the
last kind wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.text import plural
from core.wire.protobuf import LENGTH, Field, Kind, Repeated, Span, fields
from core.wire.source import ByteSource

_FEATURES = 1
_KEY, _VALUE = 1, 2
_VALUES, _KEYS, _SHAPE = 1, 2, 3
_TENSORS: dict[int, Kind] = {2: "float", 3: "double", 7: "int32"}
_BYTES = 9

_TARGET_NAME, _SHAPE_NAME = b"target", b"shape"
_MAX_PIECES = 1000
"""Pieces that one value may come in. Every writer known sends one."""

_LONGEST_NAME = 40
_LISTED_NAMES = 8


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """Numbers of one feature.

    numbers:  (n,) float32, float64 or int32; a view of the answer for floats in one packed run.
    shape:    (d,) uint64, the shape that the tensor itself claims; empty where it claims none.
    position: where in the source the numbers (or, without any, the value) begin.
    """

    numbers: NDArray[Any]
    shape: NDArray[np.uint64]
    position: int


@dataclass(frozen=True, slots=True, eq=False)
class ResponseRecord:
    """The two features of an answer; `shape` is None where the answer has no such feature."""

    target: Tensor
    shape: Tensor | None


def read_record(source: ByteSource) -> ResponseRecord:
    """The answer's `ResponseRecord`. Raises DecodeError where it is damaged or has no `target`."""
    features, names = _features(source)
    if _TARGET_NAME not in features:
        raise source.error(
            "The answer has no probabilities",
            found=f"features named {', '.join(names)}" if names else "no feature at all",
            wanted="a feature named 'target'",
            position=0,
        )
    shape = features.get(_SHAPE_NAME)
    target = _tensor(source, features[_TARGET_NAME], "target")
    return ResponseRecord(target, _tensor(source, shape, "shape") if shape is not None else None)


def _features(source: ByteSource) -> tuple[dict[bytes, list[Span]], list[str]]:
    """The spans of the values of `target` and `shape`, and the first few names of all, for an error."""
    features: dict[bytes, list[Span]] = {}
    names: list[str] = []
    for field in fields(source, Span(0, len(source.data))):
        if field.number == _FEATURES and field.wire_type == LENGTH:
            name, value = _entry(source, field.span)
            if name in (_TARGET_NAME, _SHAPE_NAME):
                features[name] = value
            if len(names) < _LISTED_NAMES:
                names.append(repr(name.decode("utf-8", "replace")))
    return features, names


def _entry(source: ByteSource, span: Span) -> tuple[bytes, list[Span]]:
    """Name (cut, if longer than any that we look for) and value of a map entry, in either order."""
    name = b""
    value: list[Span] = []
    for field in fields(source, span):
        if field.wire_type != LENGTH:
            continue
        if field.number == _KEY:
            start, end = field.span
            name = bytes(source.data[start : min(end, start + _LONGEST_NAME)])
        elif field.number == _VALUE:
            _add_piece(source, value, field)
    return name, value


def _add_piece(source: ByteSource, pieces: list[Span], field: Field) -> None:
    if len(pieces) == _MAX_PIECES:
        raise source.error(
            "A value comes in too many pieces",
            found=f"more than {_MAX_PIECES}",
            wanted="one piece",
            position=field.span.start,
        )
    pieces.append(field.span)


def _tensor(source: ByteSource, value: list[Span], name: str) -> Tensor:
    """The tensor that the pieces of a `Value` hold."""
    kind, pieces = 0, list[Span]()
    for span in value:
        for field in fields(source, span):
            if field.wire_type != LENGTH or not (field.number in _TENSORS or field.number == _BYTES):
                continue
            if field.number != kind:
                kind, pieces = field.number, []
            _add_piece(source, pieces, field)
    position = pieces[0].start if pieces else value[0].start if value else 0
    if kind not in _TENSORS:
        raise source.error(
            f"Feature {name!r} holds no numbers",
            found="bytes" if kind == _BYTES else "an empty value",
            wanted="a tensor of float32, float64 or int32",
            position=position,
        )
    return _numbers(source, pieces, _TENSORS[kind], name)


def _numbers(source: ByteSource, pieces: list[Span], kind: Kind, name: str) -> Tensor:
    gathered = {
        _VALUES: Repeated(source, kind),
        _KEYS: Repeated(source, "uint64"),
        _SHAPE: Repeated(source, "uint64"),
    }
    for span in pieces:
        for field in fields(source, span):
            if field.number in gathered:
                gathered[field.number].add(field)
    values, keys = gathered[_VALUES], gathered[_KEYS]
    if keys.position is not None:
        raise source.error(
            f"Feature {name!r} is a sparse tensor",
            found=plural(len(keys.numbers()), "key"),
            wanted="a dense tensor, without keys",
            position=keys.position,
        )
    position = pieces[0].start if values.position is None else values.position
    return Tensor(values.numbers(), gathered[_SHAPE].numbers(), position)
