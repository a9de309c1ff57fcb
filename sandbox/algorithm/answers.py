"""Encode the two outputs of the algorithm: a mask as PNG, or probabilities as a RecordIO-framed protobuf record.

The record's schema is `aialgs.data.Record`, as in AWS's SDK (sagemaker/amazon/record_pb2.py). It is built here at run
time, with the fields that this server writes. protobuf writes the message and MXNet's own MXRecordIO the frame: a
reader that understands these independent writers is not merely consistent with our own code.
"""

from __future__ import annotations

import io
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from numpy.typing import NDArray
from PIL import Image

from sandbox.algorithm.mxnet_import import load_mxnet
from sandbox.algorithm.predict import most_likely_class

LARGEST_RECORD = (1 << 29) - 1024
"""RecordIO has 29 bits for the length; the rest of the message needs less than the remaining kilobyte."""

_FIELD = descriptor_pb2.FieldDescriptorProto


def mask_png(probabilities: NDArray[np.float32]) -> bytes:
    """Encode (C, H, W) probabilities as a gray 8-bit PNG of the most likely class ids; ties go to the lowest id."""
    stream = io.BytesIO()
    Image.fromarray(most_likely_class(probabilities)).save(stream, "PNG", compress_level=3)
    return stream.getvalue()


def record(probabilities: NDArray[np.float32], folder: Path) -> bytes:
    """Encode (C, H, W) probabilities as one framed Record; `folder` is for a temporary file without memfd."""
    message = record_message()
    features = message.features
    values = np.ascontiguousarray(probabilities, "<f4")
    features["target"].float32_tensor.values = values.tobytes()
    features["shape"].int32_tensor.values.extend((1, *probabilities.shape))
    return framed(message.SerializeToString(), folder)


def framed(payload: bytes, folder: Path) -> bytes:
    """Frame the payload as MXRecordIO does: magic, length, padding, split where it contains the magic itself."""
    recordio = load_mxnet().recordio
    with _scratch_file(folder) as (descriptor, path):
        writer = recordio.MXRecordIO(path, "w")
        writer.write(payload)
        writer.close()
        with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as view:
            return view[:]


@contextmanager
def _scratch_file(folder: Path) -> Iterator[tuple[int, str]]:
    """Yield (descriptor, path) of a temporary file of this call, so that threads do not share one."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("record")
        try:
            yield descriptor, f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".rec") as file:
            yield file.fileno(), file.name


def record_message() -> Any:
    """Return an empty `aialgs.data.Record`."""
    return _RECORD()


def _schema() -> descriptor_pb2.FileDescriptorProto:
    """Return the description of `aialgs.data.Record`."""
    file = descriptor_pb2.FileDescriptorProto(name="record.proto", package="aialgs.data", syntax="proto2")
    float32 = file.message_type.add(name="Float32Tensor")
    # Declared as `repeated float values = 1 [packed = true]` by AWS. Packed numbers and bytes are the same on the
    # wire (field 1, length-delimited); as bytes, ten million numbers do not become ten million Python objects.
    _add(float32, "values", 1, _FIELD.TYPE_BYTES)
    _add(float32, "shape", 3, _FIELD.TYPE_UINT64, packed=True)
    int32 = file.message_type.add(name="Int32Tensor")
    _add(int32, "values", 1, _FIELD.TYPE_INT32, packed=True)
    _add(int32, "shape", 3, _FIELD.TYPE_UINT64, packed=True)
    value = file.message_type.add(name="Value")
    value.oneof_decl.add(name="value")
    _add(value, "float32_tensor", 2, _FIELD.TYPE_MESSAGE, of=".aialgs.data.Float32Tensor").oneof_index = 0
    _add(value, "int32_tensor", 7, _FIELD.TYPE_MESSAGE, of=".aialgs.data.Int32Tensor").oneof_index = 0
    _add_map(file.message_type.add(name="Record"), "features", 1)
    return file


def _add(
    message: descriptor_pb2.DescriptorProto,
    name: str,
    number: int,
    kind: int,
    *,
    packed: bool = False,
    of: str = "",
) -> descriptor_pb2.FieldDescriptorProto:
    """Add a field; `packed` makes it a packed repeated field, `of` is its message type."""
    label = _FIELD.LABEL_REPEATED if packed else _FIELD.LABEL_OPTIONAL
    field: descriptor_pb2.FieldDescriptorProto = message.field.add(
        name=name, number=number, type=kind, label=label
    )
    if packed:
        field.options.packed = True
    if of:
        field.type_name = of
    return field


def _add_map(message: descriptor_pb2.DescriptorProto, name: str, number: int) -> None:
    """Add `map<string, Value>`, on the wire a repeated message with key and value."""
    entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
    entry.options.map_entry = True
    _add(entry, "key", 1, _FIELD.TYPE_STRING)
    _add(entry, "value", 2, _FIELD.TYPE_MESSAGE, of=".aialgs.data.Value")
    message.field.add(
        name=name,
        number=number,
        type=_FIELD.TYPE_MESSAGE,
        label=_FIELD.LABEL_REPEATED,
        type_name=f".aialgs.data.Record.{entry.name}",
    )


def _record_class() -> Any:
    """Return the class of the record."""
    # A pool of its own: the SDK registers the same names in the default one.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_schema())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("aialgs.data.Record"))


_RECORD = _record_class()
