"""The HTTP/1.1 server of the sandbox: werkzeug's, with persistent connections.

werkzeug closes every connection after one response, because an application may leave a body unread and the next
request would start in the middle of it. Here the body is a stream with an end, its unread rest is discarded (or the
connection closed when it is large), and connections are reused: thousands of calls leave no sockets in TIME_WAIT.

cheroot does not fit: it reads an unread body into memory, and answers a malformed length in its own form, not AWS's.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Iterable
from typing import IO, Any, cast

from werkzeug.exceptions import ClientDisconnected
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wsgi import LimitedStream

from sandbox.http.protocol import shortened, whole_number

MALFORMED = (
    "sandbox.malformed"  # in the environ: why the request cannot be read, for the application to report
)
LEFTOVER_LIMIT = 64 << 20  # bytes of an unread body that are discarded to keep a connection
IDLE_SECONDS = 300


class Listener(ThreadedWSGIServer):
    """A server with one thread per connection, on a socket from `bind`; `stop` also ends the open connections."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, app: Any, sock: socket.socket, *, idle_seconds: float = IDLE_SECONDS) -> None:
        """idle_seconds: after which a connection without requests is closed."""
        host, port = sock.getsockname()[:2]
        handler = type("Handler", (ConnectionHandler,), {"timeout": idle_seconds})
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(host, port, app, handler=handler, fd=sock.fileno())

    def process_request(self, request: Any, client_address: Any) -> None:
        """Handle one connection and remember it, so that `stop` can end it."""
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close one connection and forget it."""
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print a traceback, except for a connection that the client dropped."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def stop(self) -> None:
        """Stop accepting, end the open connections and release the port."""
        self.shutdown()
        self.server_close()
        with self._lock:
            left = list(self._open)
        for request in left:
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)


def bind(host: str, port: int) -> socket.socket:
    """Return a listening TCP socket; port 0 picks a free one. Raises OSError when the port is taken."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(128)
    except OSError:
        sock.close()
        raise
    return sock


class ConnectionHandler(WSGIRequestHandler):
    """Handles the requests of one connection in turn."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are separate writes
    timeout = IDLE_SECONDS

    def run_wsgi(self) -> None:
        """Answer one request, and close the connection unless the next one can be read from it."""
        if self.headers.get("Expect", "").strip().lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        environ = self.make_environ()
        answer = _Response(self, environ["sandbox.body"])
        try:
            answer.send(self.server.app(environ, answer.start_response))
        except (ConnectionError, ClientDisconnected):
            self.close_connection = True
        if not self.close_connection:
            self.close_connection = not _discard_body(environ["sandbox.body"])

    def make_environ(self) -> dict[str, Any]:
        """Return werkzeug's environ with a bounded body, and the headers as sent (WSGI drops some)."""
        environ: dict[str, Any] = super().make_environ()
        environ["sandbox.headers"] = self.headers
        if not environ.get("wsgi.input_terminated"):
            length, environ[MALFORMED] = self._body_length()
            self.close_connection = self.close_connection or bool(environ[MALFORMED])
            environ["wsgi.input"] = LimitedStream(cast(IO[bytes], self.rfile), length)
        environ["sandbox.body"] = environ["wsgi.input"]  # the application may replace "wsgi.input"
        return environ

    def _body_length(self) -> tuple[int, str]:
        """Return the body's length in bytes, and why it is unknown: then the connection cannot be reused."""
        values = {value.strip() for value in self.headers.get_all("Content-Length", [])}
        if not values:
            return 0, ""
        length = whole_number(values.pop()) if len(values) == 1 else None
        if length is None:
            shown = shortened(", ".join(self.headers.get_all("Content-Length", [])))
            return 0, f"Content-Length must be one whole number below 2^63 in plain digits, not {shown!r}."
        return length, ""

    def version_string(self) -> str:
        """Return the value of the Server header."""
        return "segdeck-sandbox"

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Print errors only: a log of all requests would hide the sandbox's own lines.

        An idle connection that is closed is not an error, though http.server reports it as one.
        """
        if type == "error" and not message.startswith("Request timed out"):
            print(message % args if args else message, file=sys.stderr)


class _Response:
    """Implements start_response and writes one response."""

    def __init__(self, handler: ConnectionHandler, body: Any) -> None:
        self.handler, self.body = handler, body
        self.head: tuple[str, list[tuple[str, str]]] | None = None
        self.chunked = False

    def start_response(self, status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Any:
        self.head = status, headers
        return None

    def send(self, body: Iterable[bytes]) -> None:
        try:
            pieces = iter(body)
            first = next(pieces, b"")
            self._send_head()
            self._write(first)
            for piece in pieces:
                self._write(piece)
            if self.chunked:
                self.handler.wfile.write(b"0\r\n\r\n")
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()

    def _send_head(self) -> None:
        """Write status and headers; choose chunked encoding when no length is given."""
        if self.head is None:
            raise RuntimeError("the application gave a body but no status")
        status, headers = self.head
        code, _, reason = status.partition(" ")
        handler = self.handler
        handler.send_response(int(code), reason)
        for name, value in headers:
            handler.send_header(name, value)
        bare = handler.command == "HEAD" or code in {"204", "304"}
        if not bare and not any(name.lower() == "content-length" for name, _ in headers):
            self.chunked = handler.request_version >= "HTTP/1.1"
            handler.send_header(
                *(("Transfer-Encoding", "chunked") if self.chunked else ("Connection", "close"))
            )
        if handler.close_connection or _left(self.body) > LEFTOVER_LIMIT:
            handler.send_header("Connection", "close")
        handler.end_headers()

    def _write(self, piece: bytes) -> None:
        """Write one piece of the body."""
        if not piece or self.handler.command == "HEAD":
            return
        if self.chunked:
            self.handler.wfile.write(b"%x\r\n" % len(piece))
        self.handler.wfile.write(piece)
        if self.chunked:
            self.handler.wfile.write(b"\r\n")


def _left(stream: Any) -> float:
    """Return the unread bytes of the body; infinite for a chunked one, whose length only werkzeug knows."""
    return stream.limit - stream.tell() if isinstance(stream, LimitedStream) else float("inf")


def _discard_body(stream: Any) -> bool:
    """Discard the unread body; return whether the stream is now at the next request."""
    if _left(stream) > LEFTOVER_LIMIT:
        return False
    while stream.read(1 << 16):
        pass
    return _left(stream) == 0
