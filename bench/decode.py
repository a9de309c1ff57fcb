"""Measure the time and memory of decoding a response: `python -m bench.decode`.

One response with (1, 21, 600, 800) probabilities, 40 MB, is decoded in turn by

    core.wire    this project: labels and confidence
    tutorial     AWS's notebook: a file, MXNet's RecordIO, protobuf, list(values), np.array, argmax: labels
    argmax       np.argmax and np.max over the probabilities, once they are an array: labels and confidence
    max of axis  np.max along the classes: the confidence alone
    single read  np.max over all values: numpy reading these bytes once

Times are medians over rounds in which each method runs once, so that all run under the same conditions; ratios
compare within the run. Memory is the growth of the process's peak resident memory, each method in a new process that
already
holds the response and its libraries: unlike tracemalloc, this includes what C++ allocates.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core.imaging.segmentation import Segmentation
from core.wire.decode import RECORDIO, decode
from core.wire.recordio import MAGIC_BYTES

SHAPE = (1, 21, 600, 800)
OURS, TUTORIAL, ARGMAX, MAX_OF_AXIS, SINGLE_READ = (
    "core.wire",
    "tutorial",
    "argmax",
    "max of axis",
    "single read",
)
TIMES_TUTORIAL, TIMES_READ = 60, 2
"""Goals: at least this many times as fast as the tutorial; at most this many times a single read."""

Method = Callable[[], object]


def probabilities() -> NDArray[np.float32]:
    """Return the softmax of seeded noise, (1, 21, 600, 800) float32."""
    noise = np.random.default_rng(0).standard_normal(SHAPE, np.float32) * 3
    raised: NDArray[np.float32] = np.exp(noise - noise.max(1, keepdims=True))
    raised /= raised.sum(1, keepdims=True)
    return raised


def response(values: NDArray[np.float32]) -> bytes:
    """Return the response as an endpoint sends it: `shape` first, so that the floats are not aligned."""
    shape = b"".join(_varint(size) for size in values.shape)
    features = _feature(b"shape", _field(7, _field(1, shape)))
    features += _feature(b"target", _field(2, _field(1, values.tobytes())))
    padding = bytes(-len(features) % 4)
    return b"".join([MAGIC_BYTES, len(features).to_bytes(4, "little"), features, padding])


def _varint(number: int) -> bytes:
    groups = [number >> shift & 0x7F for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _feature(name: bytes, value: bytes) -> bytes:
    return _field(1, _field(1, name) + _field(2, value))


def methods(body: bytes) -> dict[str, Method]:
    """Return the methods by name; without MXNet, that of the tutorial is missing."""
    array = np.empty(SHAPE[1:], np.float32)
    start = 8 + int.from_bytes(body[4:8], "little") - array.nbytes
    array.view(np.uint8).reshape(-1)[:] = np.frombuffer(body, np.uint8, array.nbytes, start)
    by_name: dict[str, Method] = {
        OURS: lambda: decode(body, RECORDIO),
        ARGMAX: lambda: (np.argmax(array, axis=0), np.max(array, axis=0)),
        MAX_OF_AXIS: lambda: np.max(array, axis=0),
        SINGLE_READ: lambda: np.max(array),
    }
    tutorial = tutorial_method(body)
    return by_name if tutorial is None else {**by_name, TUTORIAL: tutorial}


def tutorial_method(body: bytes) -> Method | None:
    """Return the decoding of one response as in AWS's notebook, or None without MXNet: see `tutorial_decoder`."""
    decoder = tutorial_decoder()
    return None if decoder is None else partial(decoder, body)


def tutorial_decoder() -> Callable[[bytes], NDArray[np.int64]] | None:
    """Return the decoding of AWS's notebook, or None where MXNet or protobuf cannot be imported."""
    try:
        # MXNet 1.9 uses a name that numpy 1.24 removed.
        np.bool = np.bool_  # type: ignore[attr-defined]
        import mxnet  # noqa: PLC0415

        record_class = _record_class()
    except (ImportError, OSError) as error:
        print(f"The tutorial's method is skipped: {error}", file=sys.stderr)
        return None

    def run(body: bytes) -> NDArray[np.int64]:
        with tempfile.TemporaryDirectory() as folder:
            name = str(Path(folder) / "results.rec")
            Path(name).write_bytes(body)
            reader = mxnet.recordio.MXRecordIO(name, "r")
            record = record_class()
            record.ParseFromString(reader.read())
            reader.close()
        values = list(record.features["target"].float32_tensor.values)
        shape = list(record.features["shape"].int32_tensor.values)
        squeezed = np.squeeze(np.reshape(np.array(values), shape), axis=0)
        labels: NDArray[np.int64] = np.argmax(squeezed, axis=0)
        return labels

    return run


