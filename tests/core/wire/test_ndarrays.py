"""MXNet parameter files: names and shapes, from two writers, whole, truncated, and with trailing data."""

from __future__ import annotations

import io
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DecodeError
from core.wire.ndarrays import read_shapes
from tests.support.artifacts import parameters

SHAPES = {"conv1.0.weight": (2, 3, 1, 1), "head.block.4.bias": (5,), "empty": (0, 4)}
FILE = parameters(SHAPES)


def read(file: bytes) -> dict[str, tuple[int, ...]]:
    return read_shapes(io.BytesIO(file), len(file))


def test_whole() -> None:
    """The shape of each array is under its name."""
    assert read(FILE) == SHAPES


def test_data_after_the_last_name_is_ignored() -> None:
    """Data after the last name is ignored, as MXNet does."""
    assert read(FILE + b"junk") == SHAPES


@pytest.mark.parametrize("cut", range(len(FILE)))
def test_a_truncated_file_is_refused_with_the_offset(cut: int) -> None:
    """Wherever the file is truncated, the error has the offset."""
    with pytest.raises(DecodeError) as caught:
        read(FILE[:cut])
    assert caught.value.offset is not None
    assert caught.value.offset <= cut


def test_a_file_shorter_than_its_size_is_refused() -> None:
    """The claimed size of the file is not trusted."""
    with pytest.raises(DecodeError, match="found the end"):
        read_shapes(io.BytesIO(FILE[:120]), len(FILE))


@pytest.mark.parametrize(
    ("at", "kind", "value", "words"),
    [
        (0, "<Q", 0x1F8B, "another kind of file"),
        (16, "<Q", 1 << 40, "1,099,511,627,776 arrays"),
        (24, "<I", 7, "magic number 0x7"),
        (28, "<i", 1, "storage type 1"),
        (32, "<i", -1, "-1 dimensions"),
        (32, "<i", 1 << 30, "1073741824 dimensions"),
        (36, "<q", 1 << 62, "bytes of values"),
        (36, "<q", -1, "no negative size"),
        (76, "<i", 99, "known dtype"),
        (len(FILE) - 13, "<Q", 1 << 50, "bytes, wanted at most 1,000"),
    ],
)
def test_claims_out_of_bounds_are_refused_before_anything_is_read(
    at: int, kind: str, value: int, words: str
) -> None:
    """A number that the file cannot contain, or that is out of range, is refused with the value found."""
    forged = bytearray(FILE)
    struct.pack_into(kind, forged, at, value)
    with pytest.raises(DecodeError, match=words):
        read(bytes(forged))


@given(st.data())
def test_any_damage_is_an_error_of_ours_or_harmless(data: st.DataObject) -> None:
    """Changed bytes never cause another exception."""
    damaged = bytearray(FILE)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(FILE) - 1))] = data.draw(st.integers(0, 255))
    with suppress(DecodeError):
        read(bytes(damaged))
