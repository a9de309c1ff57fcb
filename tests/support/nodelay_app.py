"""The dashboard's entry, with one more path: whether the connection that requests it has TCP_NODELAY."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app import SHELL, lifespan


class OptionReport:
    """Middleware that answers /nodelay with "0" or "1"."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer that path, and pass everything else on."""
        if scope["type"] == "http" and scope["path"] == "/nodelay":
            option = option_of_connection(scope["client"])
            await PlainTextResponse(str(option))(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def option_of_connection(client: Any) -> int:
    """Read TCP_NODELAY of this process's end of the connection to that address."""
    for name in os.listdir("/dev/fd"):
        try:
            sock = socket.socket(fileno=int(name))
        except OSError:  # not a socket
            continue
        try:
            if sock.family == socket.AF_INET and sock.getpeername() == tuple(client):
                return int(bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
        except OSError:  # it listens, and has no peer
            continue
        finally:
            sock.detach()  # its owner closes it
    raise LookupError(client)


app = st.App(Path(SHELL), lifespan=lifespan, middleware=[Middleware(OptionReport)])
