"""Measure how fast the list of 1,000 training jobs reruns, and with how many viewers: `python -m bench.rerun`.

Two dashboards use the same server of training jobs, which responds as AWS does, to each call after 0.2 s:

    segdeck  as `make run` starts it: `app.py`, with `.streamlit/config.toml`
    stock    the same pages under Streamlit's own settings, without `app.py`

First one viewer of each in turn: a full rerun, and an auto-refresh of the part of the page that has one. Then 10, 50,
100 and 200 viewers of segdeck, each of which refreshes every 5 s, and as many of stock as `--stock-viewers` sets.

A viewer uses Streamlit's own protocol over a WebSocket and draws nothing. The time is measured from a viewer's
message until the server reports the end of the run. Viewers and servers share this machine, so compare only ratios
within one run. CPU and memory are those of the dashboard's process.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin

from bench.support.jobs_server import JobsServer, many

ROOT = Path(__file__).resolve().parents[1]
JOBS, EVERY = 1000, 5.0
AWS_SECONDS = 0.2
"""About the duration of a Search call from outside the region."""

MESSAGE_BYTES = 50_000_000
SETTLE_SECONDS = 3.0
SETTLING_ROUNDS = 2
STOCK = ("--runner.postScriptGC=true",)
SCRIPTS = {"segdeck": ("app.py",), "stock": ("pages/parts/shell.py", *STOCK)}


@dataclass(frozen=True)
class Dashboard:
    """A running dashboard."""

    port: int
    pid: int

    @property
    def cpu_seconds(self) -> float:
        """Return the user and system time since its start."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def megabytes(self) -> float:
        """Return the resident memory in MB."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


class Viewer:
    """An open page that speaks Streamlit's protocol."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._hashes: list[str] = []
        self.fragment = ""
        self.received = 0

    async def rerun(self, fragment: str = "") -> float:
        """Rerun the page, or only one fragment; return the seconds until it is finished."""
        message = BackMsg()
        state = message.rerun_script
        state.page_name, state.fragment_id, state.is_auto_rerun = "training_jobs", fragment, bool(fragment)
        state.cached_message_hashes.extend(self._hashes)
        begin = time.perf_counter()
        await self._socket.send(message.SerializeToString())
        while not self._finishes(await self._socket.recv()):
            pass
        return time.perf_counter() - begin

    def _finishes(self, data: str | bytes) -> bool:
        """Read a message of the server; return whether it ends the run."""
        assert isinstance(data, bytes)
        self.received += len(data)
        message = ForwardMsg.FromString(data)
        if message.metadata.cacheable and message.hash not in self._hashes:
            self._hashes.append(message.hash)
        kind = message.WhichOneof("type")
        if kind == "auto_rerun":
            self.fragment = message.auto_rerun.fragment_id
        early = ForwardMsg.FINISHED_EARLY_FOR_RERUN
        return kind == "script_finished" and bool(message.script_finished != early)


def main() -> None:
    """Measure and print."""
    options = _arguments()
    with JobsServer(many(JOBS), delay=AWS_SECONDS) as aws:
        with dashboard("segdeck", aws) as ours, dashboard("stock", aws) as stock:
            asyncio.run(_one_viewer(ours, stock, options.rounds))
        for name, numbers in (("segdeck", options.viewers), ("stock", options.stock_viewers)):
            for number in numbers:
                with dashboard(name, aws) as server:
                    asyncio.run(_many_viewers(name, server, aws, number, options.seconds))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=60, help="reruns of the single viewer")
    parser.add_argument("--seconds", type=float, default=40, help="duration of the runs with many viewers")
    parser.add_argument("--viewers", type=int, nargs="*", default=[10, 50, 100, 200])
    parser.add_argument("--stock-viewers", type=int, nargs="*", default=[10, 50])
    return parser.parse_args()


