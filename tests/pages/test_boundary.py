"""The browser boundary, in front of an application that records what reaches it."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, Router, WebSocketRoute
from starlette.websockets import WebSocket

from core.origins import parse_origin
from pages.parts import boundary

OWN = "http://localhost:8501"
PUBLIC = "https://segdeck.example.com"
FOREIGN = [
    "null",
    "http://localhost:8502",
    "http://localhost",
    "https://localhost:8501",
    "http://127.0.0.1:8501",  # the same server, but not the page's own origin
    "http://evil.example",
    "http://localhost:8501.evil.example",
    "http://localhost:8501@evil.example",
    "http://evil.example:8501",
    "https://segdeck.example.com:8443",
    "http://segdeck.example.com",
    "https://segdeck.example.com.evil.example",
    "garbage",
]
FOREIGN_HOSTS = [
    "evil.example",
    "evil.example:8501",
    "localhost:8502",
    "localhost",
    "localhost:8501@evil.example",
    "segdeck.example.com:8501",
    "192.168.1.5:8501",
    "",
]


class Fault(Exception):  # noqa: N818
    """A fault of the application."""


Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Response:
    """What an ASGI server would send."""

    status_code: int
    headers: Pairs
    text: str


class Client:
    """An ASGI server in small: the connection arrives at `address`, the headers are sent as they are given."""

    def __init__(self, app, address: str) -> None:
        parts = urlsplit(address)
        self._app, self._server, self._host = app, (parts.hostname, parts.port), parts.netloc

    def get(self, path: str, headers: dict[str, str] | Pairs = ()) -> Response:
        return self.request("GET", path, headers)

    def put(self, path: str, headers: dict[str, str] | Pairs = ()) -> Response:
        return self.request("PUT", path, headers)

    def request(self, method: str, path: str, headers: dict[str, str] | Pairs) -> Response:
        scope = {"type": "http", "scheme": "http", "method": method, "path": path}
        sent = self._run(scope, headers, {"type": "http.request", "body": b"", "more_body": False})
        start = sent[0]
        pairs = [(name.decode(), value.decode()) for name, value in start["headers"]]
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return Response(start["status"], pairs, body.decode())

    def opens(self, headers: dict[str, str] | Pairs) -> bool:
        """Open the WebSocket; whether the application accepted it. A refusal must be a plain HTTP 403 or 421."""
        scope = {"type": "websocket", "scheme": "ws", "path": "/_stcore/stream", "subprotocols": []}
        connect = {"type": "websocket.connect"}
        sent = self._run(scope, headers, connect)
        if sent[0]["type"] == "websocket.accept":
            return True
        denied = self._run({**scope, "extensions": {"websocket.http.response": {}}}, headers, connect)
        assert sent == [{"type": "websocket.close", "code": 1008, "reason": ""}]
        assert denied[0]["status"] in {403, 421}
        return False

    def _run(self, scope, headers, first) -> list:
        pairs = list(headers.items() if isinstance(headers, dict) else headers)
        if "host" not in {name.lower() for name, _ in pairs}:
            pairs.insert(0, ("host", self._host))
        raw = [(name.lower().encode(), value.encode()) for name, value in pairs]
        scope = {
            "query_string": b"",
            "headers": raw,
            "server": self._server,
            "client": ("127.0.0.1", 1),
            **scope,
        }
        sent: list = []

        async def receive():
            return first

        async def send(message):
            sent.append(message)

        async def run():
            with suppress(Fault):  # a server logs it and continues
                await self._app(scope, receive, send)

        with ThreadPoolExecutor(1) as pool:  # Playwright may have a loop of its own in this thread
            pool.submit(anyio.run, run).result(30)
        return sent


class Recorder:
    """A small application behind the boundary."""

    def __init__(self, **options: object) -> None:
        self.hosts: list[str | None] = []
        self.origins: list[str | None] = []
        routes = [
            Route("/fault", self.fault),
            Route("/{path:path}", self.answer, methods=["GET", "PUT"]),
            WebSocketRoute("/_stcore/stream", self.stream),
        ]
        headers = boundary.security_headers(boundary.streamlit_index())
        self.app = boundary.BrowserBoundary(
            Router(routes=routes), headers=headers, allowed_origins=[parse_origin(PUBLIC)], **options
        )

    def client(self, address: str = OWN) -> Client:
        return Client(self.app, address)

    def note(self, headers) -> None:
        self.hosts.append(headers.get("host"))
        self.origins.append(headers.get("origin"))

    async def answer(self, request: Request) -> PlainTextResponse:
        self.note(request.headers)
        return PlainTextResponse("inside", headers={"X-Frame-Options": "ALLOWALL"})

    async def fault(self, request: Request) -> PlainTextResponse:
        raise Fault

    async def stream(self, socket: WebSocket) -> None:
        self.note(socket.headers)
        await socket.accept()
        await socket.close()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_foreign_origin_reaches_nothing(recorder, origin):
    """A page of any other origin opens no WebSocket and sends no request to the application."""
    client = recorder.client()
    assert not client.opens({"Origin": origin})
    assert client.put("/_stcore/upload_file/a/b", headers={"Origin": origin}).status_code == 403
    assert client.get("/", headers={"Origin": origin}).status_code == 403
    assert not recorder.hosts


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_foreign_host_reaches_nothing(recorder, host):
    """A name that was rebound to this machine gets 421, whatever origin comes with it."""
    client = recorder.client()
    for origin in (OWN, PUBLIC, f"http://{host}"):
        assert not client.opens({"Host": host, "Origin": origin})
        assert client.get("/", headers={"Host": host, "Origin": origin}).status_code == 421
    assert client.get("/", headers={"Host": host}).status_code == 421
    assert not recorder.hosts


def test_a_websocket_names_its_origin(recorder):
    """A WebSocket without an Origin header is refused: every browser sends one."""
    assert not recorder.client().opens({})
    assert not recorder.hosts


def test_two_hosts_or_origins_are_refused(recorder):
    """A request that repeats a header cannot pass with one value and be served by the other."""
    client = recorder.client()
    twice = [("origin", OWN), ("origin", "http://evil.example")]
    assert client.get("/", headers=twice).status_code == 403
    assert client.get("/", headers=[("host", "localhost:8501"), ("host", "evil.example")]).status_code == 421
    assert not recorder.hosts


@pytest.mark.parametrize(
    "address", [OWN, "http://127.0.0.1:8501", "http://[::1]:8501", "http://127.0.0.2:8501"]
)
def test_the_own_origin_opens(recorder, address):
    """The page itself works under every name of this machine's loopback address."""
    client = recorder.client(address)
    assert client.opens({"Origin": address})
    assert client.get("/").text == "inside"
    assert client.put("/x", headers={"Origin": address}).text == "inside"


