"""RecordIO: one record, whole or split, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DecodeError
from core.wire import recordio
from core.wire.source import ByteSource


def payload(body):
    return bytes(recordio.record(ByteSource.of_response(body)).data)


def test_whole_record_is_not_copied(wire):
    """A record in one part is a read-only view of the response."""
    body = wire.frame(b"payload")
    view = recordio.record(ByteSource.of_response(body)).data
    assert view.obj is body
    assert view.readonly


@pytest.mark.parametrize("parts", [(b"abcde",), (b"abcd", b"", b"efgh", b"i")])
def test_truncated_after_every_byte(wire, parts):
    """A record truncated anywhere, in header, payload or padding, is refused with an offset within the response."""
    flags = [0] if len(parts) == 1 else [1, *[2] * (len(parts) - 2), 3]
    body = b"".join(wire.frame(part, flag) for part, flag in zip(parts, flags, strict=True))
    assert payload(body) == wire.MAGIC.join(parts)
    for end in range(len(body)):
        with pytest.raises(DecodeError) as caught:
            payload(body[:end])
        assert 0 <= caught.value.offset <= end


@pytest.mark.parametrize("junk", [b"\0", b"junk", b"\0" * 40])
@pytest.mark.parametrize("split", [False, True])
def test_trailing_data(wire, junk, split):
    """Data after the record is refused, and the offset is where it begins."""
    body = wire.frame(b"ab", 1) + wire.frame(b"c", 3) if split else wire.frame(b"abc")
    with pytest.raises(DecodeError, match="data after the RecordIO record") as caught:
        payload(body + junk)
    assert caught.value.offset == len(body)


def test_several_records(wire):
    """A second record is reported as such."""
    body = wire.frame(b"one")
    with pytest.raises(DecodeError, match="several RecordIO records") as caught:
        payload(body + wire.frame(b"two"))
    assert caught.value.offset == len(body)


@pytest.mark.parametrize(
    ("flags", "offset"), [((2,), 4), ((3,), 4), ((5,), 4), ((1, 1), 16), ((1, 0), 16), ((1, 7), 16)]
)
def test_parts_out_of_order(wire, flags, offset):
    """A part whose flag cannot follow the one before is refused at its header."""
    with pytest.raises(DecodeError, match="out of order") as caught:
        payload(b"".join(wire.frame(b"data", flag) for flag in flags))
    assert caught.value.offset == offset


def test_offset_in_a_split_record(wire):
    """A position in a joined record is mapped to the part it came from; a magic number, to the part after it."""
    body = wire.frame(b"abcd", 1) + wire.frame(b"", 2) + wire.frame(b"efg", 3)
    source = recordio.record(ByteSource.of_response(body))
    joined = bytes(source.data)
    assert [body[source.locate(joined.index(letter))] for letter in b"abcdefg"] == list(b"abcdefg")
    assert source.locate(4) == 20
    assert source.locate(8) == 28


def test_many_parts_need_little_memory(wire):
    """A record of a hundred thousand empty parts is joined, and takes no more memory than its bytes."""
    body = wire.frame(b"", 1) + wire.frame(b"", 2) * 100_000 + wire.frame(b"", 3)
    assert payload(body) == wire.MAGIC * 100_001


@given(pieces=st.lists(st.binary(max_size=12), min_size=1, max_size=6))
def test_any_split(wire, pieces):
    """However a payload is split, joining its parts with the magic number restores it."""
    flags = [0] if len(pieces) == 1 else [1, *[2] * (len(pieces) - 2), 3]
    body = b"".join(wire.frame(piece, flag) for piece, flag in zip(pieces, flags, strict=True))
    assert payload(body) == wire.MAGIC.join(pieces)
