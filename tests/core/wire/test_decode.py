"""Decoding of responses of every type: whole, truncated, with trailing data, and from other writers."""

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from core.errors import DecodeError
from core.imaging.classes import VOC, Classes
from core.wire.decode import decode

RECORDIO, PROTOBUF, PNG = "application/x-recordio-protobuf", "application/x-protobuf", "image/png"


@pytest.fixture(scope="module")
def responses(wire):
    """Return one image of 5 classes, 3 rows and 4 columns in every form: name -> (body, content type)."""
    probabilities = wire.softmax(5, 3, 4)
    record = wire.bare(probabilities)
    unpacked = b"".join(b"\x0d" + value.tobytes() for value in probabilities.ravel())
    return {
        "recordio": (wire.frame(record), RECORDIO),
        "recordio as protobuf": (wire.frame(record), PROTOBUF),
        "bare": (record, PROTOBUF),
        "unpacked": (
            wire.feature("shape", wire.integers([5, 3, 4])) + wire.feature("target", wire.field(2, unpacked)),
            PROTOBUF,
        ),
        "png": (wire.palette_png(probabilities.argmax(0)), PNG),
        "gray": (wire.gray_png(probabilities.argmax(0)), PNG),
    }


NAMES = ("recordio", "recordio as protobuf", "bare", "unpacked", "png", "gray")


@pytest.mark.parametrize("name", NAMES)
def test_whole(wire, responses, name):
    """Every form gives the same labels; probabilities and confidence where the form has them."""
    probabilities = wire.softmax(5, 3, 4)
    got = decode(*responses[name])
    assert got.labels.dtype == np.uint8
    assert np.array_equal(got.labels, probabilities.argmax(0))
    assert got.problems == ()
    if name in ("png", "gray"):
        assert got.confidence is None
        assert got.probabilities is None
    else:
        assert got.confidence.dtype == np.float32
        assert np.array_equal(got.confidence, probabilities.max(0))
        assert np.array_equal(got.probabilities, probabilities)
        assert not got.probabilities.flags.writeable


@pytest.mark.parametrize("name", NAMES)
def test_truncated_after_every_byte(responses, name):
    """A response truncated anywhere is a DecodeError, with an offset within it."""
    body, content_type = responses[name]
    for end in range(len(body)):
        with pytest.raises(DecodeError) as caught:
            decode(body[:end], content_type)
        assert 0 <= caught.value.offset <= end
        assert caught.value.found
        assert caught.value.wanted


@pytest.mark.parametrize("junk", [b"\0", b"junk", b"\xff" * 11, b"\r\n"])
@pytest.mark.parametrize("name", NAMES)
def test_trailing_data(responses, name, junk):
    """A response with trailing data is a DecodeError at the offset where that data begins."""
    body, content_type = responses[name]
    with pytest.raises(DecodeError) as caught:
        decode(body + junk, content_type)
    assert len(body) <= caught.value.offset <= len(body) + 2


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("name", ["recordio", "bare"])
def test_zero_copy(responses, name, kind):
    """Packed float32 values are a read-only view of the body, whatever its type."""
    body, content_type = responses[name]
    held = kind(body)
    got = decode(held, content_type)
    assert np.shares_memory(got.probabilities, np.frombuffer(held, np.uint8))
    assert not got.probabilities.flags.writeable
    with pytest.raises(ValueError, match="WRITEABLE"):
        got.probabilities.flags.writeable = True


def test_memory_with_gaps(responses):
    """A view of every second byte, and an empty one, are read like any other."""
    body, content_type = responses["recordio"]
    doubled = np.repeat(np.frombuffer(body, np.uint8), 2)
    assert np.array_equal(
        decode(memoryview(doubled)[::2], content_type).labels, decode(body, content_type).labels
    )
    with pytest.raises(DecodeError):
        decode(memoryview(np.empty((0, 3), np.uint8)), content_type)


@pytest.mark.parametrize(
    "content_type",
    ["Application/X-RecordIO-Protobuf", " application/x-recordio-protobuf ;charset=utf-8; v=1"],
)
def test_content_type_is_read_loosely(responses, content_type):
    """Case, parameters and spaces in a content type do not matter."""
    assert decode(responses["recordio"][0], content_type).labels.shape == (3, 4)


