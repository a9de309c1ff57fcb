"""PNG files of class ids: samples, never colors."""

import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from core.errors import DecodeError
from core.wire import png
from core.wire.source import ByteSource


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def plain(samples, depth, color_type, *, width=None, height=None, behind=b"", extra=b""):
    """Return a PNG without filters, written byte by byte; samples (H, W) below 2**depth."""
    rows, columns = samples.shape
    bits = np.unpackbits(samples[..., np.newaxis], axis=2)[..., 8 - depth :].reshape(rows, -1)
    lines = b"".join(b"\0" + np.packbits(row).tobytes() for row in bits)
    header = struct.pack(">IIBBBBB", width or columns, height or rows, depth, color_type, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(range(3 * 2**depth % 256 or 255)) if depth < 8 else bytes(768))
    return (
        png.SIGNATURE + chunk(b"IHDR", header) + extra + (palette if color_type == 3 else b"")
        + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"") + behind
    )  # fmt: skip


def labels(body, **options):
    return png.read_labels(ByteSource.of_response(body), **options)


@given(
    depth=st.sampled_from([1, 2, 4, 8]),
    color_type=st.sampled_from([0, 3]),
    samples=arrays.arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 19))),
)
def test_samples_are_ids(depth, color_type, samples):
    """Grayscale and palette of 1, 2, 4 and 8 bits give exactly the written samples, not scaled and not colored."""
    samples >>= 8 - depth
    read = labels(plain(samples, depth, color_type))
    assert read.dtype == np.uint8
    assert np.array_equal(read, samples)


@pytest.mark.parametrize(
    "options", [{}, {"optimize": True}, {"bits": 4}, {"transparency": 3}, {"compress_level": 0}]
)
def test_pillow_wrote_it(wire, options):
    """Palette images that Pillow writes are read, with or without transparency."""
    ids = np.random.default_rng(0).integers(0, 16, (37, 53)).astype(np.uint8)
    assert np.array_equal(labels(wire.palette_png(ids, **options)), ids)


def test_comments_and_animation_are_skipped(wire):
    """Chunks that the samples do not need are never decompressed, not even a comment that would fill the memory."""
    info = PngInfo()
    info.add_text("note", "x" * 50_000_000, zip=True)
    ids = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert np.array_equal(labels(wire.palette_png(ids, pnginfo=info)), ids)
    frames = [Image.new("L", (4, 4), shade) for shade in (1, 2)]
    assert np.array_equal(
        labels(wire.png(frames[0], save_all=True, append_images=frames[1:])), np.ones((4, 4))
    )


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("RGB", r"color \(RGB\), 8 bits"),
        ("RGBA", "RGBA"),
        ("LA", "grayscale with alpha"),
        ("I;16", "grayscale, 16 bits"),
    ],
)
def test_images_are_not_masks(wire, mode, said):
    """Color, alpha and 16 bits are refused with their type."""
    with pytest.raises(DecodeError, match=said) as caught:
        labels(wire.png(Image.new(mode, (3, 2))))
    assert caught.value.offset == 24


def test_truncated_after_every_byte_and_trailing_data(wire):
    """A PNG truncated anywhere, or with trailing data, is refused, without a warning."""
    body = wire.palette_png(np.eye(9, dtype=np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for end in range(len(body)):
            with pytest.raises(DecodeError):
                labels(body[:end])
        for junk in (b"\0", b"junk", body):
            with pytest.raises(DecodeError, match="data after the PNG") as caught:
                labels(body + junk)
            assert caught.value.offset == len(body)


def test_every_flipped_byte(wire):
    """A changed byte is always detected: each chunk has a checksum."""
    body = wire.palette_png(np.eye(9, dtype=np.uint8))
    for place in range(len(body)):
        with pytest.raises(DecodeError):
            labels(body[:place] + bytes([body[place] ^ 0x10]) + body[place + 1 :])


@pytest.mark.parametrize(
    ("width", "height", "said"),
    [
        (30_000, 30_000, "1 to 100,000,000 pixels"),
        (9_000, 9_000, "wanted 81,009,000 for"),
        (2**31, 2**31, "1 to 100,000,000 pixels"),
    ],
)
def test_bombs(width, height, said):
    """A small PNG that claims a huge image is refused before anything is decompressed."""
    body = plain(np.zeros((1, 1), np.uint8), 8, 0, width=width, height=height)
    with pytest.raises(DecodeError, match=said):
        labels(body)


def test_pixel_limit_is_an_argument(wire):
    """The pixel limit can be set, and an image of exactly that size is accepted."""
    body = wire.palette_png(np.zeros((10, 10)))
    assert labels(body, max_pixels=100).shape == (10, 10)
    with pytest.raises(DecodeError, match="1 to 99 pixels"):
        labels(body, max_pixels=99)


def by_hand(*, width=4, height=4, depth=8, tail=(0, 0, 0), before=b"", data=None, behind=b""):
    """Return a grayscale PNG of 4 x 4 zeros, with some chunks replaced."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, *tail))
    data = chunk(b"IDAT", zlib.compress(bytes(20)) if data is None else data)
    return png.SIGNATURE + before + header + data + behind + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"width": 0}, "0 x 4 pixels"),
        ({"data": zlib.compress(bytes(15))}, "15 decompressed bytes, wanted 20"),
        ({"data": zlib.compress(bytes(5_000_000))}, "wanted 20"),
        ({"data": zlib.compress(bytes(20))[:-4]}, "not terminated"),
        ({"data": b"no zlib"}, "incorrect header"),
        ({"data": b""}, "0 decompressed bytes"),
        ({"data": zlib.compress(bytes([9]) * 20)}, "cannot be decoded"),
        ({"tail": (0, 1, 0)}, "cannot be decoded"),
        ({"before": chunk(b"IDAT", b"")}, "invalid header"),
        ({"before": chunk(b"IHDR", b"short")}, "invalid header"),
        ({"behind": chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 0, 0, 0, 0))}, "2 IHDR in total"),
        ({"depth": 3}, "3 bits per sample"),
    ],
)
def test_invalid_chunks(parts, said):
    """A size of zero, missing or extra rows, no data, invalid filters and a second header are refused."""
    assert not labels(by_hand()).any()
    with pytest.raises(DecodeError, match=said):
        labels(by_hand(**parts))


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (8, 8), (9, 5), (1, 9)])
@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_interlaced(width, height, depth):
    """An interlaced PNG of any size is read, with its seven passes combined."""
    ids = np.random.default_rng(0).integers(0, 1 << depth, (height, width)).astype(np.uint8)
    lines = b""
    for left, top, across, down in png._ADAM7:
        some = ids[top::down, left::across]
        if some.size:
            bits = np.unpackbits(some[..., np.newaxis], axis=2)[..., 8 - depth :].reshape(len(some), -1)
            lines += b"".join(b"\0" + np.packbits(row).tobytes() for row in bits)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 1))
    body = png.SIGNATURE + header + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    assert np.array_equal(labels(body), ids)
