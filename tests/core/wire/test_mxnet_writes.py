"""What MXNet's own writers make is read: records, whole responses, and files of parameters.

The tests are in one file, so that one process imports MXNet for all of them.
"""

import io

import numpy as np
import pytest

from core.errors import DecodeError
from core.wire import recordio
from core.wire.decode import decode
from core.wire.ndarrays import read_shapes
from core.wire.source import ByteSource

RECORDIO = "application/x-recordio-protobuf"
DTYPES = ("float32", "float64", "float16", "uint8", "int8", "int32", "int64")


def test_a_response_that_mxnet_wrote_is_decoded(wire, mxnet_frame):
    """What MXNet's writer makes of a response is decoded, also if it must split the record among the floats."""
    planes = wire.softmax(4, 6, 5)
    magic = np.frombuffer(wire.MAGIC, np.float32)[0]
    with_magic = planes.copy()
    with_magic.ravel()[[0, 17, 18, 119]] = magic
    # One of four offsets puts the floats, and the magic number, at a multiple of 4, where MXNet splits.
    shifted = [wire.field(3, b"u" * number) + wire.bare(with_magic) for number in range(4)]
    bodies = mxnet_frame([wire.bare(planes), *shifted])
    assert np.array_equal(decode(bodies[0], RECORDIO).labels, planes.argmax(0))
    assert sorted(body.count(wire.MAGIC) for body in bodies[1:]) == [5, 5, 5, 5]
    split = [body for body in bodies[1:] if int.from_bytes(body[4:8], "little") >> 29]
    assert len(split) == 1
    for body in bodies[1:]:
        got = decode(body, RECORDIO)
        assert np.array_equal(got.probabilities, with_magic)
        assert np.array_equal(got.labels, with_magic.argmax(0))
        assert got.problems[0].startswith("4 values of 120 are outside")
    for end in range(len(split[0])):
        with pytest.raises(DecodeError):
            decode(split[0][:end], RECORDIO)
    with pytest.raises(DecodeError, match="several"):
        decode(split[0] + split[0], RECORDIO)


def test_a_record_that_mxnet_wrote_is_read(wire, mxnet_frame):
    """What MXNet writes is read, at every length of padding and wherever MXNet splits."""
    magic = wire.MAGIC
    payloads = [
        b"", b"a", b"ab", b"abc", b"abcd", b"abcde", b"x" + magic, magic, magic + magic, b"four" + magic + b"tail",
        b"four" + magic, magic + b"three", magic * 5 + b"z", b"abc" + magic + b"q" + b"abcd" + magic,
    ]  # fmt: skip
    written = mxnet_frame(payloads)
    assert [bytes(recordio.record(ByteSource.of_response(body)).data) for body in written] == payloads
    assert sum(recordio._part(ByteSource.of_response(body), 0).flag == 1 for body in written) >= 6


def test_arrays_of_any_dtype_and_shape_that_mxnet_saved_are_read(mxnet_params):
    """Arrays of any dtype and shape are read as MXNet's own writer saves them."""
    expected = {f"layer.{name}": (2, len(name), 3) for name in DTYPES}
    file = mxnet_params([(f"layer.{name}", name, expected[f"layer.{name}"]) for name in DTYPES])
    assert read_shapes(io.BytesIO(file), len(file)) == expected
