"""The bytes that a decoder reads, with their offsets in the response."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

from core.errors import DecodeError

_QUOTED = 120


@dataclass(frozen=True, slots=True, eq=False)
class ByteSource:
    """A range of bytes to decode.

    data:   read-only bytes; a view of the response where they are contiguous in it.
    locate: returns the offset in the response of a position in `data`; called only for an error.
    read:   counts the fields read one by one in the whole response, so that a reader can limit them.
    """

    data: memoryview
    locate: Callable[[int], int]
    read: Iterator[int] = field(default_factory=count)

    @classmethod
    def of_response(cls, body: bytes | bytearray | memoryview) -> ByteSource:
        """Return the source of a whole response, not copied (except an empty or non-contiguous view)."""
        view = memoryview(body)
        if not (view.c_contiguous and view.nbytes):
            view = memoryview(view.tobytes())
        return cls(view.cast("B").toreadonly(), lambda position: position)

    def part(self, start: int, end: int) -> ByteSource:
        """Return the bytes from `start` up to `end`, not copied."""
        return ByteSource(self.data[start:end], lambda position: self.locate(start + position), self.read)

    def error(self, what: str, *, found: str, wanted: str, position: int) -> DecodeError:
        """Return a DecodeError with the offset in the response."""
        return DecodeError(what, found=found, wanted=wanted, offset=self.locate(position))


def described(data: memoryview) -> str:
    """Return the first bytes of `data` for an error: quoted if they are text, else in hexadecimal."""
    if not data:
        return "nothing"
    head = bytes(data[:_QUOTED])
    if head.startswith(b"\x89PNG"):
        return "a PNG"
    # Text is still text where it is truncated in the middle of a multibyte character.
    text = " ".join(head.decode("utf-8", "ignore").split())
    if text and text.isprintable() and len(text) >= len(head) // 2:
        return f"the text {text + ('…' if len(data) > _QUOTED else '')!r}"
    return f"bytes {head[:8].hex(' ')}{' …' if len(data) > 8 else ''}"
