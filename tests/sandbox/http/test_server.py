"""Persistent connections: the requests on one connection are kept apart."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from http.client import HTTPConnection, IncompleteRead
from threading import Thread
from typing import Any

import pytest

from sandbox.http.server import Listener, bind
from tests.support.patience import SECONDS


def _app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Echo the body's beginning; /stream sends no length, /fail breaks in the middle."""
    if environ["PATH_INFO"] == "/stream":
        start_response("200 OK", [])
        return iter([b"one ", b"", b"two"])
    if environ["PATH_INFO"] == "/fail":
        start_response("200 OK", [("Content-Length", "100")])
        return _broken()
    body = environ["wsgi.input"].read(10)
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def _broken() -> Iterable[bytes]:
    yield b"begun"
    raise ConnectionError("gone")


@pytest.fixture
def connection() -> Iterable[HTTPConnection]:
    sock = bind("127.0.0.1", 0)
    listener = Listener(_app, sock)
    sock.close()
    thread = Thread(target=listener.serve_forever, args=(0.05,))
    thread.start()
    opened = HTTPConnection("127.0.0.1", listener.port, timeout=SECONDS)
    yield opened
    opened.close()
    listener.stop()
    thread.join()


def _ask(connection: HTTPConnection, path: str, body: bytes | None = None) -> bytes:
    connection.request("POST", path, body)
    return connection.getresponse().read()


def test_one_connection_serves_many_requests(connection: HTTPConnection) -> None:
    """After read, unread and streamed bodies the next request on the same socket is parsed correctly."""
    _ask(connection, "/", b"first")
    port = connection.sock.getsockname()[1]
    assert _ask(connection, "/", b"0123456789 and what the application left unread") == b"0123456789"
    assert _ask(connection, "/stream") == b"one two"
    assert _ask(connection, "/", b"last") == b"last"
    connection.request("HEAD", "/stream")
    assert connection.getresponse().read() == b""
    assert _ask(connection, "/", b"after") == b"after"
    assert connection.sock.getsockname()[1] == port


def test_a_large_unread_body_keeps_the_connection(connection: HTTPConnection) -> None:
    """The body that the application did not read is discarded."""
    assert _ask(connection, "/", b"x" * 3_000_000) == b"x" * 10
    assert _ask(connection, "/", b"again") == b"again"


def test_a_huge_unread_body_ends_the_connection(connection: HTTPConnection) -> None:
    """Above a limit the response announces the end of the connection, and it is closed."""
    connection.putrequest("POST", "/")
    connection.putheader("Content-Length", str(1 << 40))
    connection.endheaders(b"x" * 100)
    answer = connection.getresponse()
    assert (answer.headers["Connection"], answer.read()) == ("close", b"x" * 10)


def test_an_answer_that_breaks_ends_the_connection(connection: HTTPConnection) -> None:
    """The client sees that the promised bytes are missing."""
    connection.request("GET", "/fail")
    answer = connection.getresponse()
    with pytest.raises(IncompleteRead):
        answer.read()


def test_a_taken_port_is_an_error(connection: HTTPConnection) -> None:
    """Binding a port in use raises OSError instead of ending the process."""
    connection.connect()
    port = connection.sock.getpeername()[1]
    with pytest.raises(OSError, match="in use"):
        bind("127.0.0.1", port)


def test_stopping_ends_open_connections() -> None:
    """A client with an open connection notices that the server is gone."""
    sock = bind("127.0.0.1", 0)
    listener = Listener(_app, sock)
    sock.close()
    thread = Thread(target=listener.serve_forever, args=(0.05,))
    thread.start()
    with socket.create_connection(("127.0.0.1", listener.port), timeout=SECONDS) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok")
        assert client.recv(1000).startswith(b"HTTP/1.1 200 OK")
        listener.stop()
        thread.join()
        while client.recv(1000):
            pass


def test_idle_connection(capfd: pytest.CaptureFixture[str]) -> None:
    """A connection without requests is closed after a while, and nothing is printed about it."""
    sock = bind("127.0.0.1", 0)
    listener = Listener(_app, sock, idle_seconds=0.05)
    sock.close()
    thread = Thread(target=listener.serve_forever, args=(0.02,))
    thread.start()
    with socket.create_connection(("127.0.0.1", listener.port), timeout=SECONDS) as idle:
        assert idle.recv(1) == b""
    listener.stop()
    thread.join()
    assert capfd.readouterr() == ("", "")
