"""The browser boundary: which web pages may talk to the dashboard, and what its own pages may load.

`BrowserBoundary` is the first middleware, so that neither Streamlit nor a route sees what it refuses. It is plain
ASGI: Starlette's `BaseHTTPMiddleware` does not see WebSockets.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from core.origins import LOOPBACK_NAMES, Origin, is_loopback, parse_host, parse_origin

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

Headers = Sequence[tuple[bytes, bytes]]

FORBIDDEN, MISDIRECTED, FAILED = 403, 421, 500
POLICY_VIOLATION = 1008
HEALTH_PATH = "/_stcore/health"
AGENT_PATHS = "/_stcore/agent/"
KNOWN_TO_STREAMLIT = ("localhost", "127.0.0.1")
"""For every other origin Streamlit asks the internet for this machine's external address."""

LOGGED_REFUSALS = 50
"""Different refusals that are logged; a page that keeps trying must not fill the log."""

INLINE_SCRIPT = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)

LOG = logging.getLogger("segdeck")


class RefusedError(Exception):
    """A request from outside the boundary. status: the HTTP status to answer with."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def security_headers(index_html: str) -> dict[str, str]:
    """Return the headers of every response. index_html: Streamlit's own page, whose inline scripts are allowed."""
    return {
        "Content-Security-Policy": content_security_policy(index_html),
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    }


def content_security_policy(index_html: str) -> str:
    """Return the strictest policy under which Streamlit, the viewer component and the camera work."""
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()}'"
        for body in INLINE_SCRIPT.findall(index_html)
    ]
    directives = {
        "default-src": ["'none'"],
        "script-src": ["'self'", "blob:", *hashes],  # blob: how Streamlit loads a component's JavaScript
        "style-src": ["'self'", "'unsafe-inline'"],  # Streamlit styles its elements at run time
        "img-src": ["'self'", "data:", "blob:"],
        "font-src": ["'self'", "data:"],
        "connect-src": ["'self'", "data:"],  # data: how the camera widget reads its own image
        "media-src": ["'self'", "blob:"],
        "worker-src": ["'self'", "blob:"],
        "manifest-src": ["'self'"],
        "frame-src": ["'none'"],
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in directives.items())


def streamlit_index() -> str:
    """Read the page that Streamlit serves at every address."""
    import streamlit  # noqa: PLC0415  # the rest of this module works without

    return (Path(streamlit.__file__).parent / "static" / "index.html").read_text("utf-8")