def _record_class() -> type:
    """Return the protobuf library's class for the two features of `aialgs.data.Record`."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # noqa: PLC0415

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="record.proto", package="aialgs.data", syntax="proto2")
    optional, repeated, message = kinds.LABEL_OPTIONAL, kinds.LABEL_REPEATED, kinds.TYPE_MESSAGE
    for name, kind in (("Float32Tensor", kinds.TYPE_FLOAT), ("Int32Tensor", kinds.TYPE_INT32)):
        numbers = file.message_type.add(name=name).field.add(
            name="values", number=1, type=kind, label=repeated
        )
        numbers.options.packed = True
    value = file.message_type.add(name="Value")
    for name, number, of in (("float32_tensor", 2, "Float32Tensor"), ("int32_tensor", 7, "Int32Tensor")):
        value.field.add(
            name=name, number=number, type=message, label=optional, type_name=f".aialgs.data.{of}"
        )
    record = file.message_type.add(name="Record")
    entry = record.nested_type.add(name="FeaturesEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=kinds.TYPE_STRING, label=optional)
    entry.field.add(name="value", number=2, type=message, label=optional, type_name=".aialgs.data.Value")
    record.field.add(
        name="features", number=1, type=message, label=repeated, type_name=".aialgs.data.Record.FeaturesEntry"
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    made: type = message_factory.GetMessageClass(pool.FindMessageTypeByName("aialgs.data.Record"))
    return made


def timed(methods: dict[str, Method], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each method in each round. The slow tutorial runs only in the first few."""
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for number in range(rounds):
        for name, run in methods.items():
            if name == TUTORIAL and number >= min(5, rounds):
                continue
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def peak_growth(name: str, response_file: Path) -> float:
    """Return the growth of the peak memory of a new process by one method, in MB."""
    command = [sys.executable, __file__, "--memory-of", name, "--response", str(response_file)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(json.loads(done.stdout))


def _own_growth(name: str, response_file: Path) -> float:
    """Run a method once in the new process; return the growth of its peak memory in MB."""
    run = methods(response_file.read_bytes())[name]
    forget = Path("/proc/self/clear_refs")
    if forget.exists():
        # "5" resets the peak to the current value: reading and importing temporarily needed more.
        forget.write_text("5")
    before = _peak()
    run()
    return (_peak() - before) / 1e6


def _peak() -> int:
    """Return the peak memory of this process in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss: on Linux a child inherits that of its parent.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def check(methods: dict[str, Method]) -> None:
    """Check that all methods that return labels return the same ones. Raises SystemExit."""
    ours = decode_labels(methods[OURS]())
    for name in methods.keys() & {TUTORIAL, ARGMAX}:
        if not np.array_equal(ours, decode_labels(methods[name]())):
            raise SystemExit(f"{name} and {OURS} return different labels.")


def decode_labels(result: object) -> NDArray[np.integer[Any]]:
    """Return the labels in the result of a method."""
    labels = result.labels if isinstance(result, Segmentation) else result
    return np.asarray(labels[0] if isinstance(labels, tuple) else labels)


def report(seconds: dict[str, list[float]], growth: dict[str, float]) -> str:
    """Return one line per method, then the goals."""
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    ours = medians[OURS]
    lines = [f"{'':14}{'median':>11}{'minimum':>11}{'relative':>10}{'memory':>11}"]
    for name, median in sorted(medians.items(), key=lambda item: item[1]):
        least = min(seconds[name])
        times = f"{median * 1e3:8.1f} ms{least * 1e3:8.1f} ms{median / ours:9.2f}x"
        lines.append(f"{name:14}{times}{growth[name]:8.1f} MB")
    if TUTORIAL in medians:
        ratio = medians[TUTORIAL] / ours
        reached = "reached" if ratio >= TIMES_TUTORIAL else "NOT reached"
        lines.append(f"{ratio:.1f} times as fast as the tutorial: goal >= {TIMES_TUTORIAL}, {reached}")
    ratio = ours / medians[SINGLE_READ]
    reached = "reached" if ratio <= TIMES_READ else "NOT reached"
    lines.append(f"{ratio:.1f} times as long as the single read: goal <= {TIMES_READ}, {reached}")
    lines.append(f"{ours / medians[MAX_OF_AXIS]:.1f} times as long as the max of axis")
    return "\n".join(lines)


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=31, help="runs of each method")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    parser.add_argument("--response", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        print(_own_growth(options.memory_of, options.response))
        return
    body = response(probabilities())
    by_name = methods(body)
    check(by_name)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "response"
        file.write_bytes(body)
        growth = {name: peak_growth(name, file) for name in by_name}
    print(f"A response of {SHAPE}, {len(body) / 1e6:.1f} MB, {options.rounds} rounds, numpy {np.__version__}")
    print(report(timed(by_name, options.rounds), growth))


if __name__ == "__main__":
    main()
