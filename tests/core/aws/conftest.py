"""A real loopback server that returns scripted responses in order."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from core.aws.connection import Clients, Connection
from tests.support.patience import SECONDS


@dataclass(frozen=True)
class Reply:
    """One response. length: the Content-Length header; None: actual. kind: "", "reset", "close" or "silence"."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    kind: str = ""


class CannedServer:
    """Returns the responses in order, repeating the last one; records its requests."""

    def __init__(self) -> None:
        self.replies: list[Reply] = [Reply()]
        self.asked: list[tuple[str, str]] = []
        self.hushed = threading.Event()  # set at the end, so that silent answers end too
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
                outer.asked.append((target or self.command, self.path))
                outer.send(self, outer.replies.pop(0) if len(outer.replies) > 1 else outer.replies[0])

            do_GET = do_POST = do_HEAD = answer  # noqa: N815

            def log_message(self, *args: object) -> None:
                """Keep the test output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def says(self, *replies: Reply) -> None:
        self.replies, self.asked = list(replies), []

    def clients(self, **options: float) -> Clients:
        return Clients(Connection("us-east-1", self.url, None, "AKIDEXAMPLE", "secret"), **options)

    @staticmethod
    def json(answer: dict[str, Any]) -> Reply:
        return Reply(body=json.dumps(answer).encode(), headers={"Content-Type": "application/x-amz-json-1.1"})

    @staticmethod
    def mask(body: bytes, **options: Any) -> Reply:
        """Return an endpoint's valid response."""
        return Reply(body=body, headers={"Content-Type": "image/png"}, **options)

    @staticmethod
    def error(status: int, code: str, message: str, **more: Any) -> Reply:
        """Return an error in the format of SageMaker's two JSON protocols, with a header and `__type`."""
        body = json.dumps({"__type": code, "message": message, "Message": message, **more}).encode()
        headers = {"Content-Type": "application/json", "x-amzn-errortype": code, "x-amzn-RequestId": "req-1"}
        return Reply(status, body, headers)

    @staticmethod
    def raw(status: int, body: bytes) -> Reply:
        return Reply(status, body, {"Content-Type": "text/xml"})

    @staticmethod
    def silence() -> Reply:
        return Reply(kind="silence")

    @staticmethod
    def hangs_up(kind: str) -> Reply:
        return Reply(kind=kind)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.hushed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def send(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        handler.close_connection = True
        if reply.kind == "silence":
            self.hushed.wait(SECONDS)
            return
        if reply.kind == "reset":
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if reply.kind in {"reset", "close"}:
            handler.connection.close()
            return
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(reply.body) if reply.length is None else reply.length))
        handler.end_headers()
        handler.wfile.write(reply.body)


@pytest.fixture
def canned_server() -> Iterator[CannedServer]:
    server = CannedServer()
    server.start()
    yield server
    server.stop()
