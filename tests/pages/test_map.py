"""The map viewer's server side: signed links, and the routes under them, over a real loopback server."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.middleware import Middleware

from core.errors import ImageError
from pages.parts import boundary
from pages.parts.map.routes import routes
from pages.parts.map.service import LIFETIME, MAX_MAPS, MapFiles, Maps
from tests.support.apps import app_from_file
from tests.support.maps import CLASSES, MapFolder, write_map
from tests.support.patience import SECONDS, wait_until

PAGE = Path(__file__).parents[1] / "browser" / "map_page.py"
BASE = "/deck"


@dataclass
class Reply:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """A server with the routes, whose clock and open sessions a test sets."""

    port: int = 0
    now: float = 1_000_000.0
    sessions: set[str] = field(default_factory=lambda: {"tab"})
    maps: Maps = field(init=False)

    def __post_init__(self) -> None:
        self.maps = Maps(now=lambda: self.now, session_open=lambda session: session in self.sessions)

    def get(self, path: str, **headers: str) -> Reply:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.request(
                "GET", BASE + path, headers={k.replace("_", "-"): v for k, v in headers.items()}
            )
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def ready(self, token: str) -> dict[str, object]:
        """Return the map's description once it is open, or why it could not be opened."""

        def info() -> dict[str, object] | None:
            row: dict[str, object] = json.loads(self.get(f"/map/{token}/info.json").body)
            return row if row["state"] != "preparing" else None

        row: dict[str, object] = wait_until(info)
        return row


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    """A server behind the browser boundary, under a base path."""
    server = Server()
    app = Starlette(
        routes=routes(lambda: server.maps, BASE),
        middleware=[
            Middleware(
                boundary.BrowserBoundary, headers=boundary.security_headers(""), base_path=BASE.strip("/")
            )
        ],
    )
    http = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=http.run, daemon=True)
    thread.start()
    wait_until(lambda: http.started)
    server.port = http.servers[0].sockets[0].getsockname()[1]
    yield server
    http.should_exit = True
    thread.join(SECONDS)
    server.maps.close()


@pytest.fixture
def server(running: Server) -> Server:
    """That server, with the clock and the session of the start."""
    running.now, running.sessions = 1_000_000.0, {"tab"}
    return running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> MapFolder:
    """A map of 1,000 x 700 pixels."""
    return write_map(tmp_path_factory.mktemp("map"))


@pytest.fixture
def token(server: Server, folder: MapFolder) -> str:
    """A link to that map, which is open."""
    token = server.maps.token(files_of(folder), "tab")
    assert server.ready(token)["state"] == "ready"
    return token


def files_of(folder: MapFolder) -> MapFiles:
    return MapFiles(folder.scene, folder.mask, folder.confidence, CLASSES)


def test_a_tile_is_the_files_and_stays_in_the_browsers_cache(
    server: Server, token: str, folder: MapFolder
) -> None:
    """A tile is a PNG of the file, which the browser may keep, privately, and need not load again."""
    reply = server.get(f"/map/{token}/mask/2/1/1.png")
    assert (reply.status, reply.headers["content-type"]) == (200, "image/png")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(reply.body))), folder.labels[256:512, 256:512])
    assert reply.headers["cache-control"] == "private, max-age=31536000, immutable"
    again = server.get(f"/map/{token}/mask/2/1/1.png", If_None_Match=reply.headers["etag"])
    assert (again.status, again.body) == (304, b"")


def test_the_boundary_holds_for_tiles(server: Server, token: str) -> None:
    """A tile has the security headers, and another host or web page does not get it."""
    path = f"/map/{token}/scene/0/0/0.png"
    reply = server.get(path)
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cross-origin-resource-policy"] == "same-origin"
    assert server.get(path, Host="evil.example").status == 421
    assert server.get(path, Origin="http://evil.example").status == 403