class BrowserBoundary:
    """Refuses foreign hosts and origins, and adds the security headers to every response.

    allowed_origins: public origins of this dashboard, in addition to the address a request arrives at.
    allow_anonymous: whether requests may arrive at an address that other machines reach.
    headers:         added to every response; they replace headers of the same name.
    base_path:       `server.baseUrlPath`.

    A WebSocket must name exactly one origin; an HTTP request may name none, because a browser sends none with a
    navigation. Health checks may use any host: a load balancer asks by IP address.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        allowed_origins: Iterable[Origin] = (),
        allow_anonymous: bool = False,
        headers: Mapping[str, str],
        base_path: str = "",
    ) -> None:
        self._app = app
        self._allowed = frozenset(allowed_origins)
        self._allow_anonymous = allow_anonymous
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        self._base = f"/{base_path.strip('/')}" if base_path.strip("/") else ""
        self._logged: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        try:
            inner = self._admit(scope)
        except RefusedError as refusal:
            self._log(scope, refusal)
            await self._refuse(scope, receive, send, refusal)
            return
        if scope["type"] == "websocket":
            await self._app(inner, receive, send)
        else:
            await self._respond(inner, receive, send)

    def _admit(self, scope: Scope) -> Scope:
        """Return the scope as Streamlit may see it. Raises RefusedError."""
        server_host, server_port = _server(scope)
        if server_host and not self._allow_anonymous and not is_loopback(server_host):
            raise RefusedError(
                FORBIDDEN,
                "This dashboard has no sign-in and answers to its own machine only; "
                "SEGDECK_ALLOW_ANONYMOUS=1 opens it to the network.",
            )
        if scope["type"] == "http" and scope["path"] == self._base + HEALTH_PATH:
            return _without_origin(scope)
        scheme = "https" if scope["scheme"] in {"https", "wss"} else "http"
        host = self._check_host(scope["headers"], scheme, server_host, server_port)
        origin = self._check_origin(scope["headers"], scheme, host, required=scope["type"] == "websocket")
        if origin is None:
            return scope
        if scope["type"] == "websocket":
            # Streamlit compares Origin with Host, and looks up its external address where they differ.
            return {**scope, "headers": _with_host(scope["headers"], _values(scope["headers"], b"origin")[0])}
        if scope["path"].startswith(self._base + AGENT_PATHS):
            raise RefusedError(FORBIDDEN, "Programs may call the agent API, web pages may not.")
        return scope if origin.host in KNOWN_TO_STREAMLIT else _without_origin(scope)

    def _check_host(self, headers: Headers, scheme: str, server_host: str, server_port: int | None) -> str:
        """Return the Host header once it names this dashboard. Raises RefusedError."""
        values = _values(headers, b"host")
        text = values[0] if len(values) == 1 else ""
        for origin in self._allowed:
            if _parsed(partial(parse_host, text, origin.scheme)) == origin:
                return text
        host = _parsed(partial(parse_host, text, scheme))
        names = {*LOOPBACK_NAMES, server_host}
        if host is not None and host.host in names and server_port in {None, host.port}:
            return text
        raise RefusedError(
            MISDIRECTED,
            "This server does not answer to that host name. If it is the dashboard's public address, add it to "
            "SEGDECK_ALLOWED_ORIGINS.",
        )

    def _check_origin(self, headers: Headers, scheme: str, host: str, *, required: bool) -> Origin | None:
        """Return the request's origin, None where it has none and needs none. Raises RefusedError."""
        values = _values(headers, b"origin")
        if not values and not required:
            return None
        origin = _parsed(partial(parse_origin, values[0])) if len(values) == 1 else None
        own = _parsed(partial(parse_host, host, scheme))
        if origin is not None and (origin == own or origin in self._allowed):
            return origin
        raise RefusedError(FORBIDDEN, "Only the dashboard's own pages may call it.")

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add the headers to its response, that of a fault included."""
        started = False

        async def with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                names = {name for name, _ in self._headers}
                kept = [(key, value) for key, value in message.get("headers", ()) if key.lower() not in names]
                message = {**message, "headers": [*kept, *self._headers]}
            await send(message)

        try:
            await self._app(scope, receive, with_headers)
        except Exception:
            if not started:
                await self._answer(send, FAILED, "The server failed; its log has the traceback.")
            raise  # to the outer layers, which log it

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, refusal: RefusedError) -> None:
        if scope["type"] == "http":
            await self._answer(send, refusal.status, str(refusal))
            return
        await receive()  # websocket.connect
        if "websocket.http.response" in scope.get("extensions", {}):
            await self._answer(send, refusal.status, str(refusal), kind="websocket.http.response")
        else:  # the server then answers 403
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": ""})

    async def _answer(self, send: Send, status: int, text: str, kind: str = "http.response") -> None:
        body = f"{text}\n".encode()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            *self._headers,
        ]
        await send({"type": f"{kind}.start", "status": status, "headers": headers})
        await send({"type": f"{kind}.body", "body": body})

    def _log(self, scope: Scope, refusal: RefusedError) -> None:
        """Log each refusal once; after `LOGGED_REFUSALS` of them, no more."""
        host, origin = (_values(scope["headers"], name) for name in (b"host", b"origin"))
        line = f"Refused a {scope['type']} request ({refusal.status}): Host {host!r}, Origin {origin!r}."
        if line not in self._logged and len(self._logged) < LOGGED_REFUSALS:
            self._logged.add(line)
            last = " Further refusals are not logged." if len(self._logged) == LOGGED_REFUSALS else ""
            LOG.warning("%.400s%s", line, last)


def _parsed(parse: partial[Origin]) -> Origin | None:
    try:
        return parse()
    except ValueError:
        return None


def _server(scope: Scope) -> tuple[str, int | None]:
    """Return the local address and port the connection arrived at; an empty address for a Unix socket."""
    host, port = scope.get("server") or ("", None)
    if port is None:
        return "", None
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.lower(), port
    mapped = getattr(address, "ipv4_mapped", None)  # an IPv4 connection to a dual-stack socket
    return str(mapped or address), port


def _values(headers: Headers, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key == name]


def _with_host(headers: Headers, origin: str) -> Headers:
    netloc = origin.partition("://")[2].encode("latin-1")
    return [(key, netloc if key == b"host" else value) for key, value in headers]


def _without_origin(scope: Scope) -> Scope:
    return {**scope, "headers": [(key, value) for key, value in scope["headers"] if key != b"origin"]}


def url_of(host: str, port: int, *, scheme: str = "http", base_path: str = "") -> str:
    """Return the address to open in a browser for a listening address."""
    return f"{Origin(scheme, host.strip('[]').lower(), port)}/{base_path.strip('/')}".rstrip("/")
