"""Measure the dashboard's memory over time with many viewers who segment images: `python -m bench.soak`.

Starts `app.py` on a sandbox of its own. Each of `--viewers` opens pages by Streamlit's own protocol, uploads an image
on every second visit and waits for its mask, and closes its tab after eight visits and opens a new one. All images
are different, so that none is served from a cache.

Every `--every` seconds it prints the dashboard's resident memory (RSS), the memory that its C allocator has in use
and keeps free, threads, open files, and the tabs, reruns and masks so far. At the end all viewers leave. The memory
is printed after Streamlit has discarded their sessions (60 s), and again after the allocator has released its free
memory: only what is in use then can be a leak. The growth is the slope of a line through the second half of the run,
because the first half fills caches, which are bounded.

`--types` adds the Python types that grew, `--traces` where the grown memory was allocated (slow). MALLOC_ARENA_MAX
and other environment variables are passed to the dashboard.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from PIL import Image, ImageDraw
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import UploadedFileInfo
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin

ROOT = Path(__file__).resolve().parents[1]
ENDPOINT, VIEWER = "aerial-land-cover", "viewer"
PAGES = (
    "overview",
    "training_jobs",
    "endpoints",
    "launch_training",
    "deploy",
    "evaluate",
    "datasets",
    "setup",
)
RIVER = ROOT / "sandbox" / "demo" / "aerial" / "examples" / "river.jpg"
MESSAGE_BYTES = 100_000_000
START_SECONDS, RUN_SECONDS, MASK_SECONDS, FORGET_SECONDS = 180, 300.0, 300.0, 75.0
LOOK_SECONDS = 0.5
VISITS_PER_TAB = 8
"""Pages that a viewer opens before closing the tab."""

SHOWN = 25


@dataclass
class Tally:
    """Counts of what the viewers did."""

    reruns: int = 0
    masks: int = 0
    tabs: int = 0
    failures: Counter[str] = field(default_factory=Counter)


@dataclass
class Dashboard:
    """A running dashboard with the memory probe."""

    port: int
    process: subprocess.Popen[bytes]
    requests: IO[str]
    reports: IO[str]

    @property
    def origin(self) -> str:
        """Return the URL, which is also the origin."""
        return f"http://127.0.0.1:{self.port}"

    def memory(self) -> int:
        """Return the resident memory in bytes."""
        fields = Path(f"/proc/{self.process.pid}/statm").read_text("ascii").split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self) -> int:
        """Return the number of open files and connections."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def report(self, *wanted: str) -> dict[str, Any]:
        """Return the probe's report."""
        print(*wanted, file=self.requests, flush=True)
        report: dict[str, Any] = json.loads(self.reports.readline())
        return report


