"""CBOR (RFC 8949) as the protocol smithy-rpc-v2-cbor uses it, which version 2 of the AWS CLI speaks to CloudWatch.

Requests are decoded without a shape: a time (tag 1) becomes seconds since 1970, its form everywhere in the sandbox.
Responses are encoded by botocore's output shape. Source: Smithy specification, "RPC v2 CBOR".
"""

from __future__ import annotations

import io
import math
import struct
from typing import Any

from botocore.model import Shape

from sandbox.http.protocol import ApiError

PROTOCOL = "rpc-v2-cbor"
CONTENT_TYPE = "application/cbor"
_INDEFINITE = 31
_BREAK = object()
_DEPTH = 64
_SIMPLE: dict[int, Any] = {20: False, 21: True, 22: None, 23: None}
_FLOATS = {25: ">e", 26: ">f", 27: ">d"}
_SIZES = {24: 1, 25: 2, 26: 4, 27: 8}
_WHOLE = {"integer", "long"}


# -- decoding


def decode(body: bytes) -> Any:
    """Decode a whole body; an empty one is an empty map. Raises ApiError SerializationException."""
    if not body:
        return {}
    stream = io.BytesIO(body)
    try:
        value = _item(stream, -1)
    except (ValueError, struct.error, TypeError, OverflowError) as problem:
        raise ApiError("SerializationException", f"The body is not CBOR: {problem}") from problem
    if stream.read(1):
        raise ApiError("SerializationException", "The body is not CBOR: there is more after its end.")
    return value


def _read(stream: io.BytesIO, depth: int) -> Any:
    """Read one item. Raises ValueError."""
    if depth > _DEPTH:
        raise ValueError("it is nested too deeply")
    first = _take(stream, 1)[0]
    major, info = first >> 5, first & 31
    if major == 7:
        return _read_simple(stream, info)
    if info == _INDEFINITE:
        return _read_indefinite(stream, major, depth)
    length = _read_length(stream, info)
    if major == 0:
        return length
    if major == 1:
        return -1 - length
    if major == 2:
        return _take(stream, length)
    if major == 3:
        return _take(stream, length).decode()
    if major == 4:
        return [_item(stream, depth) for _ in range(length)]
    if major == 5:
        return {_key(stream, depth): _item(stream, depth) for _ in range(length)}
    value = _item(stream, depth)
    if length == 1 and not (isinstance(value, int | float) and math.isfinite(value)):
        raise ValueError("a time is not a number")
    return value


def _item(stream: io.BytesIO, depth: int) -> Any:
    """Read one item below another, which is not the end of one without a length. Raises ValueError."""
    value = _read(stream, depth + 1)
    if value is _BREAK:
        raise ValueError("a break is out of place")
    return value


def _read_simple(stream: io.BytesIO, info: int) -> Any:
    """Read a float, a boolean, null or the end of an indefinite item. Raises ValueError."""
    if info == _INDEFINITE:
        return _BREAK
    if info in _FLOATS:
        return struct.unpack(_FLOATS[info], _take(stream, _SIZES[info]))[0]
    if info not in _SIMPLE:
        raise ValueError(f"the simple value {info} is unknown")
    return _SIMPLE[info]


def _read_indefinite(stream: io.BytesIO, major: int, depth: int) -> Any:
    """Read an item without a length: its parts until the break. Raises ValueError."""
    parts: list[Any] = []
    while (part := _read(stream, depth + 1)) is not _BREAK:
        parts.append(part)
    if major == 2:
        return b"".join(parts)
    if major == 3:
        return "".join(parts)
    if major == 4:
        return parts
    if major == 5 and len(parts) % 2 == 0:
        return dict(zip(parts[::2], parts[1::2], strict=True))
    raise ValueError("an item without a length is malformed")


def _read_length(stream: io.BytesIO, info: int) -> int:
    """Read an item's number or length. Raises ValueError."""
    if info < 24:
        return info
    if info not in _SIZES:
        raise ValueError("a length is malformed")
    return int.from_bytes(_take(stream, _SIZES[info]), "big")


def _key(stream: io.BytesIO, depth: int) -> str:
    """Read a key. Raises ValueError."""
    key = _item(stream, depth)
    if not isinstance(key, str):
        raise ValueError("a key is not text")  # noqa: TRY004 - of a body
    return key


def _take(stream: io.BytesIO, length: int) -> bytes:
    """Read exactly this many bytes. Raises ValueError."""
    data = stream.read(length)
    if len(data) < length:
        raise ValueError("it ends too early")
    return data


# -- encoding


def encode(shape: Shape | None, value: Any) -> bytes:
    """Encode a result, reduced to the members of its output shape."""
    out = bytearray()
    if shape is None:
        out += _head(5, 0)
    else:
        _write(out, shape, value)
    return bytes(out)


def _write(out: bytearray, shape: Shape, value: Any) -> None:
    """Write one value."""
    kind = shape.type_name
    if kind == "structure":
        members = {name: item for name, item in value.items() if item is not None and name in shape.members}
        out += _head(5, len(members))
        for name, item in members.items():
            _write_text(out, name)
            _write(out, shape.members[name], item)
    elif kind == "map":
        out += _head(5, len(value))
        for name, item in value.items():
            _write_text(out, name)
            _write(out, shape.value, item)
    elif kind == "list":
        out += _head(4, len(value))
        for item in value:
            _write(out, shape.member, item)
    elif kind == "boolean":
        out += b"\xf5" if value else b"\xf4"
    elif kind in _WHOLE:
        out += _head(0, int(value)) if value >= 0 else _head(1, -1 - int(value))
    elif kind == "string":
        _write_text(out, str(value))
    elif kind == "blob":
        out += _head(2, len(value)) + value
    else:
        out += (_head(6, 1) if kind == "timestamp" else b"") + b"\xfb" + struct.pack(">d", value)


def _write_text(out: bytearray, text: str) -> None:
    """Write a text."""
    data = text.encode()
    out += _head(3, len(data)) + data


def _head(major: int, length: int) -> bytes:
    """Return the head of an item, in its shortest form."""
    if length < 24:
        return bytes([major << 5 | length])
    for info, size in _SIZES.items():
        if length < 256**size:
            return bytes([major << 5 | info]) + length.to_bytes(size, "big")
    raise OverflowError(f"{length} is too long for CBOR")
