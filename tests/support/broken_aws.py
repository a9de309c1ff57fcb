"""A server in place of AWS that fails in the ways that AWS and networks fail; made without the project's own code."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON = "application/x-amz-json-1.1"
ERRORS = {
    "throttled": (400, "ThrottlingException", "Rate exceeded"),
    "expired token": (400, "ExpiredTokenException", "The security token included in the request is expired"),
    "access denied": (
        403,
        "AccessDeniedException",
        "User: arn:aws:iam::1:user/a is not authorized to perform: it",
    ),
    "internal error": (500, "InternalFailure", "The request processing has failed"),
    "missing": (400, "ValidationException", 'Could not find "this-one".'),
}
S3_ERRORS = {
    "throttled": (503, "SlowDown", "Please reduce your request rate."),
    "expired token": (400, "ExpiredToken", "The provided token has expired."),
    "access denied": (403, "AccessDenied", "Access Denied"),
    "internal error": (500, "InternalError", "We encountered an internal error."),
    "missing": (404, "NoSuchKey", "The specified key does not exist."),
}
BODIES = {
    "garbled": bytes(range(256)) * 2,
    "web page": b"<!DOCTYPE html><html><body><h1>Sign in to the guest network</h1></body></html>",
    "empty JSON": b"{}",
    "nothing": b"",
    "deep": b'{"a":' * 3000 + b"1" + b"}" * 3000,
}


class QuietServer(ThreadingHTTPServer):
    """A server that does not report disconnected clients."""

    def handle_error(self, *_: Any) -> None:
        """Do nothing: the client gave up, as expected."""


class BrokenAws:
    """The server. fault: the active one; requests: those received since it was set."""

    def __init__(self) -> None:
        self.fault = ""
        self.requests: list[str] = []
        self.over = threading.Event()
        self.server = QuietServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        broken = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                broken.requests.append(self.headers.get("X-Amz-Target") or f"{self.command} {self.path}")
                broken.reply(self)

            do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = answer  # noqa: N815

            def log_message(self, *_: Any) -> None:
                """Do nothing: tests read `requests`."""

        return Handler

    def reply(self, to: BaseHTTPRequestHandler) -> None:
        fault = self.fault
        to.close_connection = True
        if fault == "black hole":
            self.over.wait(600)
        elif fault == "dropped":
            pass
        elif fault in BODIES:
            send(to, 200, BODIES[fault])
        elif fault == "truncated":
            send(to, 200, b'{"Endpoints": [{"Endpoi', length=5000)
        else:
            send(to, *error(to, fault))

    def break_with(self, fault: str) -> None:
        """Set the fault, and release requests that an earlier one holds."""
        self.over.set()
        self.over = threading.Event()
        self.fault, self.requests = fault, []


def error(to: BaseHTTPRequestHandler, fault: str) -> tuple[int, bytes, str]:
    """Return status, body and content type of an error, in the protocol of the request."""
    sts = "x-www-form-urlencoded" in to.headers.get("Content-Type", "")
    if sts or "/s3/" in to.headers.get("Authorization", ""):
        status, code, message = S3_ERRORS[fault]
        inner = f"<Code>{code}</Code><Message>{message}</Message>"
        text = f"<ErrorResponse><Error>{inner}</Error></ErrorResponse>" if sts else f"<Error>{inner}</Error>"
        return status, text.encode(), "text/xml"
    status, code, message = ERRORS[fault]
    return status, json.dumps({"__type": code, "message": message}).encode(), JSON


def send(
    to: BaseHTTPRequestHandler,
    status: int,
    body: bytes,
    kind: str = "application/x-amz-json-1.1",
    *,
    length: int = -1,
) -> None:
    to.send_response(status)
    to.send_header("Content-Type", kind)
    to.send_header("Content-Length", str(len(body) if length < 0 else length))
    to.end_headers()
    if to.command != "HEAD":
        to.wfile.write(body)


@contextmanager
def broken_aws() -> Iterator[BrokenAws]:
    """Run the server."""
    broken = BrokenAws()
    with run_server(broken):
        yield broken


@contextmanager
def run_server(broken: BrokenAws) -> Iterator[None]:
    """Run a server in a thread, and stop it afterwards."""
    thread = threading.Thread(target=broken.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        broken.break_with("dropped")
        broken.server.shutdown()
        broken.server.server_close()
        thread.join(5)
