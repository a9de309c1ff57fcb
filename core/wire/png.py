"""Decode a PNG whose samples are class ids, the algorithm's response to `Accept: image/png`.

Strategy: walk the chunks first (lengths, checksums, end of the file), count the decompressed bytes without keeping
them, then pass Pillow a PNG of only the chunks that the samples need. So comments, profiles and animations are never
decompressed, memory is not allocated for pixels that the response does not contain, and damage is an error where
Pillow
tolerates it: Pillow fills missing rows with zeros, which here is a class. Only Pillow reads the samples, since OpenCV
and others convert palette indices to colors.

Source: Portable Network Graphics (PNG) Specification, Third Edition, https://www.w3.org/TR/png-3
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngImageFile

from core.text import plural
from core.wire.source import ByteSource, described

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_PIXELS = 100_000_000
"""The largest number of pixels that is decoded: that of `core.imaging.image`."""

BYTES_PER_PIXEL = 2
"""Memory that `read_labels` takes: Pillow's samples and the array."""

_HEADER = struct.Struct(">IIBBBBB")
_FRAME = 12
_GRAYSCALE, _PALETTE = 0, 3
_COLOR_TYPES = {
    0: "grayscale",
    2: "color (RGB)",
    3: "palette",
    4: "grayscale with alpha",
    6: "color with alpha (RGBA)",
}
_DEPTHS = (1, 2, 4, 8)
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Passes of Adam7 interlacing: first column, first row, column step, row step."""

_UNPACKED_AT_ONCE = 1 << 18


class Chunk(NamedTuple):
    """One chunk. start, end: positions of its data in the source."""

    name: bytes
    start: int
    end: int


class Header(NamedTuple):
    """The IHDR chunk. width, height: in pixels; depth: bits per sample."""

    width: int
    height: int
    depth: int
    color_type: int
    compression: int
    filtering: int
    interlace: int


def read_labels(source: ByteSource, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Return the samples of a grayscale or palette PNG of 1 to 8 bits, (H, W) uint8: class ids, never colors.

    Raises DecodeError where it is damaged, of another type, or larger than `max_pixels`.
    """
    if bytes(source.data[: len(SIGNATURE)]) != SIGNATURE:
        raise source.error(
            "The response is not a PNG", found=described(source.data), wanted="a PNG's signature", position=0
        )
    kept = [chunk for chunk in _chunks(source) if chunk.name in _CRITICAL]
    header = _header(source, kept)
    _check_size(source, header, kept[0], max_pixels)
    _check_rows(source, header, [chunk for chunk in kept if chunk.name == b"IDAT"])
    return _samples(source, header, kept)


def claimed_pixels(source: ByteSource) -> int:
    """Return the pixels that the header claims, unchecked; 0 without a header."""
    start = len(SIGNATURE) + 8
    if len(source.data) < start + _HEADER.size:
        return 0
    header = Header(*_HEADER.unpack_from(source.data, start))
    return header.width * header.height


def _chunks(source: ByteSource) -> Iterator[Chunk]:
    """Yield all chunks up to IEND, which must end the response; each is complete and has the right checksum."""
    position = len(SIGNATURE)
    name = b""
    while name != b"IEND":
        chunk = _chunk(source, position)
        yield chunk
        name, position = chunk.name, chunk.end + 4
    left = len(source.data) - position
    if left:
        raise source.error(
            "There is data after the PNG",
            found=f"{plural(left, 'byte')} more, {described(source.data[position:])}",
            wanted="the end of the response",
            position=position,
        )


def _chunk(source: ByteSource, position: int) -> Chunk:
    left = len(source.data) - position
    length = int.from_bytes(source.data[position : position + 4], "big") if left >= 4 else 0
    if left < _FRAME + length:
        raise source.error(
            "The PNG is truncated",
            found=f"{plural(left, 'byte')} left",
            wanted=f"a chunk of {_FRAME + length:,} bytes",
            position=position,
        )
    start = position + 8
    end = start + length
    checksum = int.from_bytes(source.data[end : end + 4], "big")
    wanted = zlib.crc32(source.data[position + 4 : end])
    if checksum != wanted:
        raise source.error(
            "The PNG is damaged",
            found=f"checksum {checksum:08x} of a chunk",
            wanted=f"{wanted:08x}, the checksum of its bytes",
            position=end,
        )
    return Chunk(bytes(source.data[position + 4 : start]), start, end)