def test_only_links_that_were_signed_for_this_map_are_answered(
    server: Server, token: str, folder: MapFolder, tmp_path: Path
) -> None:
    """Any change of a link, another server's key, and what no page has shown are 404."""
    data = bytearray(base64.urlsafe_b64decode(token))
    changed = []
    for place in range(len(data)):
        data[place] ^= 1
        changed.append(base64.urlsafe_b64encode(bytes(data)).decode())
        data[place] ^= 1
    foreign = Maps(session_open=lambda _: True).token(files_of(folder), "tab")
    for wrong in (*changed[::5], foreign, "", "a", "%00", "..", token[:-4], token + "AAAA", "é"):
        if wrong and wrong.isascii():
            assert server.get(f"/map/{wrong}/mask/0/0/0.png").status == 404
            assert server.get(f"/map/{wrong}/info.json").status == 404
        assert server.maps.find(wrong) is None
    assert all(server.maps.find(each) is None for each in changed)
    assert server.maps.find(token) is not None


@pytest.mark.parametrize(
    "rest",
    [
        "other/0/0/0.png",
        "classes/0/0/0.png",
        "mask/3/0/0.png",
        "mask/0/1/0.png",
        "mask/2/0/3.png",
        "mask/-1/0/0.png",
        "mask/00/0/0.png",
        "mask/1e0/0/0.png",
        f"mask/0/0/{'9' * 5000}.png",
        "mask/0/0/0.tif",
        "..%2f..%2fetc/0/0/0.png",
        "mask/../../../etc/passwd",
        "mask/0/0/..%2f..%2fscene.tif",
        "scene.tif",
        "value/1000/0.json",
        "value/0/700.json",
        "value/-1/0.json",
        "value/a/0.json",
        "",
    ],
)
def test_what_is_not_a_tile_of_the_map_does_not_exist(server: Server, token: str, rest: str) -> None:
    """Another layer, a tile outside of the image, and any path to a file are 404, with nothing else said."""
    reply = server.get(f"/map/{token}/{rest}")
    assert (reply.status, reply.body) == (404, b"Not found.\n")
    assert reply.headers["cache-control"] == "no-store"


def test_a_link_expires_and_is_renewed(server: Server, token: str, folder: MapFolder) -> None:
    """A link holds for one to two hours, the same for an hour; then a page gets another one for the same map."""
    server.now += LIFETIME / 2
    start = server.maps.token(files_of(folder), "tab")
    server.now += LIFETIME
    assert server.get(f"/map/{start}/mask/0/0/0.png").status == 200
    renewed = server.maps.token(files_of(folder), "tab")
    assert renewed != start
    server.now += LIFETIME
    assert server.get(f"/map/{start}/mask/0/0/0.png").status == 404
    assert server.get(f"/map/{renewed}/mask/0/0/0.png").status == 200


def test_a_link_is_that_of_one_open_tab(server: Server, token: str, folder: MapFolder) -> None:
    """Each session has its own link, which ends with its tab."""
    server.sessions.add("other")
    other = server.maps.token(files_of(folder), "other")
    assert other != token
    server.sessions.remove("tab")
    assert server.get(f"/map/{token}/mask/0/0/0.png").status == 404
    assert server.get(f"/map/{other}/mask/0/0/0.png").status == 200


def test_the_description_and_the_value_of_a_pixel(server: Server, token: str) -> None:
    """The browser gets size, classes and place of the map, and class, confidence and coordinates of a pixel."""
    info = server.ready(token)
    assert (info["width"], info["height"], info["last_zoom"], info["crs"]) == (1000, 700, 2, "EPSG:32632")
    assert [row["name"] for row in info["classes"]] == list(CLASSES.names)
    value = json.loads(server.get(f"/map/{token}/value/600/420.json").body)
    assert (value["id"], value["name"], value["percent"]) == (3, "<b>road</b>", 20)
    assert value["place"] == [501_201.0, 5_299_159.0]
    assert value["degrees"] == pytest.approx([9.016, 47.846], abs=2e-3)
    nothing = json.loads(server.get(f"/map/{token}/value/999/0.json").body)
    assert (nothing["id"], nothing["name"], nothing["percent"]) == (255, "No data", None)


def test_a_file_that_was_replaced_is_reported(server: Server, tmp_path: Path) -> None:
    """A tile that cannot be read is an error with its reason; the page then shows the new file under another link."""
    folder = write_map(tmp_path)
    token = server.maps.token(files_of(folder), "tab")
    server.ready(token)
    write_map(tmp_path, 800, 1000)
    reply = server.get(f"/map/{token}/mask/0/0/0.png")
    assert reply.status == 422
    assert "scene_mask.tif was replaced" in json.loads(reply.body)["error"]
    assert reply.headers["cache-control"] == "no-store"
    renewed = server.maps.token(files_of(folder), "tab")
    assert server.ready(renewed)["height"] == 800


