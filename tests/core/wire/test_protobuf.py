"""The protobuf wire format: fields and repeated numbers."""

import itertools
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DecodeError
from core.wire.protobuf import LENGTH, VARINT, Field, Repeated, Span, fields, varint
from core.wire.source import ByteSource


def read(body):
    source = ByteSource.of_response(body)
    return [
        (one.number, one.wire_type, bytes(source.data[slice(*one.span)]))
        for one in fields(source, Span(0, len(body)))
    ]


def gathered(body, kind):
    source = ByteSource.of_response(body)
    repeated = Repeated(source, kind)
    for one in fields(source, Span(0, len(body))):
        if one.number == 1:
            repeated.add(one)
    return repeated.numbers()


@given(number=st.integers(0, (1 << 64) - 1), tail=st.binary(max_size=3))
def test_varint(wire, number, tail):
    """Any 64-bit number is read, up to its own end."""
    body = wire.varint(number)
    assert varint(ByteSource.of_response(body + tail), 0, len(body + tail)) == (number, len(body))


@pytest.mark.parametrize("body", [b"", b"\x80", b"\xff" * 9, b"\xff" * 10, b"\x80" * 11 + b"\0"])
def test_varint_without_end(body):
    """A number that is truncated, or longer than ten bytes, is refused at its start."""
    with pytest.raises(DecodeError, match="not terminated") as caught:
        varint(ByteSource.of_response(body), 0, len(body))
    assert caught.value.offset == 0


def test_every_wire_type(wire):
    """Fields of all six wire types are read, with their content."""
    body = (
        wire.varint(1 << 3) + b"\x96\x01" + wire.varint(2 << 3 | 1) + b"12345678" + wire.field(3, b"abc")
        + wire.varint(4 << 3 | 3) + wire.field(1, b"in") + wire.varint(9 << 3 | 3) + wire.varint(9 << 3 | 4)
        + wire.varint(4 << 3 | 4) + wire.varint(500 << 3 | 5) + b"wxyz"
    )  # fmt: skip
    assert read(body) == [
        (1, 0, b"\x96\x01"), (2, 1, b"12345678"), (3, 2, b"abc"), (4, 3, wire.field(1, b"in") + b"\x4b\x4c"),
        (500, 5, b"wxyz"),
    ]  # fmt: skip
    ends = {3, 12, 17, 25}
    for end in set(range(1, len(body))) - ends:
        with pytest.raises(DecodeError):
            read(body[:end])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"\x00\x01", "field number 0"),
        (b"\x0f", "wire type 7"),
        (b"\x0c", "was never started"),
        (b"\x0b\x14", "not nested properly"),
        (b"\x0b" * 5000, "not nested properly"),
        (b"\xf8\xff\xff\xff\xff\x01\x00", "not a protobuf field"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "longer than"),
    ],
)
def test_invalid_fields(body, said):
    """Invalid fields are refused, including deep nesting and absurd lengths."""
    with pytest.raises(DecodeError, match=said):
        read(body)


def test_packed_floats_are_a_view(wire):
    """Floats in one packed run are not copied."""
    body = wire.field(1, struct.pack("<3f", 0, 0.5, 1))
    numbers = gathered(body, "float")
    assert numbers.tolist() == [0, 0.5, 1]
    assert np.shares_memory(numbers, np.frombuffer(body, np.uint8))
    assert not numbers.flags.writeable


@given(values=st.lists(st.integers(-(1 << 31), (1 << 31) - 1)), cuts=st.lists(st.integers(0, 20), max_size=3))
def test_integers_packed_and_not(wire, values, cuts):
    """Integers are the same packed in any number of runs, including empty ones, or one by one."""
    edges = sorted({0, len(values), *(cut for cut in cuts if cut < len(values))})
    runs = [values[a:b] for a, b in itertools.pairwise(edges)] or [[]]
    packed = b"".join(wire.field(1, b"".join(map(wire.varint, run))) for run in runs)
    single = b"".join(b"\x08" + wire.varint(value) for value in values)
    assert gathered(packed, "int32").tolist() == values
    assert gathered(single, "int32").tolist() == values
    assert gathered(packed + single, "int32").tolist() == values * 2


@given(values=st.lists(st.floats(width=32, allow_nan=False)))
def test_floats_packed_and_not(wire, values):
    """Floats of 32 and 64 bits are the same packed or one by one."""
    for kind, letter, tag in (("float", "f", b"\x0d"), ("double", "d", b"\x09")):
        single = b"".join(tag + struct.pack(f"<{letter}", value) for value in values)
        packed = wire.field(1, struct.pack(f"<{len(values)}{letter}", *values))
        assert gathered(single, kind).tolist() == values
        assert gathered(packed + single, kind).tolist() == values * 2


def test_many_integers(wire):
    """Integers beyond the size of one block are joined without loss."""
    values = np.random.default_rng(0).integers(-(1 << 31), 1 << 31, 40_000)
    body = wire.field(1, b"".join(wire.varint(int(value)) for value in values))
    assert np.array_equal(gathered(body, "int32"), values)


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"\0" * 7, "float"), (b"\0" * 12, "double"), (b"\x01\x80", "int32"), (b"\xff" * 11 + b"\0", "int32")],
)
def test_packed_truncated(wire, content, kind):
    """A packed run that ends in the middle of a number, or has one that is too long, is refused at its start."""
    with pytest.raises(DecodeError, match=r"middle of a number|too long") as caught:
        gathered(wire.field(1, content), kind)
    assert caught.value.offset == 2


def test_other_wire_type_is_unknown():
    """A field with the right number and another wire type is skipped, as the protobuf library does."""
    repeated = Repeated(ByteSource.of_response(b"\x08\x01"), "float")
    repeated.add(Field(1, VARINT, Span(1, 2)))
    assert repeated.position is None
    assert repeated.numbers().size == 0
    repeated.add(Field(1, LENGTH, Span(1, 1)))
    assert repeated.numbers().size == 0


@pytest.mark.parametrize("tag", [b"\x0d", b"\x15", b"\x8d\x00"])
@pytest.mark.parametrize("count", [1, 2, 15, 17, 18, 100_000])
def test_floats_in_a_row(wire, tag, count):
    """Single floats are collected in runs, in order, whatever is before, between and after them."""
    values = np.random.default_rng(count).random(count, np.float32)
    run = b"".join(tag + value.tobytes() for value in values)
    other = b"\x1d" + b"\x0d\x0d\x0d\x0d"
    body = other + run + other + other + wire.field(1, b"\0\0\x80\x3f") + run
    wanted = [] if tag == b"\x15" else values.tolist()
    assert gathered(body, "float").tolist() == [*wanted, 1, *wanted]
    with pytest.raises(DecodeError):
        read(body[:-1])


@pytest.mark.parametrize("body", [b"\x08\x01" * 1_000_001, b"\x0b" + b"\x10\x01" * 1_000_001 + b"\x0c"])
def test_too_many_fields(body):
    """A response of only tiny fields, in a group or not, is refused before it takes minutes."""
    with pytest.raises(DecodeError, match="more than 1,000,000"):
        read(body)
