"""Read the names and shapes of the arrays in an MXNet parameter file; the values are skipped.

The layout is that of `mx.nd.save` (Apache MXNet 1.x, `src/ndarray/ndarray.cc`), little-endian:

    0x112, 0, n           3 x uint64
    n arrays              magic uint32, storage int32 (0: dense), dimensions int32, sizes int64...,
                          device 2 x int32, dtype int32, the values
    m, m names            uint64, each as length uint64 and UTF-8
"""

from __future__ import annotations

import struct
from math import prod
from typing import Protocol

from core.errors import DecodeError

Shape = tuple[int, ...]

FILE, V1, V2, V3 = 0x112, 0xF993FAC8, 0xF993FAC9, 0xF993FACA
ITEM_BYTES = {0: 4, 1: 8, 2: 2, 3: 1, 4: 4, 5: 1, 6: 8, 7: 1, 12: 2}
"""Bytes per value by dtype: float32, float64, float16, uint8, int32, int8, int64, bool, bfloat16."""

MAX_ARRAYS, MAX_DIMENSIONS, MAX_NAME = 10_000, 8, 1_000
CHUNK = 1 << 16


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """Read at most `size` bytes; none at the end."""


def read_shapes(source: Readable, size: int) -> dict[str, Shape]:
    """Return array name -> shape; a name is empty where the file has none.

    size: bytes of the file.

    Raises DecodeError with the offset where the file is truncated or is not such a file. Bytes after the last name
    are ignored.
    """
    reader = _Reader(source, size)
    if reader.number("<Q", "the file's magic number") != FILE:
        raise DecodeError("model parameters", found="another kind of file", wanted="MXNet's 0x112", offset=0)
    reader.number("<Q", "the reserved field")
    shapes = [_array(reader) for _ in range(reader.count(MAX_ARRAYS, "arrays"))]
    names = [reader.text() for _ in range(reader.count(MAX_ARRAYS, "names"))]
    if len(names) != len(shapes):
        raise reader.error(f"{len(names)} names", f"one for each of {len(shapes)} arrays")
    return dict(zip(names, shapes, strict=True))


def _array(reader: _Reader) -> Shape:
    """Return the shape of one array; its values are skipped."""
    magic = reader.number("<I", "an array's magic number")
    if magic not in (V1, V2, V3):
        raise reader.error(f"the magic number {magic:#x}", "that of an array")
    storage = reader.number("<i", "a storage type") if magic != V1 else 0
    if storage != 0:
        raise reader.error(f"storage type {storage}", "a dense array")
    rank = reader.number("<i", "the number of dimensions")
    if not 0 <= rank <= MAX_DIMENSIONS:
        raise reader.error(f"{rank} dimensions", f"0 to {MAX_DIMENSIONS}")
    shape = tuple(reader.number("<q", "a dimension") for _ in range(rank))
    if not shape and magic != V3:
        return shape  # an array without a shape has no values either
    reader.skip(8)  # the device
    item = ITEM_BYTES.get(reader.number("<i", "a dtype"), 0)
    if not item or min(shape, default=0) < 0:
        raise reader.error(f"an array of shape {shape}", "a known dtype and no negative size")
    reader.skip(prod(shape) * item)
    return shape


class _Reader:
    """A stream of bytes with the current offset."""

    def __init__(self, source: Readable, size: int) -> None:
        self._source, self._size, self._at = source, size, 0

    def error(self, found: str, wanted: str) -> DecodeError:
        return DecodeError("model parameters", found=found, wanted=wanted, offset=self._at)

    def number(self, kind: str, what: str) -> int:
        number: int = struct.unpack(kind, self._take(struct.calcsize(kind), what))[0]
        return number

    def count(self, most: int, what: str) -> int:
        count = self.number("<Q", f"the number of {what}")
        if count > most:
            raise self.error(f"{count:,} {what}", f"at most {most:,}")
        return count

    def text(self) -> str:
        return self._take(self.count(MAX_NAME, "bytes"), "a name").decode("utf-8", "replace")

    def skip(self, count: int) -> None:
        """Skip bytes. Their number comes from the file, so it is checked first."""
        if self._at + count > self._size:
            raise self.error(f"{self._size - self._at:,} bytes", f"{count:,} bytes of values")
        while count:
            count -= len(self._take(min(count, CHUNK), "values"))

    def _take(self, count: int, what: str) -> bytes:
        parts = b""
        while len(parts) < count:
            part = self._source.read(count - len(parts))
            if not part:
                raise self.error("the end of the file", f"{what} of {count} bytes")
            parts += part
        self._at += count
        return parts