def test_files_that_do_not_fit_together_are_not_shown(
    server: Server, folder: MapFolder, tmp_path: Path
) -> None:
    """A mask of another size than the image, or no image, is an error that the map shows."""
    small = write_map(tmp_path, 100, 100)
    info = server.ready(server.maps.token(MapFiles(folder.scene, small.mask, None, CLASSES), "tab"))
    assert info["state"] == "failed"
    assert "scene_mask.tif does not belong to scene.tif" in str(info["error"])
    (tmp_path / "scene.tif").write_bytes(b"not an image")
    info = server.ready(server.maps.token(files_of(small), "tab"))
    assert "is not an image that can be read in parts" in str(info["error"])
    small.mask.unlink()
    with pytest.raises(ImageError, match="cannot be shown"):
        server.maps.token(files_of(small), "tab")


def test_missing_overviews_are_made_once_while_the_page_waits(server: Server, tmp_path: Path) -> None:
    """A file without overviews is prepared in the background, and found ready the next time."""
    side = 4096
    write_map(tmp_path, side, side)
    files = MapFiles(tmp_path / "scene.tif", tmp_path / "scene_mask.tif", None, CLASSES)
    token = server.maps.token(files, "tab")
    assert server.get(f"/map/{token}/mask/0/0/0.png").status == 503  # nothing asked for it yet
    info = server.ready(token)
    assert info["state"] == "ready"
    assert not info["confidence"]
    assert server.get(f"/map/{token}/confidence/0/0/0.png").status == 404
    copies = {path: path.stat().st_mtime_ns for path in tmp_path.glob(".*.view.tif")}
    assert len(copies) == 2
    other = Server()
    again = other.maps.find(other.maps.token(files, "tab"))
    assert again is not None
    assert again.wait(SECONDS)["state"] == "ready"
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob(".*.view.tif")} == copies
    other.maps.close()


def test_nothing_is_read_for_a_browser_that_has_moved_on(folder: MapFolder) -> None:
    """A request that waits for its turn and is given up by the browser is not read."""
    maps, may_go = Maps(session_open=lambda _: True, pool=ThreadPoolExecutor(1)), threading.Event()
    token = maps.token(files_of(folder), "tab")
    source = maps.find(token)
    assert source is not None
    assert source.wait(SECONDS)["state"] == "ready"
    maps.pool.submit(may_go.wait, SECONDS)
    statuses: list[int] = []

    async def receive() -> dict[str, str]:
        if statuses or may_go.is_set():
            await anyio.sleep_forever()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        statuses.append(message.get("status", 0))

    async def request() -> None:
        scope = {"type": "http", "method": "GET", "path": f"/map/{token}/mask/0/0/0.png", "headers": []}
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Starlette(routes=routes(lambda: maps)), scope, receive, send)
            await anyio.wait_all_tasks_blocked()
            may_go.set()

    with ThreadPoolExecutor(1) as thread:  # in this one, Playwright's loop may be running
        thread.submit(anyio.run, request).result(SECONDS)
    assert statuses[0] == 499
    maps.close()


def test_maps_are_bounded(folder: MapFolder) -> None:
    """Of many maps the ones shown last are kept."""
    maps = Maps(session_open=lambda _: True)
    tokens = [
        maps.token(MapFiles(folder.scene, folder.mask, None, CLASSES, (band,)), "tab")
        for band in range(MAX_MAPS + 1)
    ]
    assert [maps.find(token) is not None for token in tokens] == [False] + [True] * MAX_MAPS
    maps.close()


def test_the_page_gives_the_browser_a_link_without_a_path(
    folder: MapFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a page sends to the browser names no folder or file of the machine."""
    monkeypatch.setenv("MAP_FOLDER", str(folder.scene.parent))
    app = app_from_file(PAGE, default_timeout=60).run()
    assert not app.exception
    (component,) = app.get("bidi_component")
    text = component.proto.json
    assert "/map/" in text
    assert "scene" not in text
    assert folder.scene.parent.name not in text