class Tab:
    """An open tab that speaks Streamlit's protocol and draws nothing."""

    def __init__(self, socket: ClientConnection, origin: str, tally: Tally) -> None:
        self._socket, self._origin, self._tally = socket, origin, tally
        self._hashes: set[str] = set()
        self._page, self._page_hash = "", ""
        self._uploader = ""
        self._uploaded: list[UploadedFileInfo] = []
        self._fragment = ""
        self._drawn = False

    async def open(self, page: str) -> None:
        """Open a page."""
        self._page, self._page_hash, self._uploader, self._uploaded = page, "", "", []
        await self._run()

    async def segment(self, image: bytes) -> None:
        """Upload an image to the Segment page and wait for its mask."""
        await self.open("segment")
        if not self._uploader:
            raise RuntimeError("the Segment page has no file uploader")
        self._uploaded = [await self._upload(image)]
        await self._run()
        deadline = time.monotonic() + MASK_SECONDS
        while not self._drawn:
            if time.monotonic() > deadline:
                raise TimeoutError("the mask did not arrive")
            await asyncio.sleep(LOOK_SECONDS)
            await self._run(self._fragment)
        self._tally.masks += 1

    async def _upload(self, image: bytes) -> UploadedFileInfo:
        message = BackMsg()
        name = f"{uuid.uuid4().hex}.jpg"
        message.file_urls_request.request_id = name
        message.file_urls_request.file_names.append(name)
        await self._socket.send(message.SerializeToString())
        while True:
            reply = ForwardMsg.FromString(await self._received())
            if reply.WhichOneof("type") == "file_urls_response":
                break
        urls = reply.file_urls_response.file_urls[0]
        await asyncio.to_thread(self._put, urls.upload_url, image)
        return UploadedFileInfo(name=name, size=len(image), file_id=urls.file_id, file_urls=urls)

    def _put(self, path: str, image: bytes) -> None:
        with urllib.request.urlopen(f"{self._origin}/_stcore/health") as answer:
            cookie = next(
                (
                    each.partition(";")[0]
                    for each in answer.headers.get_all("Set-Cookie") or ()
                    if "xsrf" in each
                ),
                "",
            )
        boundary = uuid.uuid4().hex
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="f"; filename="f.jpg"\r\n\r\n'.encode()
        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Origin": self._origin,
            "Cookie": cookie,
            "X-Xsrftoken": cookie.partition("=")[2],
        }
        body = b"".join((head, image, f"\r\n--{boundary}--\r\n".encode()))
        url = path if path.startswith("http") else self._origin + path
        with urllib.request.urlopen(urllib.request.Request(url, body, headers, method="PUT")):
            pass

    async def _run(self, fragment: str = "") -> None:
        message = BackMsg()
        state = message.rerun_script
        state.page_name, state.query_string = "" if self._page_hash else self._page, f"endpoint={ENDPOINT}"
        state.page_script_hash = self._page_hash
        state.fragment_id, state.is_auto_rerun = fragment, bool(fragment)
        state.cached_message_hashes.extend(self._hashes)
        if self._uploader:
            widget = WidgetState(id=self._uploader)
            widget.file_uploader_state_value.uploaded_file_info.extend(self._uploaded)
            state.widget_states.widgets.append(widget)
        self._drawn = False
        await self._socket.send(message.SerializeToString())
        async with asyncio.timeout(RUN_SECONDS):
            while not self._finishes(await self._received()):
                pass
        self._tally.reruns += 1

    async def _received(self) -> bytes:
        data = await self._socket.recv()
        assert isinstance(data, bytes)
        return data

    def _finishes(self, data: bytes) -> bool:
        message = ForwardMsg.FromString(data)
        if message.metadata.cacheable:
            self._hashes.add(message.hash)
        kind = message.WhichOneof("type")
        if kind == "auto_rerun":
            self._fragment = message.auto_rerun.fragment_id
        if kind == "navigation":
            self._page_hash = message.navigation.page_script_hash
        if kind == "delta":
            element = message.delta.new_element
            self._drawn |= VIEWER in element.bidi_component.component_name
            if element.WhichOneof("type") == "file_uploader" and not self._uploader:
                self._uploader = element.file_uploader.id
        return kind == "script_finished" and bool(
            message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN
        )


def main() -> None:
    """Run and print."""
    options = _arguments()
    tally = Tally()
    with dashboard(options) as server:
        asyncio.run(_soak(server, options, tally))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--viewers", type=int, default=30)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--every", type=float, default=15, help="seconds between two lines")
    parser.add_argument("--pause", type=float, default=2, help="seconds that a viewer stays on a page")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--types", action="store_true", help="which Python types grew")
    parser.add_argument("--traces", action="store_true", help="where grown memory was allocated; slow")
    return parser.parse_args()


async def _soak(server: Dashboard, options: argparse.Namespace, tally: Tally) -> None:
    begin = time.monotonic()
    until = begin + 60 * options.minutes
    wanted = [name for name in ("types", "traces") if getattr(options, name)]
    print("minute  RSS MB  in use  kept free  threads  files  tabs  reruns  masks", flush=True)
    lines = [_line(server, 0.0, tally)]
    viewers = [
        asyncio.create_task(
            _viewer(server, random.Random(options.seed * 1000 + number), until, options.pause, tally)
        )
        for number in range(options.viewers)
    ]
    first: dict[str, Any] = {}
    while time.monotonic() < until:
        await asyncio.sleep(min(options.every, max(0.1, until - time.monotonic())))
        minute = (time.monotonic() - begin) / 60
        lines.append(await asyncio.to_thread(_line, server, minute, tally))
        if wanted and not first and minute >= options.minutes / 2:
            first = await asyncio.to_thread(server.report, *wanted)
    await asyncio.gather(*viewers)
    last = await asyncio.to_thread(server.report, *wanted) if wanted else {}
    await asyncio.sleep(FORGET_SECONDS)
    print("All viewers have left:")
    _line(server, (time.monotonic() - begin) / 60, tally)
    server.report("trim")
    print("After the allocator has released its free memory:")
    _line(server, (time.monotonic() - begin) / 60, tally)
    print(f"Streamlit's own caches, bytes: {server.report().get('streamlit')}")
    _summary(lines, tally)
    for name in wanted:
        _grown(name, first.get(name, {}), last.get(name, {}))


async def _viewer(server: Dashboard, choice: random.Random, until: float, pause: float, tally: Tally) -> None:
    await asyncio.sleep(choice.uniform(0, 5))
    while time.monotonic() < until:
        try:
            await _one_tab(server, choice, until, pause, tally)
        except Exception as error:  # noqa: BLE001  # counted and printed; the viewer opens a new tab
            tally.failures[f"{type(error).__name__}: {error}"[:160]] += 1
            await asyncio.sleep(pause)


