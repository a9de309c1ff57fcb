"""RecordIO, the framing of records in a channel's pipe: written by SageMaker, read by the algorithm.

A part is the magic number, a flag (3 bits) and a length (29 bits), the payload, and padding to a multiple of 4. A
payload with the magic number at a multiple of 4 is split there into a first, middle and last parts.

Source: dmlc-core, `include/dmlc/recordio.h`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

MAGIC = struct.pack("<I", 0xCED7230A)
_HEAD = struct.Struct("<4sI")
_BITS = 29
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)


class RecordError(ValueError):
    """The data is not RecordIO."""


def framed(payload: bytes) -> bytes:
    """Return a record. Raises ValueError for a payload above 512 MiB."""
    pieces = _pieces(payload)
    if len(pieces) == 1:
        return _part(_WHOLE, payload)
    flags = [_FIRST, *[_MIDDLE] * (len(pieces) - 2), _LAST]
    return b"".join(_part(flag, piece) for flag, piece in zip(flags, pieces, strict=True))


def _pieces(payload: bytes) -> list[bytes]:
    """Split a payload at each magic number whose position is a multiple of 4, without it."""
    pieces, start, position = [], 0, payload.find(MAGIC)
    while position != -1:
        if position % 4 == 0:
            pieces.append(payload[start:position])
            start = position + 4
            position = payload.find(MAGIC, start)
        else:
            position = payload.find(MAGIC, position + 1)
    return [*pieces, payload[start:]]


def _part(flag: int, payload: bytes) -> bytes:
    if len(payload) >= 1 << _BITS:
        raise ValueError(f"a record of {len(payload):,} bytes is too large for RecordIO")
    return _HEAD.pack(MAGIC, flag << _BITS | len(payload)) + payload + bytes(-len(payload) % 4)


def records(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the records of a stream until its end. Raises RecordError for anything else."""
    while (head := stream.read(_HEAD.size)) != b"":
        flag, payload = _next_part(stream, head)
        if flag == _WHOLE:
            yield payload
            continue
        if flag != _FIRST:
            raise RecordError("The Record IO header has an unexpected flag.")
        parts = [payload]
        while flag != _LAST:
            flag, payload = _next_part(stream, stream.read(_HEAD.size))
            if flag not in {_MIDDLE, _LAST}:
                raise RecordError("The Record IO header has an unexpected flag.")
            parts.append(payload)
        yield MAGIC.join(parts)


def _next_part(stream: BinaryIO, head: bytes) -> tuple[int, bytes]:
    """Return the flag and the payload of the part with this header. Raises RecordError."""
    if head[:4] != MAGIC[: len(head)]:
        raise RecordError("The Record IO header does not start with the magic number.")
    if len(head) < _HEAD.size:
        raise RecordError("The Record IO header is truncated.")
    header = _HEAD.unpack(head)[1]
    length = header & ((1 << _BITS) - 1)
    padded = length + -length % 4
    payload = stream.read(padded)
    if len(payload) < padded:
        raise RecordError("The Record IO record is truncated.")
    return header >> _BITS, payload[:length]
