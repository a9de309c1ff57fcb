"""The Record message: its two features, however a writer orders them."""

import numpy as np
import pytest

from core.errors import DecodeError
from core.wire.record import read_record
from core.wire.source import ByteSource


def read(body):
    return read_record(ByteSource.of_response(body))


def test_fields_of_the_record(wire, record_class):
    """What the protobuf library writes is read, with all other fields and features around it."""
    record = record_class(uid="7", metadata="m" * 300, configuration="c")
    record.features["target"].float32_tensor.values.extend([0.25, 0.75])
    record.features["shape"].int32_tensor.values.extend([1, 2, 1, 1])
    record.features["other"].bytes.value.append(b"bytes")
    record.label["target"].int32_tensor.values.append(9)
    found = read(record.SerializeToString())
    assert found.target.numbers.tolist() == [0.25, 0.75]
    assert found.shape.numbers.tolist() == [1, 2, 1, 1]


def test_order_and_unknown_fields(wire):
    """Map entries may have value before key, and unknown fields at every level."""
    unknown = wire.field(77, b"?") + b"\xf8\x01\x01" + b"\x9b\x06\x9c\x06"
    tensor = wire.field(2, unknown + wire.field(1, np.float32([0.5]).tobytes()) + unknown)
    target = wire.field(1, unknown + wire.field(2, unknown + tensor) + unknown + wire.field(1, b"target"))
    shape = wire.feature("shape", wire.integers([1]))
    for body in (unknown + target + shape, shape + target + unknown):
        assert read(body).target.numbers.tolist() == [0.5]
        assert read(body).shape.numbers.tolist() == [1]


def test_last_entry_of_a_name_wins(wire, record_class):
    """Of two map entries with the same name the last one is used, as the protobuf library does."""
    body = b"".join(wire.feature("target", wire.floats([value])) for value in (0.25, 0.75))
    assert read(body).target.numbers.tolist() == [0.75]
    assert list(record_class.FromString(body).features["target"].float32_tensor.values) == [0.75]


@pytest.mark.parametrize("kinds", ["ff", "if", "fif", "fiff", "bf"])
def test_pieces_merge(wire, record_class, kinds):
    """A value in pieces is merged as in the protobuf library: the same type is joined, another type replaces it."""
    made = {"f": wire.floats([0.25, 0.5]), "i": wire.integers([3]), "b": wire.field(9, wire.field(1, b"x"))}
    for body in (
        wire.field(1, wire.field(1, b"target") + b"".join(wire.field(2, made[kind]) for kind in kinds)),
        wire.feature("target", b"".join(made[kind] for kind in kinds)),
    ):
        theirs = record_class.FromString(body).features["target"].float32_tensor.values
        assert read(body).target.numbers.tolist() == list(theirs)


def test_numbers_of_all_kinds(wire, record_class):
    """float32, float64 and int32 tensors are read, including negative integers, with the tensor's own shape."""
    for name, values in (("float32", [0.5, 1]), ("float64", [0.1, 1]), ("int32", [-1, 2**31 - 1])):
        record = record_class()
        tensor = getattr(record.features["target"], f"{name}_tensor")
        tensor.values.extend(values)
        tensor.shape.extend([2, 1, 2**64 - 1])
        found = read(record.SerializeToString()).target
        assert found.numbers.dtype == name
        assert found.numbers.tolist() == values
        assert found.shape.tolist() == [2, 1, 2**64 - 1]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"", "an empty value"),
        (b"\x4a\x03\x0a\x01x", "found bytes"),
        (b"\x12\x03\x12\x01\x05", "sparse tensor"),
        (b"\x12\x00" * 1001, "too many pieces"),
    ],
)
def test_no_numbers(wire, value, said):
    """A target that is not a dense tensor is refused."""
    with pytest.raises(DecodeError, match=said):
        read(wire.feature("target", value))


def test_no_target(wire):
    """For a response without a target, the error lists the features it has, or says that it has none."""
    with pytest.raises(DecodeError, match="features named 'a', 'b'"):
        read(wire.feature("a", b"") + wire.feature("b", b""))
    with pytest.raises(DecodeError, match="found no feature,"):
        read(b"")


def test_long_names_are_not_copied(wire):
    """A name of a megabyte that starts like a known one is another name, and is truncated in the error."""
    with pytest.raises(DecodeError) as caught:
        read(wire.feature("target" + "x" * 1_000_000, wire.floats([1])))
    assert len(str(caught.value)) < 300
