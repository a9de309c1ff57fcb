"""Independent writers of responses: MXNet's RecordIO and the protobuf library; and a simple one for unusual bytes."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from PIL import Image

ROOT = Path(__file__).parents[3]
MAGIC = struct.pack("<I", 0xCED7230A)

# Run in a separate process: MXNet 1.9 needs a name that numpy removed, and starts threads when imported.
MXNET_WRITER = """
import json, pathlib, sys
from sandbox.algorithm.mxnet_import import AlgorithmError, load_mxnet
try:
    mxnet = load_mxnet()
except AlgorithmError as error:
    sys.exit(f"MXNet cannot be imported here: {error}")
for line in sys.stdin:
    folder = pathlib.Path(line.strip())
    for payload in sorted(folder.glob("*.payload")):
        writer = mxnet.recordio.MXRecordIO(str(payload.with_suffix(".rec")), "w")
        writer.write(payload.read_bytes())
        writer.close()
    for wanted in folder.glob("*.json"):
        arrays = {name: mxnet.nd.zeros(shape, dtype=dtype) for name, dtype, shape in json.loads(wanted.read_text())}
        mxnet.nd.save(str(wanted.with_suffix(".params")), arrays)
    print("written", flush=True)
"""


def varint(number):
    """Return a base-128 number; negative ones as 64 bits, as protobuf sends them."""
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number, content):
    """Return a length-delimited field."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def frame(payload, flag=0):
    """Return one RecordIO part."""
    return MAGIC + struct.pack("<I", flag << 29 | len(payload)) + payload + bytes(-len(payload) % 4)


def floats(values):
    """Return a Float32Tensor with packed values."""
    return field(2, field(1, np.asarray(values, "<f4").tobytes()))


def integers(values):
    """Return an Int32Tensor with packed values."""
    return field(7, field(1, b"".join(varint(int(value)) for value in values)))


def feature(name, value):
    """Return an entry of the map of features."""
    return field(1, field(1, name.encode()) + field(2, value))


def bare(probabilities, shape=None):
    """Return a Record with (C, H, W) probabilities."""
    shape = (1, *probabilities.shape) if shape is None else shape
    return feature("shape", integers(shape)) + feature("target", floats(probabilities))


def softmax(count, height, width, seed=0):
    """Return probabilities, (C, H, W) float32."""
    logits = np.random.default_rng(seed).normal(size=(count, height, width))
    raised = np.exp(logits)
    return (raised / raised.sum(0)).astype(np.float32)


def png(image, **options):
    """Return a PNG as Pillow writes it."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def palette_png(labels, **options):
    """Return an 8-bit PNG with a palette."""
    image = Image.fromarray(np.asarray(labels, np.uint8), "L")
    image.putpalette(bytes(range(256)) * 3)
    return png(image, **options)


def gray_png(labels):
    """Return an 8-bit PNG without a palette."""
    return png(Image.fromarray(np.asarray(labels, np.uint8), "L"))


@pytest.fixture(scope="session")
def wire():
    """Return functions that write responses byte by byte."""
    functions = (varint, field, frame, floats, integers, feature, bare, softmax, png, palette_png, gray_png)
    return SimpleNamespace(**{function.__name__: function for function in functions}, MAGIC=MAGIC)


@pytest.fixture(scope="session")
def record_class():
    """Return the protobuf library's class for `aialgs.data.Record`, from a descriptor."""
    file = descriptor_pb2.FileDescriptorProto(name="record.proto", package="aialgs.data", syntax="proto2")
    kinds = descriptor_pb2.FieldDescriptorProto
    tensors = {
        "Float32Tensor": kinds.TYPE_FLOAT,
        "Float64Tensor": kinds.TYPE_DOUBLE,
        "Int32Tensor": kinds.TYPE_INT32,
    }
    for name, kind in tensors.items():
        message = file.message_type.add(name=name)
        numbers = (("values", 1, kind), ("keys", 2, kinds.TYPE_UINT64), ("shape", 3, kinds.TYPE_UINT64))
        for label, number, of_kind in numbers:
            added = message.field.add(name=label, number=number, type=of_kind, label=kinds.LABEL_REPEATED)
            added.options.packed = True
    message = file.message_type.add(name="Bytes")
    message.field.add(name="value", number=1, type=kinds.TYPE_BYTES, label=kinds.LABEL_REPEATED)
    message.field.add(name="content_type", number=2, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    message = file.message_type.add(name="Value")
    message.oneof_decl.add(name="value")
    members = (("float32_tensor", 2, "Float32Tensor"), ("float64_tensor", 3, "Float64Tensor"))
    for label, number, of in (*members, ("int32_tensor", 7, "Int32Tensor"), ("bytes", 9, "Bytes")):
        message.field.add(
            name=label, number=number, type=kinds.TYPE_MESSAGE, type_name=f".aialgs.data.{of}",
            label=kinds.LABEL_OPTIONAL, oneof_index=0,
        )  # fmt: skip
    record = file.message_type.add(name="Record")
    for label, number in (("features", 1), ("label", 2)):
        entry = record.nested_type.add(name=f"{label.capitalize()}Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
        entry.field.add(
            name="value",
            number=2,
            type=kinds.TYPE_MESSAGE,
            type_name=".aialgs.data.Value",
            label=kinds.LABEL_OPTIONAL,
        )
        record.field.add(
            name=label, number=number, type=kinds.TYPE_MESSAGE, label=kinds.LABEL_REPEATED,
            type_name=f".aialgs.data.Record.{entry.name}",
        )  # fmt: skip
    for label, number in (("uid", 3), ("metadata", 4), ("configuration", 5)):
        record.field.add(name=label, number=number, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("aialgs.data.Record"))


@pytest.fixture(scope="module")
def mxnet_writes():
    """Return a function: folder -> None, which writes the files for its *.payload and *.json in one MXNet process."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", MXNET_WRITER], cwd=ROOT, stdin=pipe, stdout=pipe, text=True
    ) as process:

        def write(folder):
            process.stdin.write(f"{folder}\n")
            process.stdin.flush()
            line = process.stdout.readline()
            while line and line != "written\n":  # what MXNet prints
                line = process.stdout.readline()
            assert line, f"MXNet's writer ended with exit code {process.wait()}"

        yield write
        process.stdin.close()


@pytest.fixture(scope="module")
def mxnet_frame(mxnet_writes, tmp_path_factory):
    """Return a function: payloads -> the records of MXNet's own RecordIO writer."""

    def write(payloads):
        folder = tmp_path_factory.mktemp("recordio")
        for number, payload in enumerate(payloads):
            (folder / f"{number:04}.payload").write_bytes(payload)
        mxnet_writes(folder)
        return [path.read_bytes() for path in sorted(folder.glob("*.rec"))]

    return write


@pytest.fixture(scope="module")
def mxnet_params(mxnet_writes, tmp_path_factory):
    """Return a function: arrays as (name, dtype, shape) -> the file in which MXNet itself saves them."""

    def write(arrays):
        folder = tmp_path_factory.mktemp("params")
        (folder / "a.json").write_text(json.dumps(arrays))
        mxnet_writes(folder)
        return (folder / "a.params").read_bytes()

    return write
