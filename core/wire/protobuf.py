"""Read the protobuf wire format, as far as a message of numbers needs it.

Strategy: `fields` walks the fields of one message and yields the position of each field's content; nothing is copied,
and a claimed length is not trusted before the bytes are known to exist. `Repeated` collects one repeated number
field: a single packed run stays a view of the response; several runs, or numbers one by one, are joined, since
protobuf defines them as equivalent.

Source: https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.errors import DecodeError
from core.text import plural
from core.wire.source import ByteSource

VARINT, FIXED64, LENGTH, GROUP, END_GROUP, FIXED32 = range(6)
"""Wire types, which determine where a field's content ends."""

_FIXED_SIZE = {FIXED64: 8, FIXED32: 4}
_MAX_VARINT = 10
_MAX_DEPTH = 100
"""Nested groups; the limit of the protobuf library."""

_MAX_TAGS = 1_000_000
"""Fields of a response that are read one by one. A real response has a handful, and each takes microseconds."""

_MAX_NUMBER = (1 << 29) - 1
_VARINT_BLOCK = 1 << 16
_MOST_AHEAD = 1 << 18

Kind = Literal["float", "double", "int32", "uint64"]
_KINDS: dict[Kind, tuple[int, np.dtype[Any]]] = {
    "float": (FIXED32, np.dtype("<f4")),
    "double": (FIXED64, np.dtype("<f8")),
    "int32": (VARINT, np.dtype("<i4")),
    "uint64": (VARINT, np.dtype("<u8")),
}


class Span(NamedTuple):
    """A range of bytes from `start` up to `end`, as positions in a source."""

    start: int
    end: int


class Field(NamedTuple):
    """One field of a message: its number, its wire type and the span of its content.

    Consecutive repeats of a fixed-size number make one Field: `span` is from the first content to the end of the
    last, with the tags of all but the first in between.
    """

    number: int
    wire_type: int
    span: Span
    repeats: int = 1


def fields(source: ByteSource, span: Span) -> Iterator[Field]:
    """Yield the fields of the message in `span`, in order. Raises DecodeError where one is damaged."""
    position = span.start
    while position < span.end:
        number, wire_type, start = _tag(source, position, span.end)
        if wire_type == END_GROUP:
            raise source.error(
                "A protobuf group ends that was never started",
                found=f"the end of group {number}",
                wanted="a field",
                position=position,
            )
        content, after = _content(source, number, wire_type, start, span.end)
        repeats = 1
        if wire_type in _FIXED_SIZE:
            size = after - position
            repeats = _repeats(source, Span(position, span.end), start - position, size)
            after = position + repeats * size
            content = Span(content.start, after)
        yield Field(number, wire_type, content, repeats)
        position = after


def varint(source: ByteSource, position: int, end: int) -> tuple[int, int]:
    """Return the base-128 number at `position`, at most 64 bits, and the position after it."""
    data = source.data
    if position < end and data[position] < 0x80:
        return data[position], position + 1
    value = 0
    for index in range(min(_MAX_VARINT, end - position)):
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position + index + 1
    left = end - position
    raise source.error(
        "A protobuf number is not terminated",
        found=f"{plural(min(left, _MAX_VARINT), 'byte')} with the continuation bit" if left else "the end",
        wanted=f"a number of 1 to {_MAX_VARINT} bytes",
        position=position,
    )


def _tag(source: ByteSource, position: int, end: int) -> tuple[int, int, int]:
    """Return the field number, the wire type, and the position after the tag."""
    if next(source.read) >= _MAX_TAGS:
        raise source.error(
            "The protobuf message has too many fields",
            found=f"more than {_MAX_TAGS:,}",
            wanted="packed numbers",
            position=position,
        )
    tag, start = varint(source, position, end)
    number, wire_type = tag >> 3, tag & 7
    if not 1 <= number <= _MAX_NUMBER or wire_type > FIXED32:
        raise source.error(
            "The data is not a protobuf field",
            found=f"field number {number}, wire type {wire_type}",
            wanted=f"a field number of 1 to {_MAX_NUMBER} and a wire type of 0 to 5",
            position=position,
        )
    return number, wire_type, start


def _content(source: ByteSource, number: int, wire_type: int, start: int, end: int) -> tuple[Span, int]:
    """Return the span of a field's content, and the position after the field."""
    if wire_type == VARINT:
        stop = varint(source, start, end)[1]
    elif wire_type == LENGTH:
        length, start = varint(source, start, end)
        stop = start + length
    elif wire_type == GROUP:
        return _group(source, number, start, end)
    else:
        stop = start + _FIXED_SIZE[wire_type]
    if stop > end:
        raise source.error(
            f"Protobuf field {number} is longer than its message",
            found=f"{plural(end - start, 'byte')} left",
            wanted=plural(stop - start, "byte"),
            position=start,
        )
    return Span(start, stop), stop


