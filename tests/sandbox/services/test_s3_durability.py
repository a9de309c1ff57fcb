"""What a killed server leaves behind, and how much memory large objects use."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.services.s3 import S3
from sandbox.services.s3.payload import CHUNK
from sandbox.services.s3.store import ObjectStore
from sandbox.services.s3.values import Attributes
from tests.support.patience import SECONDS, wait_until

_ROOT = Path(__file__).parents[3]
_SERVE = """
import sys, threading
from pathlib import Path
from sandbox.http.server import Listener, bind
from sandbox.services.s3 import S3
sock = bind("127.0.0.1", 0)
listener = Listener(S3(Path(sys.argv[1]), "us-east-1"), sock)
print(sock.getsockname()[1], flush=True)
listener.serve_forever()
"""


class Server:
    """S3 in a process of its own."""

    def __init__(self, root: Path) -> None:
        command = [sys.executable, "-c", _SERVE, str(root)]
        self.process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def serve(tmp_path: Path):
    started: list[Server] = []

    def start() -> Server:
        started.append(Server(tmp_path))
        return started[-1]

    yield start
    for server in started:
        server.kill()


def _files(root: Path) -> list[Path]:
    return [path for path in (root / "blobs").rglob("*") if path.is_file()]


def test_kill_in_the_middle_of_an_upload(serve: Callable[[], Server], tmp_path: Path) -> None:
    """After kill -9 during an upload the old object is complete, and no bytes of the new one remain."""
    server = serve()
    server.ask("PUT", "/bucket")
    server.ask("PUT", "/bucket/k", b"old")
    with socket.create_connection(("127.0.0.1", server.port)) as upload:
        upload.sendall(
            b"PUT /bucket/k HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n" + bytes(3 * CHUNK)
        )
        wait_until(lambda: sum(path.stat().st_size for path in _files(tmp_path)) > CHUNK)
        server.kill()
    assert len(_files(tmp_path)) == 2
    again = serve()
    assert again.ask("GET", "/bucket/k") == (200, b"old")
    assert len(_files(tmp_path)) == 1


def test_client_gone_in_the_middle_of_an_upload(serve: Callable[[], Server], tmp_path: Path) -> None:
    """When the client disconnects during an upload, the old object stays and the new bytes are removed."""
    server = serve()
    server.ask("PUT", "/bucket")
    server.ask("PUT", "/bucket/k", b"old")
    with socket.create_connection(("127.0.0.1", server.port)) as upload:
        upload.sendall(
            b"PUT /bucket/k HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n" + bytes(3 * CHUNK)
        )
        wait_until(lambda: len(_files(tmp_path)) == 2)
    wait_until(lambda: len(_files(tmp_path)) == 1)
    assert server.ask("GET", "/bucket/k") == (200, b"old")


def test_everything_is_there_after_kill(serve: Callable[[], Server]) -> None:
    """Objects whose upload was acknowledged survive kill -9."""
    server = serve()
    server.ask("PUT", "/bucket")
    for number in range(20):
        assert server.ask("PUT", f"/bucket/{number}", str(number).encode())[0] == 200
    server.kill()
    again = serve()
    assert [again.ask("GET", f"/bucket/{number}") for number in range(20)] == [
        (200, str(number).encode()) for number in range(20)
    ]


def test_memory_is_bounded(serve: Callable[[], Server]) -> None:
    """Uploading and downloading 200 MB takes the server less than 80 MB of memory."""
    server = serve()
    server.ask("PUT", "/bucket")
    before = _peak(server)
    size = 200 << 20
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)
    connection.request("PUT", "/bucket/k", (bytes(CHUNK) for _ in range(200)), {"Content-Length": str(size)})
    assert connection.getresponse().status == 200
    connection.close()
    connection.request("GET", "/bucket/k")
    response, count = connection.getresponse(), 0
    while data := response.read(CHUNK):
        count += len(data)
    assert count == size
    assert _peak(server) - before < 80 << 20


def _peak(server: Server) -> int:
    """Return the peak memory of the server's process, bytes."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """When the bytes of an upload end in an error, no file remains."""
    store = ObjectStore(tmp_path)

    def broken():
        yield b"some"
        raise ValueError("the client broke its promise")

    with pytest.raises(ValueError, match="promise"):
        store.write(broken(), lambda: "")
    assert _files(tmp_path) == []
    store.close()


def test_reopened(tmp_path: Path) -> None:
    """Buckets, objects with their attributes, and uploads in progress survive a restart."""
    store = ObjectStore(tmp_path, clock=lambda: 12.5)
    store.create_bucket("bucket")
    blob = store.write([b"one", b"two"], lambda: "tag")
    store.put("bucket", "k", blob, Attributes({"content-type": "text/plain"}, tags={"a": "1"}))
    upload = store.upload("bucket", "u", store.start_upload("bucket", "u", "crc32", Attributes()))
    store.put_part(upload, 1, store.write([b"part"], lambda: "p"), {})
    store.close()
    again = ObjectStore(tmp_path)
    stored, file = again.open("bucket", "k")
    with file:
        assert file.read() == b"onetwo"
    assert (stored.modified, stored.attributes.tags, stored.blob.etag) == (12.5, {"a": "1"}, "tag")
    assert [part.blob.size for part in again.parts(upload.id)] == [4]
    again.close()


def test_another_region(tmp_path: Path) -> None:
    """Outside of us-east-1 a bucket reports its region, and creating one's own again is a conflict."""
    app = S3(tmp_path, "eu-central-1")
    statuses = []

    def ask(method: str, path: str) -> bytes:
        raw, _, query = path.partition("?")
        environ = {"REQUEST_METHOD": method, "RAW_URI": raw, "QUERY_STRING": query, "wsgi.input": None}
        return b"".join(app(environ, lambda status, headers: statuses.append(status)))

    ask("PUT", "/bucket")
    assert b">eu-central-1<" in ask("GET", "/bucket?location")
    assert b"BucketAlreadyOwnedByYou" in ask("PUT", "/bucket")
    assert [status[:3] for status in statuses] == ["200", "200", "409"]
    app.close()
