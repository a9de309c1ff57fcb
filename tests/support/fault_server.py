"""A server in place of AWS on which every call fails in one way until `end`; then it is an empty account."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ERRORS = {
    "throttled": (400, "ThrottlingException", "Rate exceeded"),
    "expired credentials": (
        400,
        "ExpiredTokenException",
        "The security token included in the request is expired",
    ),
    "access denied": (403, "AccessDeniedException", "User is not authorized to perform: sagemaker:Search"),
    "server error": (500, "InternalFailure", "We encountered an internal error."),
    "missing resource": (400, "ValidationException", "Could not find what was asked for."),
}
BROKEN = {
    "garbled body": b"\x00\xff<<>>{{{" * 20,
    "empty JSON": b"{}",
    "truncated body": b'{"Results": [{"Train',
}
FAULTS = ("connection refused", "black hole", "slow", *ERRORS, *BROKEN)
"""black hole: no answer ever; slow: none before it is over."""

EMPTY = {
    "Search": {"Results": [], "TotalHits": {"Value": 0, "Relation": "EqualTo"}},
    "ListEndpoints": {"Endpoints": []},
    "ListModels": {"Models": []},
    "ListTransformJobs": {"TransformJobSummaries": []},
}
CALLER = (
    b'<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
    b"<Arn>arn:aws:iam::123456789012:user/ada</Arn><Account>123456789012</Account></GetCallerIdentityResult>"
    b"</GetCallerIdentityResponse>"
)


class QueueingServer(ThreadingHTTPServer):
    """A server that lets many callers wait: with the usual queue of five, a busy machine makes some call again."""

    daemon_threads = True
    request_queue_size = 128


class FaultServer:
    """One of `FAULTS` at an address, from `start` until `stop`. calls: the called operations, in order."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.calls: list[str] = []
        self.over = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
                outer.calls.append(target or self.path)
                with suppress(ConnectionError):  # a caller that was too impatient has left
                    outer._answer(self, target)

            do_GET = do_POST = do_HEAD = answer  # noqa: N815

            def log_message(self, *args: object) -> None:
                """Keep the test's output clean."""

        self._server = QueueingServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self._server.server_bind()  # until it listens, it refuses connections, and no other server gets its port
        self._listens = False
        if fault != "connection refused":
            self._listen()

    @property
    def url(self) -> str:
        """Return the address; nothing listens there while connections are refused."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def end(self) -> None:
        """End the fault, also for calls that are waiting."""
        if not self._listens:
            self._listen()
        self.over.set()

    def stop(self) -> None:
        """Release the port."""
        self.over.set()
        if self._listens:
            self._server.shutdown()
        self._server.server_close()

    def _listen(self) -> None:
        self._listens = True
        self._server.server_activate()
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def _answer(self, handler: BaseHTTPRequestHandler, target: str) -> None:
        handler.close_connection = True
        if self.fault in ("black hole", "slow") and not self.over.is_set():
            waited = self.over.wait(120)
            if not waited or self.fault == "black hole":
                return
        if self.over.is_set():
            self._well(handler, target)
        elif self.fault in ERRORS:
            self._error(handler, target)
        else:
            body = BROKEN[self.fault]
            _send(handler, 200, body, length=1000 if self.fault == "truncated body" else len(body))

    def _well(self, handler: BaseHTTPRequestHandler, target: str) -> None:
        if target in EMPTY:
            _send(handler, 200, json.dumps(EMPTY[target]).encode())
        elif not target and handler.path == "/" and handler.command == "POST":
            _send(handler, 200, CALLER)
        else:
            self._refuse(handler, target, *ERRORS["missing resource"])

    def _error(self, handler: BaseHTTPRequestHandler, target: str) -> None:
        self._refuse(handler, target, *ERRORS[self.fault])

    @staticmethod
    def _refuse(handler: BaseHTTPRequestHandler, target: str, status: int, code: str, message: str) -> None:
        """Answer with an error in the protocol of the call: JSON, else XML."""
        body = json.dumps({"__type": code, "message": message})
        if not target:
            body = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        _send(handler, status, body.encode())


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, length: int | None = None) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)
