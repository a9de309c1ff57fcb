"""Read SageMaker's `ResponseRecord` message, as the Semantic Segmentation algorithm fills it.

    Record        { map<string, Value> features = 1; ... }
    Value         { oneof { Float32Tensor = 2; Float64Tensor = 3; Int32Tensor = 7; Bytes = 9 } }
    ...Tensor     { repeated <number> values = 1; repeated uint64 keys = 2; repeated uint64 shape = 3 }

`features["target"]` holds the probabilities, `features["shape"]` the integers (1, C, H, W). The field numbers are
those of the descriptor in the SageMaker Python SDK (`sagemaker/amazon/record_pb2.py`, package `aialgs.data`).

Strategy: a message is a list of spans, since protobuf lets a writer send it in pieces; only the spans of the two
features are kept. As in protobuf, a later map entry of the same name replaces an earlier one, and the last member of
a `oneof` wins.
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
"""Pieces that one value may be sent in. All known writers send one."""

_LONGEST_NAME = 40
_LISTED_NAMES = 8


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """The numbers of one feature.

    numbers:  (n,) float32, float64 or int32; a view of the response for floats in one packed run.
    shape:    (d,) uint64, the shape in the tensor itself; empty if it has none.
    position: where the numbers (or, without any, the value) begin in the source.
    """

    numbers: NDArray[Any]
    shape: NDArray[np.uint64]
    position: int


@dataclass(frozen=True, slots=True, eq=False)
class ResponseRecord:
    """The two features of a response. shape: None where the response has no such feature."""

    target: Tensor
    shape: Tensor | None


def read_record(source: ByteSource) -> ResponseRecord:
    """Read the `ResponseRecord` of a response. Raises DecodeError where it is damaged or has no `target`."""
    features, names = _features(source)
    if _TARGET_NAME not in features:
        raise source.error(
            "The response has no probabilities",
            found=f"features named {', '.join(names)}" if names else "no feature",
            wanted="a feature named 'target'",
            position=0,
        )
    shape = features.get(_SHAPE_NAME)
    target = _tensor(source, features[_TARGET_NAME], "target")
    return ResponseRecord(target, _tensor(source, shape, "shape") if shape is not None else None)


def _features(source: ByteSource) -> tuple[dict[bytes, list[Span]], list[str]]:
    """Return the spans of the values of `target` and `shape`, and the first few feature names, for an error."""
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
    """Return the name (truncated to _LONGEST_NAME) and the value of a map entry, which come in either order."""
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
            "A value is sent in too many pieces",
            found=f"more than {_MAX_PIECES}",
            wanted="one piece",
            position=field.span.start,
        )
    pieces.append(field.span)


def _tensor(source: ByteSource, value: list[Span], name: str) -> Tensor:
    """Return the tensor in the pieces of a `Value`."""
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
            f"Feature {name!r} is not a tensor",
            found="bytes" if kind == _BYTES else "an empty value",
            wanted="a tensor of float32, float64 or int32",
            position=position,
        )
    return _numbers(source, pieces, _TENSORS[kind], name)


def _numbers(source: ByteSource, pieces: list[Span], kind: Kind, name: str) -> Tensor:
    collected = {
        _VALUES: Repeated(source, kind),
        _KEYS: Repeated(source, "uint64"),
        _SHAPE: Repeated(source, "uint64"),
    }
    for span in pieces:
        for field in fields(source, span):
            if field.number in collected:
                collected[field.number].add(field)
    values, keys = collected[_VALUES], collected[_KEYS]
    if keys.position is not None:
        raise source.error(
            f"Feature {name!r} is a sparse tensor",
            found=plural(len(keys.numbers()), "key"),
            wanted="a dense tensor, without keys",
            position=keys.position,
        )
    position = pieces[0].start if values.position is None else values.position
    return Tensor(values.numbers(), collected[_SHAPE].numbers(), position)
