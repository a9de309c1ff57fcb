"""Let the dashboard's server send small packets at once.

Streamlit binds its listening socket with protocol 0, and asyncio sets TCP_NODELAY only on sockets whose protocol is
IPPROTO_TCP. Head and body of a response are separate packets, so on a kept connection each body waited for the
client's delayed ACK: about 40 ms on Linux.

Neither Streamlit nor uvicorn has an option for it, or gives the application its socket, so the socket is looked up in
the process's own list of open descriptors. Accepted connections inherit the option from it (Linux, macOS).
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

DESCRIPTORS = Path("/dev/fd")
"""The open descriptors of the process that reads it."""


def send_without_delay() -> int:
    """Set TCP_NODELAY on every TCP socket on which this process listens; return how many there are."""
    number = 0
    for descriptor in _sockets():
        try:
            sock = socket.socket(fileno=descriptor)
        except OSError:  # closed since it was listed
            continue
        try:
            if _listens(sock):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                number += 1
        finally:
            sock.detach()  # its owner closes it
    return number


def _sockets() -> Iterator[int]:
    if not DESCRIPTORS.is_dir():
        return  # Windows
    for name in os.listdir(DESCRIPTORS):
        try:
            is_socket = stat.S_ISSOCK(os.fstat(int(name)).st_mode)
        except OSError:  # closed since it was listed, as the descriptor of the listing itself
            continue
        if is_socket:
            yield int(name)


def _listens(sock: socket.socket) -> bool:
    internet = sock.family in {socket.AF_INET, socket.AF_INET6} and sock.type == socket.SOCK_STREAM
    return internet and bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