def _group(source: ByteSource, number: int, start: int, end: int) -> tuple[Span, int]:
    """Return a group's content, up to its end tag; nested groups are counted, without recursion."""
    open_groups = [number]
    position = start
    while True:
        at = position
        inner, wire_type, position = _tag(source, at, end)
        if wire_type == GROUP and len(open_groups) < _MAX_DEPTH:
            open_groups.append(inner)
        elif wire_type == END_GROUP and inner == open_groups[-1]:
            open_groups.pop()
        elif wire_type in (GROUP, END_GROUP):
            raise source.error(
                "Protobuf groups are not nested properly",
                found=f"the {'end' if wire_type == END_GROUP else 'start'} of group {inner}",
                wanted=f"the end of group {open_groups[-1]}, at most {_MAX_DEPTH} levels deep",
                position=at,
            )
        else:
            position = _content(source, inner, wire_type, position, end)[1]
        if not open_groups:
            return Span(start, at), position


def _repeats(source: ByteSource, span: Span, tag_size: int, stride: int) -> int:
    """Return how many times in a row the field at the start of `span` occurs, with the same tag; at least 1.

    The window doubles each time, so the work is proportional to the result.
    """
    start, end = span
    tag = source.data[start : start + tag_size]
    if source.data[start + stride : start + stride + tag_size] != tag:
        return 1
    raw = np.frombuffer(source.data[start:end], np.uint8)
    most = len(raw) // stride
    count, ahead = 1, 16
    while count < most:
        rows = raw[count * stride : min(count + ahead, most) * stride].reshape(-1, stride)
        same = (rows[:, :tag_size] == raw[:tag_size]).all(axis=1)
        if not same.all():
            return count + int(np.argmin(same))
        count, ahead = count + len(rows), min(ahead * 2, _MOST_AHEAD)
    return count


class Repeated:
    """The numbers of one repeated field, packed or one by one, in order."""

    def __init__(self, source: ByteSource, kind: Kind) -> None:
        self._source = source
        self._wire_type, self._dtype = _KINDS[kind]
        self._size = 0 if self._wire_type == VARINT else self._dtype.itemsize
        self._raw: memoryview | bytes | bytearray = b""
        self.position: int | None = None
        """Position of the first number; None if there is none."""

    def add(self, field: Field) -> None:
        """Add the content of one field. As in protobuf, a field of another wire type is unknown and skipped."""
        if field.wire_type == LENGTH:
            self._check_whole(field.span)
        elif field.wire_type != self._wire_type:
            return
        content = self._content(field)
        if not content:
            return
        if self.position is None:
            self.position, self._raw = field.span.start, content
            return
        if not isinstance(self._raw, bytearray):
            self._raw = bytearray(self._raw)
        self._raw += content

    def numbers(self) -> NDArray[Any]:
        """Return the numbers, 1-D, in the dtype of their kind. Floats in one packed run are a read-only view."""
        raw = np.frombuffer(self._raw, np.uint8)
        return self._integers(raw) if self._wire_type == VARINT else raw.view(self._dtype)

    def _content(self, field: Field) -> memoryview | bytes:
        """Return the bytes of a field's numbers, without the tags between repeats."""
        start, end = field.span
        if field.repeats == 1:
            return self._source.data[start:end]
        tag_size = (end - start - self._size) // (field.repeats - 1) - self._size
        raw = np.frombuffer(self._source.data[start - tag_size : end], np.uint8)
        return raw.reshape(field.repeats, -1)[:, tag_size:].tobytes()

    def _check_whole(self, span: Span) -> None:
        size = span.end - span.start
        if size and (size % self._size if self._size else self._source.data[span.end - 1] >= 0x80):
            raise self._source.error(
                "Packed protobuf numbers end in the middle of a number",
                found=plural(size, "byte"),
                wanted=f"a multiple of {self._size}" if self._size else "a last byte below 128",
                position=span.start,
            )

    def _integers(self, raw: NDArray[np.uint8]) -> NDArray[Any]:
        """Decode varints in blocks, so that only the indices of a block are needed in addition to the result."""
        numbers = np.empty(np.count_nonzero(raw < 0x80), self._dtype)
        done = position = 0
        while position < len(raw):
            block = raw[position : position + _VARINT_BLOCK]
            ends = np.flatnonzero(block < 0x80) + 1
            lengths = np.diff(ends, prepend=0)
            if not len(ends) or lengths.max() > _MAX_VARINT:
                raise self._too_long()
            # Truncated to the low bits of the type, as protobuf does: int32 -1 is sent as 64 bits.
            numbers[done : done + len(ends)] = _varint_values(block, ends - lengths, lengths).astype(
                self._dtype
            )
            done += len(ends)
            position += int(ends[-1])
        return numbers

    def _too_long(self) -> DecodeError:
        return self._source.error(
            "A packed protobuf number is too long",
            found=f"more than {_MAX_VARINT} bytes",
            wanted=f"1 to {_MAX_VARINT}",
            position=self.position or 0,
        )


def _varint_values(
    raw: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """Return the values of complete varints that begin at `starts`, (n,) uint64."""
    values = np.zeros(len(starts), np.uint64)
    for index in range(int(lengths.max())):
        longer = lengths > index
        bits = (raw[starts[longer] + index] & 0x7F).astype(np.uint64)
        values[longer] |= bits << np.uint64(7 * index)
    return values
