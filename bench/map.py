"""Measure the map viewer's server: `python -m bench.map [SIDE] [--plain]`.

A map of SIDE x SIDE pixels (20,000 by default) is written by another process: a JPEG-compressed GeoTIFF, its mask and
its confidence, all with overviews; with --plain without, so that their copies are made first. A server with the
routes of the map runs in a process of its own. At each zoom, tiles in random places are requested by HTTP on one
kept connection, then six at once. Reported are the median and 95th percentile in milliseconds, the bytes of a tile,
and the server's peak memory.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.tiles import PART, write_scene
from core.imaging.classes import Classes
from core.tiles.pyramid import TileGrid

CLASSES = 6
TILES = 60
"""Tiles of a zoom that are requested."""


def write_map(folder: Path, side: int, overviews: bool) -> None:
    """Write a scene, a mask of squares of 40 pixels, and a confidence with noise."""
    import rasterio  # noqa: PLC0415 - as the project does
    from rasterio.enums import Resampling  # noqa: PLC0415

    write_scene(folder / "scene.tif", side)
    rng = np.random.default_rng(2)
    labels = rng.integers(0, CLASSES, (PART // 40, PART // 40), np.uint8).repeat(40, 0).repeat(40, 1)
    percent = rng.integers(60, 100, (PART, PART), np.uint8)
    profile = {"driver": "GTiff", "width": side, "height": side, "count": 1, "dtype": "uint8", "nodata": 255}
    profile |= {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "zlevel": 1}
    for name, part in (("mask", labels), ("confidence", percent)):
        with rasterio.open(folder / f"{name}.tif", "w", **profile) as file:
            for top in range(0, side, PART):
                for left in range(0, side, PART):
                    height, width = min(PART, side - top), min(PART, side - left)
                    window = ((top, top + height), (left, left + width))
                    file.write(part[:height, :width], 1, window=window)
    if not overviews:
        return
    factors = [1 << power for power in range(1, TileGrid(side, side).last_zoom + 1)]
    modes = {"scene": Resampling.average, "mask": Resampling.mode, "confidence": Resampling.average}
    for name, mode in modes.items():
        with rasterio.open(folder / f"{name}.tif", "r+") as file:
            file.build_overviews(factors, mode)


def serve(folder: Path, pipe: Connection) -> None:
    """Serve the map until the pipe says otherwise; send port and token, then the peak memory in MB."""
    import asyncio  # noqa: PLC0415 - in the server's process only
    import socket  # noqa: PLC0415
    import threading  # noqa: PLC0415

    import uvicorn  # noqa: PLC0415
    from starlette.applications import Starlette  # noqa: PLC0415

    from pages.parts.map.routes import routes  # noqa: PLC0415
    from pages.parts.map.service import MapFiles, Maps  # noqa: PLC0415

    maps = Maps(session_open=lambda _: True)
    scene, mask, confidence = (folder / f"{name}.tif" for name in ("scene", "mask", "confidence"))
    token = maps.token(MapFiles(scene, mask, confidence, Classes.numbered(CLASSES)), "bench")
    before = _peak()
    source = maps.find(token)
    assert source is not None
    started = time.perf_counter()
    info = source.wait(3600)
    pipe.send((info, time.perf_counter() - started, before))
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as the dashboard does
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes(lambda: maps)), log_level="error"))

    def stop() -> None:
        pipe.recv()
        server.should_exit = True

    threading.Thread(target=stop, daemon=True).start()
    pipe.send((sock.getsockname()[1], token))
    asyncio.run(server.serve([sock]))
    maps.close()
    pipe.send(_peak())


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def measure(port: int, token: str, grid: TileGrid) -> None:
    """Request tiles of each layer and zoom, and print the times."""
    choose = random.Random(0)
    print("layer       zoom  median ms  p95 ms    kB   six at once: median  p95")
    for layer in ("scene", "mask", "confidence"):
        for zoom in range(grid.last_zoom + 1):
            columns, rows = grid.count(zoom)
            paths = [
                f"/map/{token}/{layer}/{zoom}/{choose.randrange(columns)}/{choose.randrange(rows)}.png"
                for _ in range(TILES)
            ]
            get = _client(port)
            rows_one = [get(path) for path in paths]
            choose.shuffle(paths)
            chunks = [paths[start::6] for start in range(6)]
            with ThreadPoolExecutor(6) as pool:
                many = [
                    row for part in pool.map(lambda c: list(map(_client(port), c)), chunks) for row in part
                ]
            times, together = ([row[0] for row in each] for each in (rows_one, many))
            size = statistics.median(row[1] for row in rows_one) / 1000
            print(
                f"{layer:<11} {zoom:>4}  {statistics.median(times):>9.1f} {_p95(times):>7.1f} {size:>5.0f}"
                f"   {statistics.median(together):>19.1f} {_p95(together):>4.1f}"
            )


def _p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]


def _client(port: int) -> Callable[[str], tuple[float, int]]:
    """Return a function that requests a path on a connection of its own: milliseconds, and bytes."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)

    def get(path: str) -> tuple[float, int]:
        started = time.perf_counter()
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise SystemExit(f"{path}: {response.status} {body[:200]!r}")
        return 1000 * (time.perf_counter() - started), len(body)

    return get


def main() -> None:
    """Run the measurement and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("side", type=int, nargs="?", default=20_000)
    parser.add_argument("--plain", action="store_true", help="write the files without overviews")
    options = parser.parse_args()
    processes: Any = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        writing = processes.Process(target=write_map, args=(folder, options.side, not options.plain))
        writing.start()
        writing.join()
        here, there = processes.Pipe()
        serving = processes.Process(target=serve, args=(folder, there))
        serving.start()
        info, seconds, before = here.recv()
        if info["state"] != "ready":
            raise SystemExit(json.dumps(info))
        copies = sum(path.stat().st_size for path in folder.glob(".*.view.tif")) / 1e6
        files = sum(path.stat().st_size for path in folder.glob("[!.]*.tif")) / 1e6
        print(f"opened in {seconds:.1f} s; files {files:.0f} MB, copies {copies:.0f} MB")
        port, token = here.recv()
        measure(port, token, TileGrid(options.side, options.side))
        here.send("stop")
        print(f"peak memory of the server: {here.recv():.0f} MB, {before:.0f} MB before the map was opened")
        serving.join()


if __name__ == "__main__":
    main()