@pytest.mark.parametrize(
    ("body", "content_type", "said"),
    [
        (b'{"error":\n "out of memory"}', "application/json", "application/json.*error.*out of memory"),
        (b"\x00\x01", "application/octet-stream", "octet-stream.*bytes 00 01"),
        (b"", "", "nothing"),
        (b"<html>" + b"x" * 5000, "text/html", "<html>xxx.*…"),
        ("é".encode() * 500, "text/plain", "éééé"),
        (b"Internal error", RECORDIO, "Internal error"),
        (b"Internal error", PNG, "Internal error"),
        (b"\x89PNG\r\n\x1a\n", RECORDIO, "a PNG"),
    ],
)
def test_other_bodies_are_quoted(body, content_type, said):
    """A body of another type is refused with that type and its first characters."""
    with pytest.raises(DecodeError, match=said) as caught:
        decode(body, content_type)
    assert len(str(caught.value)) < 600


def test_protobuf_library_wrote_it(wire, record_class):
    """What the protobuf library writes is decoded: three tensor types, (1, C, H, W) and (C, H, W)."""
    planes = wire.softmax(3, 5, 2)
    for name, values in (
        ("float32", planes),
        ("float64", planes.astype(float)),
        ("int32", (planes > 0.4).astype(int)),
    ):
        for shape in ((1, 3, 5, 2), (3, 5, 2)):
            record = record_class(uid="u")
            getattr(record.features["target"], f"{name}_tensor").values.extend(values.ravel().tolist())
            record.features["shape"].int32_tensor.values.extend(shape)
            got = decode(record.SerializeToString(), PROTOBUF)
            assert np.array_equal(got.probabilities, values.astype(np.float32))
            assert got.probabilities.dtype == np.float32
            assert np.array_equal(got.labels, values.argmax(0))


def test_shape_of_the_tensor_itself(wire, record_class):
    """Without a feature `shape`, the tensor's own shape is used; integers in a float tensor are a shape too."""
    planes = wire.softmax(3, 5, 2)
    record = record_class()
    record.features["target"].float32_tensor.values.extend(planes.ravel().tolist())
    with pytest.raises(DecodeError, match="does not contain its shape"):
        decode(record.SerializeToString(), PROTOBUF)
    record.features["target"].float32_tensor.shape.extend([1, 3, 5, 2])
    assert decode(record.SerializeToString(), PROTOBUF).labels.shape == (5, 2)
    record.features["shape"].float64_tensor.values.extend([3, 2, 5])
    assert decode(record.SerializeToString(), PROTOBUF).labels.shape == (2, 5)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((2, 6), "2 numbers: 2, 6"),
        ((1, 1, 2, 2, 3), "5 numbers"),
        ((2, 2, 2, 3), r"\(2, 2, 2, 3\)"),
        ((1, 12, 1), "found 12 values|found 1 class,"),
        ((12, 1, 0), r"\(12, 1, 0\)"),
        ((-2, -6, 1), r"\(-2, -6, 1\)"),
        ((2, 6, 2), r"found 12 values, wanted 24"),
        ((1, 2, 2**31 - 1, 2**31 - 1), "wanted 9,223,372,028,264,841,218"),
        ((255, 1, 1), "found 255 classes, wanted 2 to 254"),
        ((), "0 numbers"),
    ],
)
def test_invalid_shapes(wire, said, shape):
    """An invalid shape, or one that does not match the values, is refused with the numbers found."""
    with pytest.raises(DecodeError, match=said):
        decode(wire.bare(np.zeros(12, np.float32), shape), PROTOBUF)


@pytest.mark.parametrize("odd", [0.5, float("nan"), float("inf"), 1e308])
def test_shapes_in_floats(record_class, odd):
    """A shape in floats must have finite integers that match the values."""
    record = record_class()
    record.features["target"].float32_tensor.values.extend([0.0] * 12)
    record.features["shape"].float64_tensor.values.extend([3, odd, 4])
    with pytest.raises(DecodeError, match="shape"):
        decode(record.SerializeToString(), PROTOBUF)


def test_one_class_is_refused_in_words(wire):
    """A single class is refused."""
    with pytest.raises(DecodeError, match="found 1 class, wanted 2 to 254 classes"):
        decode(wire.bare(wire.softmax(1, 2, 2)), PROTOBUF)


@pytest.mark.parametrize("count", [2, 254])
def test_fewest_and_most_classes(wire, count):
    """2 and 254 classes are decoded."""
    planes = wire.softmax(count, 2, 3)
    got = decode(wire.frame(wire.bare(planes)), RECORDIO)
    assert np.array_equal(got.labels, planes.argmax(0))
    assert len(got.classes) == count


