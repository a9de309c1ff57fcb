"""Measure what tiles cost in addition to the endpoint: `python -m bench.tiles [SIDE] [--concurrency 2 --ms 0]`.

A scene of SIDE x SIDE pixels, a GeoTIFF with JPEG compression in blocks of 512, is written by another process and
segmented by a stub that returns one recorded response after some milliseconds. Reported are the time, the processor
time per tile, the overhead over the stub's own time divided by the requests at once, the bytes of the finished tiles,
and the peak resident memory of each stage. Measure the overhead on an idle machine: reading and encoding need its
cores.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core.imaging.classes import Classes
from core.inference.gate import CallGate
from core.inference.invoke import EndpointResponse
from core.tiles.outputs import MapFiles, MapWriter
from core.tiles.plan import DEFAULT_TILE, make_plan
from core.tiles.run import TileOutcome, TileTask, run_tiles
from core.tiles.scene import SceneReader, open_scene
from core.tiles.store import TileStore
from core.wire.decode import RECORDIO
from core.wire.recordio import MAGIC_BYTES
from sandbox.algorithm.answers import record_message

ROOT = Path(__file__).resolve().parents[1]
PART = 2000
"""Pixels of the side of the part that the scene repeats."""


@dataclass
class Stub:
    """An endpoint that returns the same response after `seconds`."""

    body: bytes
    seconds: float
    spent: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, *_: object) -> EndpointResponse:
        """Return a copy of the response, as one from a socket would be."""
        started = time.perf_counter()
        time.sleep(self.seconds)
        answer = EndpointResponse(bytes(bytearray(self.body)), RECORDIO, time.perf_counter() - started)
        with self.lock:
            self.spent += answer.seconds
        return answer


class PeakMemory:
    """Watches the resident memory of this process, by stage, in MB."""

    def __init__(self) -> None:
        self.stage, self.peaks = "start", dict[str, float]()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.peaks[self.stage] = max(self.peaks.get(self.stage, 0), pages * 4096 / 1e6)
            time.sleep(0.02)


def write_scene(path: Path, side: int) -> None:
    """Write smooth gray regions with noise; every tile is different."""
    import rasterio  # noqa: PLC0415 - as the project does

    rng = np.random.default_rng(0)
    coarse = rng.uniform(20, 235, (PART // 50, PART // 50)).repeat(50, 0).repeat(50, 1)
    profile = {"driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint8"}
    profile |= {
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "compress": "jpeg",
        "photometric": "ycbcr",
    }
    place = rasterio.Affine(1, 0, 500_000, 0, -1, 5_300_000)
    with rasterio.open(path, "w", crs="EPSG:32632", transform=place, BIGTIFF="IF_SAFER", **profile) as file:
        for top in range(0, side, PART):
            for left in range(0, side, PART):
                noise = rng.integers(-12, 12, (3, PART, PART))
                part = (coarse + noise).clip(0, 255).astype(np.uint8)
                height, width = min(PART, side - top), min(PART, side - left)
                window = ((top, top + height), (left, left + width))
                file.write(part[:, :height, :width], window=window)


def recorded(classes: int) -> bytes:
    """Return a response to a tile: random probabilities in squares of 16 pixels."""
    rng = np.random.default_rng(1)
    side = DEFAULT_TILE // 16
    planes = rng.random((classes, side, side)).repeat(16, 1).repeat(16, 2).astype(np.float32)
    planes /= planes.sum(axis=0)
    message = record_message()
    message.features["target"].float32_tensor.values = planes.tobytes()
    message.features["shape"].int32_tensor.values.extend((1, *planes.shape))
    payload: bytes = message.SerializeToString()
    return MAGIC_BYTES + len(payload).to_bytes(4, "little") + payload + bytes(-len(payload) % 4)


def main() -> None:
    """Run the measurement and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("side", type=int, nargs="?", default=6000)
    parser.add_argument("--classes", type=int, default=6)
    parser.add_argument("--concurrency", type=int, default=2)
    parser.add_argument("--ms", type=float, default=0.0, help="duration of an invocation")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "scene.tif")
        # Its memory must not count.
        code = "import sys, pathlib, bench.tiles as b; b.write_scene(pathlib.Path(sys.argv[1]), int(sys.argv[2]))"
        subprocess.run([sys.executable, "-c", code, path, str(arguments.side)], cwd=ROOT, check=True)
        measure(path, Path(folder), arguments.classes, arguments.concurrency, arguments.ms / 1000)


def measure(path: Path, folder: Path, count: int, concurrency: int, seconds: float) -> None:
    """Segment the scene and print what it took."""
    memory, stub = PeakMemory(), Stub(recorded(count), seconds)
    classes, scene = Classes.numbered(count), open_scene(path)
    store, outcome = TileStore(folder / "tiles", {}), TileOutcome()
    with SceneReader(scene) as reader, store.turn():
        plan = make_plan(reader, classes=count)
        print("\n".join(plan.sentences()))
        files = MapFiles.of(folder, "scene", scene, confidence=True)
        with MapWriter(scene, files, store.folder, classes.table()) as writer:
            memory.stage = "tiles"
            started, used = time.perf_counter(), time.process_time()
            task = TileTask(plan, reader, store, "stub", classes, stub, CallGate(concurrency))
            run_tiles(task, concurrency, outcome, writer.write, lambda: None)
            wall, used = time.perf_counter() - started, time.process_time() - used
            stored = sum(file.stat().st_size for file in store.folder.glob("*.tile"))
            memory.stage = "maps"
            started = time.perf_counter()
            writer.finish(classes, {}, overwrite=False)
        store.clear_tiles()
    alone = stub.spent / concurrency
    print(f"tiles: {wall:.1f} s, {1000 * used / plan.requests:.1f} ms of processor time per tile")
    print(f"endpoint alone: {alone:.1f} s; overhead {wall / alone - 1:.0%}")
    print(f"finished tiles: {stored / 1e6:,.0f} MB; maps: {time.perf_counter() - started:.1f} s")
    print(f"peak memory, MB: { ({stage: round(peak) for stage, peak in memory.peaks.items()}) }")
    if outcome.failed:
        sys.exit(f"{len(outcome.failed)} tiles failed: {outcome.failed[0][1]}")


if __name__ == "__main__":
    main()
