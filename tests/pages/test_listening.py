"""The listening socket."""

from __future__ import annotations

import socket

from pages.parts.listening import send_without_delay


def test_accepted_connections_inherit_the_option() -> None:
    """A connection accepted after the call sends without delay, also on a socket bound without a protocol."""
    with socket.socket(socket.AF_INET) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert accepted_option(listener) == 0
        assert send_without_delay() >= 1
        assert accepted_option(listener) == 1
        assert listener.fileno() != -1


def test_other_sockets_stay_as_they_are() -> None:
    """Only TCP sockets that listen are changed."""
    with socket.socket(socket.AF_INET) as idle, socket.socket(socket.AF_UNIX) as local:
        local.bind("")
        local.listen()
        before = send_without_delay()
        assert not idle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        with socket.create_server(("127.0.0.1", 0)):
            assert send_without_delay() == before + 1


def accepted_option(listener: socket.socket) -> int:
    """Connect once, and return TCP_NODELAY of the server's end."""
    with socket.create_connection(listener.getsockname(), timeout=10):
        connection, _ = listener.accept()
        with connection:
            return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
