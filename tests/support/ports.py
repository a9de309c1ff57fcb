"""Ports for servers that are given theirs by number."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Return a port of this machine that no other program is given for the next minute.

    A port that was merely free a moment ago may be taken by the time that a server has started. After a connection
    that the port's side has closed first, the system gives the port to those alone who ask for it by number.
    """
    with socket.socket() as listener, socket.socket() as caller:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        caller.connect(listener.getsockname())
        accepted, _ = listener.accept()
        accepted.close()
        return int(listener.getsockname()[1])