def _header(source: ByteSource, chunks: list[Chunk]) -> Header:
    first = chunks[0]
    headers = sum(chunk.name == b"IHDR" for chunk in chunks)
    if first.name != b"IHDR" or first.end - first.start != _HEADER.size or headers != 1:
        raise source.error(
            "The PNG has an invalid header",
            found=f"{first.name!r} of {plural(first.end - first.start, 'byte')} first, {headers} IHDR in total",
            wanted=f"one IHDR of {_HEADER.size} bytes first",
            position=first.start,
        )
    header = Header(*_HEADER.unpack_from(source.data, first.start))
    if header.color_type not in (_GRAYSCALE, _PALETTE) or header.depth not in _DEPTHS:
        kind = _COLOR_TYPES.get(header.color_type, f"color type {header.color_type}")
        raise source.error(
            "The PNG is not a mask of class ids",
            found=f"{kind}, {plural(header.depth, 'bit')} per sample",
            wanted="grayscale or palette, 1 to 8 bits per sample",
            position=first.start + 8,
        )
    return header


def _check_size(source: ByteSource, header: Header, first: Chunk, max_pixels: int) -> None:
    pixels = header.width * header.height
    if not 1 <= pixels <= max_pixels:
        raise source.error(
            "The PNG has an invalid size",
            found=f"{header.width:,} x {header.height:,} pixels",
            wanted=f"1 to {max_pixels:,} pixels",
            position=first.start,
        )


def _check_rows(source: ByteSource, header: Header, data: list[Chunk]) -> None:
    """Decompress the data without keeping it. Raises DecodeError unless it is complete and holds exactly all rows."""
    wanted = _unpacked_size(header)
    unpacker = zlib.decompressobj()
    size = 0
    try:
        for chunk in data:
            packed: memoryview | bytes = source.data[chunk.start : chunk.end]
            while packed and size <= wanted and not unpacker.eof:
                size += len(unpacker.decompress(packed, _UNPACKED_AT_ONCE))
                packed = unpacker.unconsumed_tail
        size += len(unpacker.flush()) if size <= wanted else 0
        fault = "" if unpacker.eof else ", not terminated"
    except zlib.error as error:
        fault = f", then {error}"
    if size != wanted or fault:
        raise source.error(
            "The PNG has invalid data",
            found=f"{plural(size, 'decompressed byte')}{fault}",
            wanted=f"{wanted:,} for {header.width:,} x {header.height:,} pixels",
            position=data[0].start if data else len(SIGNATURE),
        )


def _unpacked_size(header: Header) -> int:
    """Return the bytes of all rows, each with its filter-type byte."""
    passes = _ADAM7 if header.interlace else ((0, 0, 1, 1),)
    size = 0
    for left, top, across, down in passes:
        columns = -(-(header.width - left) // across)
        rows = -(-(header.height - top) // down)
        if columns > 0 and rows > 0:
            size += rows * (1 + -(-columns * header.depth // 8))
    return size


def _samples(source: ByteSource, header: Header, chunks: list[Chunk]) -> NDArray[np.uint8]:
    try:
        with PngImageFile(io.BytesIO(_repacked(source, chunks))) as image:
            image.load()
            samples = np.array(image, np.uint8)
    # What Pillow and zlib are known to raise for invalid PNG data.
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        IndexError,
        KeyError,
        struct.error,
        zlib.error,
    ) as error:
        raise source.error(
            "The PNG cannot be decoded",
            found=f"{type(error).__name__}: {error}",
            wanted=f"the samples of {header.width:,} x {header.height:,} pixels",
            position=chunks[0].start,
        ) from error
    # Pillow scales grayscale of 2 and 4 bits to 0..255; it returns 1 bit as False and True.
    stretch = 255 // ((1 << header.depth) - 1)
    if header.color_type == _GRAYSCALE and header.depth in (2, 4):
        samples //= np.uint8(stretch)
    return samples


def _repacked(source: ByteSource, chunks: list[Chunk]) -> bytes:
    """Return the PNG without the chunks that do not matter."""
    data = source.data
    return b"".join([SIGNATURE, *(data[chunk.start - 8 : chunk.end + 4] for chunk in chunks)])
