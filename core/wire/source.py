"""Bytes under reading, which know where in the answer they stood."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

from core.errors import DecodeError

_QUOTED = 120


@dataclass(frozen=True, slots=True, eq=False)
class ByteSource:
    """A run of bytes to decode.

    data:   read-only bytes; a view of the answer itself wherever they lie in it in one piece.
    locate: gives the offset in the answer of a position in `data`; called only to word an error.
    read:   counts what was read one by one in the whole answer, so that a reader can bound it.
    """

    data: memoryview
    locate: Callable[[int], int]
    read: Iterator[int] = field(default_factory=count)

    @classmethod
    def of_answer(cls, body: bytes | bytearray | memoryview) -> ByteSource:
        """A whole answer, not copied (but for an empty view, or one with gaps between its bytes)."""
        view = memoryview(body)
        if not (view.c_contiguous and view.nbytes):
            view = memoryview(view.tobytes())
        return cls(view.cast("B").toreadonly(), lambda position: position)

    def part(self, start: int, end: int) -> ByteSource:
        """The bytes from `start` up to `end`, not copied."""
        return ByteSource(self.data[start:end], lambda position: self.locate(start + position), self.read)

    def error(self, what: str, *, found: str, wanted: str, position: int) -> DecodeError:
        """A DecodeError that names the offset in the answer."""
        return DecodeError(what, found=found, wanted=wanted, offset=self.locate(position))


def described(data: memoryview) -> str:
    """The first bytes of `data` for an error: quoted where they are text, else in hexadecimal."""
    if not data:
        return "nothing"
    head = bytes(data[:_QUOTED])
    if head.startswith(b"\x89PNG"):
        return "a PNG"
    # A cut through a character of several bytes at the end is no reason to call the text binary.
    text = " ".join(head.decode("utf-8", "ignore").split())
    if text and text.isprintable() and len(text) >= len(head) // 2:
        return f"the text {text + ('…' if len(data) > _QUOTED else '')!r}"
    return f"bytes {head[:8].hex(' ')}{' …' if len(data) > 8 else ''}"