def test_invalid_probabilities_are_reported(wire):
    """NaN and values outside [0, 1] are reported; doubles that overflow float32 become infinite, and are reported."""
    planes = wire.softmax(3, 4, 5)
    planes[1, 2, 3], planes[0, 0, 0] = np.nan, -1
    got = decode(wire.bare(planes), PROTOBUF)
    assert len(got.problems) == 2
    assert got.labels[2, 3] == 1
    assert np.isnan(got.confidence[2, 3])
    double = wire.field(3, wire.field(1, np.array([1e300, 0]).tobytes()))
    got = decode(wire.feature("shape", wire.integers([2, 1, 1])) + wire.feature("target", double), PROTOBUF)
    assert "to inf" in got.problems[0]


def test_names_of_the_classes(wire):
    """Given names are kept and, if too few, followed by numbers; without names, all are numbers, 21 too."""
    few = Classes(("sea", "land"), ((0, 0, 255), (0, 128, 0)))
    body = wire.bare(wire.softmax(4, 2, 2))
    assert decode(body, PROTOBUF, classes=few).classes.names == ("sea", "land", "class 2", "class 3")
    assert decode(body, PROTOBUF, classes=VOC).classes is VOC
    assert decode(body, PROTOBUF).classes.names == tuple(f"class {number}" for number in range(4))
    numbered = decode(wire.bare(wire.softmax(21, 2, 2)), PROTOBUF).classes
    assert (len(numbered), numbered.name(15)) == (21, "class 15")


@pytest.mark.parametrize(
    ("ids", "count"), [([0, 5], 6), ([255, 255], 1), ([3, 255], 4), ([253, 1], 254), ([254, 1], 2)]
)
def test_classes_of_a_png(wire, ids, count):
    """The classes of a PNG are numbered up to its highest id; 255 is ignored, and 254, not a class, is reported."""
    got = decode(wire.palette_png([ids]), PNG)
    assert got.labels.tolist() == [ids]
    assert got.classes.names == tuple(f"class {number}" for number in range(count))
    assert [problem.startswith("1 pixel") for problem in got.problems] == [True] * (254 in ids)
    assert len(decode(wire.palette_png([ids]), PNG, classes=VOC).classes) == max(count, 21)


PLANES = st.tuples(st.integers(2, 7), st.integers(1, 5), st.integers(1, 5)).flatmap(
    lambda shape: arrays.arrays(np.float32, shape, elements=st.floats(0, 1, width=32))
)


@given(planes=PLANES, framed=st.booleans(), before=st.integers(0, 3))
def test_any_probabilities(wire, planes, framed, before):
    """Any probabilities at any memory address are decoded as by np.argmax and np.max."""
    record = wire.field(3, b"u" * before) + wire.bare(planes)
    got = decode(wire.frame(record) if framed else record, PROTOBUF)
    assert np.array_equal(got.probabilities, planes)
    assert np.array_equal(got.labels, planes.argmax(0))
    assert np.array_equal(got.confidence, planes.max(0))
    assert got.problems == ()


@given(body=st.binary(max_size=60), content_type=st.sampled_from([RECORDIO, PROTOBUF, PNG, "text/plain"]))
def test_any_bytes(body, content_type):
    """Any bytes are a DecodeError: so few cannot be an image."""
    with pytest.raises(DecodeError):
        decode(body, content_type)


def _claims(wire):
    """Return small responses that claim to be huge: name -> (body, content type)."""
    huge = wire.varint(2**40)
    header = b"IHDR" + struct.pack(">IIBBBBB", 9_999, 9_999, 8, 0, 0, 0, 0)
    chunks = (header, b"IDAT" + zlib.compress(bytes(9)), b"IEND")
    picture = b"".join(struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    return {
        "frame": (wire.MAGIC + struct.pack("<I", 2**29 - 1), RECORDIO),
        "map": (b"\x0a" + huge, PROTOBUF),
        "values": (wire.feature("target", wire.field(2, b"\x0a" + huge)), PROTOBUF),
        "shape": (wire.bare(np.zeros(8, np.float32), (2, 2**31 - 1, 2**31 - 1)), PROTOBUF),
        "png": (b"\x89PNG\r\n\x1a\n" + picture, PNG),
    }


@pytest.mark.parametrize("name", ["frame", "map", "values", "shape", "png"])
def test_claims_cost_no_memory(wire, name):
    """Whatever size a response claims, memory is not allocated for data that is not there."""
    body, content_type = _claims(wire)[name]
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError):
            decode(body, content_type)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_memory_of_a_whole_response(wire):
    """Decoding takes less than a third of the response's size: labels, confidence and one block."""
    body = wire.frame(wire.bare(np.full((21, 300, 400), 1 / 21, np.float32)))
    tracemalloc.start()
    try:
        decode(body, RECORDIO)
        assert tracemalloc.get_traced_memory()[1] < len(body) / 3
    finally:
        tracemalloc.stop()