async def _one_viewer(ours: Dashboard, stock: Dashboard, rounds: int) -> None:
    """Measure both dashboards in turn, so that both run under the same conditions."""
    took: dict[tuple[str, str], list[float]] = {}
    async with (
        connect(_url(ours), origin=_origin(ours), max_size=MESSAGE_BYTES) as a,
        connect(_url(stock), origin=_origin(stock), max_size=MESSAGE_BYTES) as b,
    ):
        viewers = {"segdeck": Viewer(a), "stock": Viewer(b)}
        for viewer in viewers.values():
            await viewer.rerun()
            await viewer.rerun()
        for _ in range(rounds):
            for name, viewer in viewers.items():
                took.setdefault((name, "whole rerun"), []).append(await viewer.rerun())
                took.setdefault((name, "live refresh"), []).append(await viewer.rerun(viewer.fragment))
    print(f"One viewer of {JOBS:,} jobs, {rounds} rounds, milliseconds")
    for what in ("whole rerun", "live refresh"):
        mine, theirs = took["segdeck", what], took["stock", what]
        ratio = statistics.median(theirs) / statistics.median(mine)
        print(
            f"  {what:13} segdeck {_percentiles(mine)}   stock {_percentiles(theirs)}   {ratio:.1f} times faster"
        )


async def _many_viewers(name: str, server: Dashboard, aws: JobsServer, number: int, seconds: float) -> None:
    """Open the page in all viewers, then refresh each every five seconds, evenly spread over time."""
    sockets = [
        await connect(_url(server), origin=_origin(server), max_size=MESSAGE_BYTES, open_timeout=120)
        for _ in range(number)
    ]
    viewers = [Viewer(socket) for socket in sockets]
    opened = await asyncio.gather(*(viewer.rerun() for viewer in viewers))
    for _ in range(SETTLING_ROUNDS):  # what was pending while all opened at once runs each page again
        await asyncio.sleep(SETTLE_SECONDS)
        await asyncio.gather(*(viewer.rerun(viewer.fragment) for viewer in viewers))
    await asyncio.sleep(SETTLE_SECONDS)
    searches, cpu, begin = aws.calls["Search"], server.cpu_seconds, time.perf_counter()
    refreshes = [
        _refresh(viewer, begin + EVERY * place / number, begin + seconds)
        for place, viewer in enumerate(viewers)
    ]
    took = [took for each in await asyncio.gather(*refreshes) for took in each]
    lasted = time.perf_counter() - begin
    print(
        f"{name:8} {number:4} viewers  refresh {_percentiles(took)} ms   "
        f"opening p50 {statistics.median(opened):.2f} s   "
        f"CPU {(server.cpu_seconds - cpu) / lasted:4.0%}   {server.megabytes:.0f} MB   "
        f"{aws.calls['Search'] - searches} Search calls in {lasted:.0f} s",
        flush=True,
    )
    for connection in sockets:
        await connection.close()


async def _refresh(viewer: Viewer, first: float, until: float) -> list[float]:
    """Refresh one viewer, as a browser does: five seconds after the last refresh, however long that took."""
    took = []
    due = first
    while due < until:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        took.append(await viewer.rerun(viewer.fragment))
        due = max(due + EVERY, time.perf_counter())
    return took


@contextmanager
def dashboard(name: str, aws: JobsServer) -> Iterator[Dashboard]:
    """Start a dashboard, and wait until it responds."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    script, *options = SCRIPTS[name]
    command = [
        sys.executable, "-m", "streamlit", "run", script, "--server.address=127.0.0.1", f"--server.port={port}",
        "--server.headless=true", "--server.fileWatcherType=none", *options,
    ]  # fmt: skip
    with tempfile.TemporaryFile() as log:
        environ = {**os.environ, **aws.environ(), "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until_up(f"http://127.0.0.1:{port}/_stcore/health", process)
            yield Dashboard(port, process.pid)
        finally:
            process.terminate()
            process.wait(30)


def wait_until_up(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a dashboard responds at the URL of its health. Raises SystemExit if it ends or takes a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"The dashboard did not start at {url}.")


def _url(server: Dashboard) -> str:
    return f"ws://127.0.0.1:{server.port}/_stcore/stream"


def _origin(server: Dashboard) -> Origin:
    """Return the Origin header that a browser sends; without it the dashboard refuses a WebSocket."""
    return Origin(f"http://127.0.0.1:{server.port}")


def _percentiles(took: Sequence[float]) -> str:
    """Return the median and the 95th percentile in milliseconds."""
    ordered = sorted(took)
    return f"p50 {statistics.median(ordered) * 1000:5.0f}  p95 {ordered[int(0.95 * (len(ordered) - 1))] * 1000:5.0f}"


if __name__ == "__main__":
    main()
