"""Read RecordIO, the framing that Apache MXNet and SageMaker use for messages.

A part is: magic number (uint32), header (uint32: a flag in the 3 high bits, a length in the 29 low ones), the
payload, and up to 3 bytes of padding to the next multiple of 4; all little-endian. A record is one part with flag 0,
or
several: first (1), middle (2, any number), last (3). The writer splits a record where the magic number occurs in the
payload at a multiple of 4, and omits these 4 bytes; the reader inserts them between the parts.

Source: dmlc-core, `include/dmlc/recordio.h`.

Strategy: `parts` walks the frames and checks everything without reading the payload. A whole record is returned as a
view of the response; only the parts of a split one are joined. The padding may hold anything, but must exist.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from core.text import plural
from core.wire.source import ByteSource, described

MAGIC = 0xCED7230A
MAGIC_BYTES = struct.pack("<I", MAGIC)

_HEAD = struct.Struct("<II")
_LENGTH_BITS = 29
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)
_FLAG_NAMES = {
    _WHOLE: "a whole record",
    _FIRST: "a first part",
    _MIDDLE: "a middle part",
    _LAST: "a last part",
}


class RecordPart(NamedTuple):
    """One part of a record. start, end, next: positions of its payload and of the next part in the source."""

    flag: int
    start: int
    end: int
    next: int


def is_framed(source: ByteSource) -> bool:
    """Return whether the bytes begin with RecordIO's magic number, which a protobuf message cannot."""
    return bytes(source.data[:4]) == MAGIC_BYTES


def record(source: ByteSource) -> ByteSource:
    """Return the payload of the one record in `source`.

    Raises DecodeError where there is none, more than one, a part of one, or data after it.
    """
    first = _part(source, 0)
    if first.flag == _WHOLE:
        _check_end(source, first.next)
        return source.part(first.start, first.end)
    return _joined(source)


def parts(source: ByteSource) -> Iterator[RecordPart]:
    """Yield the parts of the first record. Raises DecodeError where one is damaged, missing or out of order."""
    part = _part(source, 0)
    _check_flag(source, part, 0, (_WHOLE, _FIRST))
    yield part
    while part.flag in (_FIRST, _MIDDLE):
        position = part.next
        part = _part(source, position)
        _check_flag(source, part, position, (_MIDDLE, _LAST))
        yield part


def _part(source: ByteSource, position: int) -> RecordPart:
    left = len(source.data) - position
    if left < _HEAD.size:
        raise source.error(
            "The header of a RecordIO part is truncated",
            found=plural(left, "byte"),
            wanted=f"{_HEAD.size} bytes: magic number, flag and length",
            position=position,
        )
    magic, header = _HEAD.unpack_from(source.data, position)
    if magic != MAGIC:
        raise source.error(
            "The data is not a RecordIO part",
            found=described(source.data[position:]),
            wanted=f"the magic number {MAGIC_BYTES.hex(' ')}",
            position=position,
        )
    length = header & ((1 << _LENGTH_BITS) - 1)
    start = position + _HEAD.size
    end = start + length + (-length % 4)
    if end > len(source.data):
        raise source.error(
            "A RecordIO part is truncated",
            found=f"{plural(len(source.data) - start, 'byte')} after its header",
            wanted=f"{end - start:,}, of which {-length % 4} are padding",
            position=start,
        )
    return RecordPart(header >> _LENGTH_BITS, start, start + length, end)


def _check_flag(source: ByteSource, part: RecordPart, position: int, wanted: tuple[int, ...]) -> None:
    if part.flag not in wanted:
        raise source.error(
            "A RecordIO part is out of order",
            found=f"flag {part.flag} ({_FLAG_NAMES.get(part.flag, 'unknown')})",
            wanted=" or ".join(f"{flag} ({_FLAG_NAMES[flag]})" for flag in wanted),
            position=position + 4,
        )


def _check_end(source: ByteSource, position: int) -> None:
    left = len(source.data) - position
    if left and is_framed(source.part(position, len(source.data))):
        raise source.error(
            "The response has several RecordIO records",
            found="a second record",
            wanted="one record: the response to one image",
            position=position,
        )
    if left:
        raise source.error(
            "There is data after the RecordIO record",
            found=f"{plural(left, 'byte')} more, {described(source.data[position:])}",
            wanted="the end of the response",
            position=position,
        )


def _joined(source: ByteSource) -> ByteSource:
    """Return the parts of a split record as one payload, with the magic number between them."""
    payload = bytearray()
    end = 0
    for part in parts(source):
        if part.flag != _FIRST:
            payload += MAGIC_BYTES
        payload += source.data[part.start : part.end]
        end = part.next
    _check_end(source, end)
    return ByteSource(memoryview(payload).toreadonly(), lambda position: _offset(source, position))


def _offset(source: ByteSource, position: int) -> int:
    """Return the offset in the response of a position in the joined payload.

    An inserted magic number counts as part of what follows it. Walks the parts again, so that a record of a million
    parts needs no table of them.
    """
    joined = 0
    offset = 0
    for part in parts(source):
        offset = part.start + max(position - joined, 0)
        joined += part.end - part.start + len(MAGIC_BYTES)
        if position < joined - len(MAGIC_BYTES) or part.flag == _LAST:
            break
    return source.locate(offset)
