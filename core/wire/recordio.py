"""RecordIO, the frame that Apache MXNet and SageMaker put around a message.

A part is: magic (uint32), header (uint32: a flag in the 3 high bits, a length in the 29 low ones), the payload, and
up to 3 bytes of padding to the next multiple of 4; all little-endian. A record is one part with flag 0, or several:
first (1), middle (2, any number), last (3). The writer splits a record where the magic itself stands in the payload
at a multiple of 4, and leaves these 4 bytes out; the reader puts them back between the parts. (dmlc-core,
`include/dmlc/recordio.h`.)

Strategy: `parts` walks the frames and checks everything, touching no payload. A whole record is handed on as a view
of the answer; only the parts of a split one are joined. What the padding holds does not matter, but it must be there.
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
    """One part of a record; positions in the source."""

    flag: int
    start: int
    end: int
    next: int


def is_framed(source: ByteSource) -> bool:
    """Whether the bytes begin with RecordIO's magic. No protobuf message can begin so."""
    return bytes(source.data[:4]) == MAGIC_BYTES


def record(source: ByteSource) -> ByteSource:
    """The payload of the one record in `source`.

    Raises DecodeError where there is none, more than one, a part of one, or something behind it.
    """
    first = _part(source, 0)
    if first.flag == _WHOLE:
        _check_end(source, first.next)
        return source.part(first.start, first.end)
    return _joined(source)


def parts(source: ByteSource) -> Iterator[RecordPart]:
    """The parts of the first record, in order. Raises DecodeError where one is damaged, missing or out of order."""
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
            "A RecordIO part is cut in its header",
            found=plural(left, "byte"),
            wanted=f"{_HEAD.size} bytes: magic, flag and length",
            position=position,
        )
    magic, header = _HEAD.unpack_from(source.data, position)
    if magic != MAGIC:
        raise source.error(
            "This is no RecordIO part",
            found=described(source.data[position:]),
            wanted=f"the magic {MAGIC_BYTES.hex(' ')}",
            position=position,
        )
    length = header & ((1 << _LENGTH_BITS) - 1)
    start = position + _HEAD.size
    end = start + length + (-length % 4)
    if end > len(source.data):
        raise source.error(
            "A RecordIO part is cut",
            found=f"{plural(len(source.data) - start, 'byte')} behind its header",
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
            "The answer holds several RecordIO records",
            found="a second record",
            wanted="one record: the answer to one picture",
            position=position,
        )
    if left:
        raise source.error(
            "Something stands behind the RecordIO record",
            found=f"{plural(left, 'byte')} more, {described(source.data[position:])}",
            wanted="the end of the answer",
            position=position,
        )


def _joined(source: ByteSource) -> ByteSource:
    """The parts of a split record in one piece, with the magic between them."""
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
    """Where in the answer a position of the joined payload stood. A magic put back counts to the part behind it.

    It walks the parts again, so that a record in a million parts needs no table of them.
    """
    joined = 0
    offset = 0
    for part in parts(source):
        offset = part.start + max(position - joined, 0)
        joined += part.end - part.start + len(MAGIC_BYTES)
        if position < joined - len(MAGIC_BYTES) or part.flag == _LAST:
            break
    return source.locate(offset)