def test_behind_a_proxy_the_public_origin_opens(recorder):
    """An allowed origin opens with the public Host and with the inner one; Streamlit sees both headers agree."""
    client = recorder.client()
    for host in ("segdeck.example.com", "localhost:8501"):
        assert client.opens({"Host": host, "Origin": PUBLIC})
        assert client.put("/x", headers={"Host": host, "Origin": PUBLIC}).text == "inside"
    assert {pair for pair in zip(recorder.hosts, recorder.origins, strict=True) if pair[1]} == {
        ("segdeck.example.com", PUBLIC)
    }, "Streamlit would look up this machine's external address"


def test_a_connection_from_the_network_is_refused(recorder):
    """Whatever server runs the application, a connection to a network address is refused without the switch."""
    client = recorder.client("http://192.168.1.5:8501")
    assert client.get("/").status_code == 403
    assert client.get("/_stcore/health").status_code == 403
    assert not client.opens({"Origin": "http://192.168.1.5:8501"})
    assert not recorder.hosts


def test_an_anonymous_dashboard_answers_to_its_address_only():
    """With SEGDECK_ALLOW_ANONYMOUS the address of the connection is a host, other names still are not."""
    recorder = Recorder(allow_anonymous=True)
    client = recorder.client("http://192.168.1.5:8501")
    assert client.get("/").text == "inside"
    assert client.opens({"Origin": "http://192.168.1.5:8501"})
    assert client.get("/", headers={"Host": "evil.example:8501"}).status_code == 421
    assert not client.opens({"Origin": "http://192.168.1.6:8501"})


def test_a_health_check_may_use_any_host(recorder):
    """A load balancer asks by IP address; all other paths need the dashboard's host."""
    client = recorder.client()
    assert client.get("/_stcore/health", headers={"Host": "10.0.0.7"}).text == "inside"
    assert client.get("/_stcore/health/x", headers={"Host": "10.0.0.7"}).status_code == 421


def test_the_base_path_moves_the_health_check():
    """Under a base path the health check is below it."""
    client = Recorder(base_path="/tools/segdeck/").client()
    assert client.get("/tools/segdeck/_stcore/health", headers={"Host": "10.0.0.7"}).text == "inside"
    assert client.get("/_stcore/health", headers={"Host": "10.0.0.7"}).status_code == 421


def test_no_web_page_calls_the_agent_api(recorder):
    """Streamlit's agent API is not for browsers, not even for the dashboard's own page."""
    assert recorder.client().get("/_stcore/agent/mcp", headers={"Origin": OWN}).status_code == 403


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [("/", {}, 200), ("/fault", {}, 500), ("/", {"Origin": "null"}, 403), ("/", {"Host": "evil.example"}, 421),
     ("/_stcore/health", {}, 200)],
)  # fmt: skip
def test_every_response_has_the_security_headers(recorder, path, headers, status):
    """No response can be framed or sniffed, that of a fault or a refusal included; each header comes once."""
    response = recorder.client().get(path, headers=headers)
    assert response.status_code == status
    wanted = boundary.security_headers(boundary.streamlit_index())
    lowered = {name.lower(): value for name, value in wanted.items()}
    assert sorted((name, value) for name, value in response.headers if name in lowered) == sorted(
        lowered.items()
    )


def test_the_policy_allows_no_foreign_source_and_no_inline_script():
    """The policy names no host and neither unsafe-inline nor unsafe-eval for scripts, and forbids framing."""
    policy = boundary.content_security_policy(boundary.streamlit_index())
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["default-src"] == directives["frame-ancestors"] == "'none'"
    assert "unsafe" not in directives["script-src"]
    assert not re.search(r"https?:|\*", policy)


def test_each_inline_script_of_streamlits_page_is_allowed_by_its_hash():
    """The hash is that of the script's exact text; scripts with an address need none."""
    page = '<script>alert(1)</script><script type="module" crossorigin src="./a.js"></script>'
    policy = boundary.content_security_policy(page)
    assert "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='" in policy
    assert policy.count("sha256-") == 1


def test_a_refusal_is_logged_once(recorder, caplog):
    """The operator learns which host or origin was refused, and a page that keeps trying does not fill the log."""
    client = recorder.client()
    for _ in range(3):
        client.get("/", headers={"Host": "evil.example"})
    for number in range(100):
        client.get("/", headers={"Host": f"evil-{number}.example"})
    refusals = [record.message for record in caplog.records if "Refused" in record.message]
    assert len(refusals) == boundary.LOGGED_REFUSALS
    assert "evil.example" in refusals[0]
    assert "Further refusals are not logged" in refusals[-1]