async def _one_tab(
    server: Dashboard, choice: random.Random, until: float, pause: float, tally: Tally
) -> None:
    address = f"ws://127.0.0.1:{server.port}/_stcore/stream"
    async with connect(
        address, origin=Origin(server.origin), max_size=MESSAGE_BYTES, open_timeout=60, subprotocols=None
    ) as socket:
        tally.tabs += 1
        tab = Tab(socket, server.origin, tally)
        for visit in range(VISITS_PER_TAB):
            if time.monotonic() > until:
                return
            if visit % 2:
                await tab.segment(_image(choice))
            else:
                await tab.open(choice.choice(PAGES))
            await asyncio.sleep(choice.uniform(0.5, 1.5) * pause)


def _image(choice: random.Random) -> bytes:
    """Return a JPEG that no other viewer has."""
    with Image.open(RIVER) as image:
        image.load()
    draw = ImageDraw.Draw(image)
    for _ in range(4):
        left, top = choice.randrange(image.width), choice.randrange(image.height)
        draw.rectangle((left, top, left + 20, top + 20), fill=tuple(choice.randrange(256) for _ in range(3)))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _line(server: Dashboard, minute: float, tally: Tally) -> tuple[float, float]:
    """Print one line; return the minute and the resident megabytes."""
    report, rss = server.report(), server.memory() / 1e6
    print(
        f"{minute:6.2f}  {rss:6.0f}  {report.get('used', 0) / 1e6:6.0f}  {report.get('free', 0) / 1e6:9.0f}  "
        f"{report['threads']:7}  {server.descriptors():5}  {tally.tabs:4}  {tally.reruns:6}  {tally.masks:5}",
        flush=True,
    )
    return minute, rss


def _summary(lines: list[tuple[float, float]], tally: Tally) -> None:
    half = lines[len(lines) // 2 :]
    slope = statistics.linear_regression(*zip(*half, strict=True)).slope if len(half) > 1 else 0.0
    print(
        f"RSS {lines[0][1]:.0f} MB before the first viewer, {max(rss for _, rss in lines):.0f} MB at most, "
        f"{lines[-1][1]:.0f} MB at the end; {slope:+.1f} MB per minute in the second half, {tally.masks} masks."
    )
    for text, count in tally.failures.most_common():
        print(f"  failed {count} times: {text}")


def _grown(name: str, before: dict[str, int], after: dict[str, int]) -> None:
    grown = Counter({key: value - before.get(key, 0) for key, value in after.items()})
    print(f"Grown in the second half, {'objects' if name == 'types' else 'bytes'}:")
    for key, value in grown.most_common(SHOWN):
        if value > 0:
            print(f"  {value:12,}  {key}")


@contextmanager
def dashboard(options: argparse.Namespace) -> Iterator[Dashboard]:
    """Start a dashboard with a sandbox of its own, and wait until its endpoint is in service."""
    request_reader, request_writer = os.pipe()
    report_reader, report_writer = os.pipe()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+b") as log:
        environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SEGDECK_MODE": "sandbox",
            "SEGDECK_SANDBOX_DIR": f"{folder}/sandbox",
            "SEGDECK_STATE_DIR": f"{folder}/state",
            "MEMORY_PROBE_IN": str(request_reader),
            "MEMORY_PROBE_OUT": str(report_writer),
        }
        traces = ["-X", "tracemalloc=12"] if options.traces else []
        command = [
            sys.executable, *traces, "-m", "bench.support.memory_probe", "run", "app.py",
            "--server.address=127.0.0.1", "--server.port=0", "--server.fileWatcherType=none",
        ]  # fmt: skip
        process = subprocess.Popen(
            command, cwd=ROOT, env=environ, stdout=log, stderr=log, pass_fds=(request_reader, report_writer)
        )
        os.close(request_reader)
        os.close(report_writer)
        with os.fdopen(request_writer, "w") as requests, os.fdopen(report_reader) as reports:
            try:
                yield Dashboard(_port(process, log), process, requests, reports)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(60)


def _port(process: subprocess.Popen[bytes], log: IO[bytes]) -> int:
    """Return the port, once the log has the dashboard's URL; that is after the sandbox has started."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        log.seek(0)
        text = log.read().decode("utf-8", "replace")
        for line in text.splitlines():
            if "Segdeck: http" in line:
                return int(line.partition("Segdeck: ")[2].split()[0].rpartition(":")[2])
        time.sleep(0.2)
    raise SystemExit(f"The dashboard did not start:\n{text[-2000:]}")


if __name__ == "__main__":
    main()
