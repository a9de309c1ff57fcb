"""The framing of records in a channel's pipe."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.wire.recordio import record
from core.wire.source import ByteSource
from sandbox.common.recordio import MAGIC, RecordError, framed, records

PAYLOADS = st.lists(st.sampled_from([MAGIC, b"a", b"bc", b"", b"\0\0\0\0"]), max_size=9).map(b"".join)


@given(st.lists(PAYLOADS, max_size=4))
def test_records_are_read_as_they_were_written(payloads: list[bytes]) -> None:
    """Any payloads, those with the magic number included, come back in order."""
    assert list(records(io.BytesIO(b"".join(map(framed, payloads))))) == payloads


@given(PAYLOADS)
def test_another_reader_reads_them(payload: bytes) -> None:
    """The reader of endpoint responses, which MXNet's writer is tested against, reads the same payload."""
    assert bytes(record(ByteSource.of_response(framed(payload))).data) == payload


@pytest.mark.parametrize("payload", [b"image", b"abcd" + MAGIC + b"efg"])
def test_a_cut_stream_is_an_error(payload: bytes) -> None:
    """A stream that ends within a record is an error at every position."""
    content = framed(payload)
    for end in range(1, len(content)):
        with pytest.raises(RecordError, match="truncated"):
            list(records(io.BytesIO(content[:end])))


def test_other_data_is_not_recordio() -> None:
    """Data without the magic number is refused in the words of AWS's reader."""
    with pytest.raises(RecordError, match="The Record IO header does not start with the magic number"):
        list(records(io.BytesIO(b"\xff\xd8\xff\xe0 a JPEG image")))


def test_a_part_out_of_order_is_an_error() -> None:
    """A record that begins with a middle part, or ends before its last one, is refused."""
    first, middle = framed(MAGIC)[:8], framed(b"x")
    with pytest.raises(RecordError, match="flag"):
        list(records(io.BytesIO(first + middle)))
