"""The routes of the map viewer: `/map/TOKEN/...`, under `server.baseUrlPath`.

    info.json           size, classes and place of the map; until it is ready, how far that is
    LAYER/Z/X/Y.png     a tile of `scene`, `mask` or `confidence`
    value/X/Y.json      class, confidence and coordinates of a pixel

Whatever has no valid link is 404. Files are read in threads; a request that the browser has given up is not read.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from core.errors import CoreError
from core.escaping import terminal
from core.imaging.classes import IGNORE
from core.tiles.pyramid import class_colors, read_value, tile_png
from pages.parts.map.service import Maps, MapSource, OpenMap

NUMBER = re.compile(r"(0|[1-9][0-9]{0,6})")
NOT_FOUND, UNREADABLE, NOT_READY, GONE = 404, 422, 503, 499
FOREVER = "private, max-age=31536000, immutable"
"""A link names its content: another file has another link."""

NO_STORE = {"Cache-Control": "no-store"}


def routes(maps: Callable[[], Maps], base_path: str = "") -> list[Route]:
    """Return the routes. maps: called once the server runs. base_path: see `service.base_path`."""
    handlers = _Handlers(maps)
    return [
        Route(f"{base_path}/map/{{token}}/info.json", handlers.info),
        Route(f"{base_path}/map/{{token}}/value/{{x}}/{{y}}.json", handlers.value),
        Route(f"{base_path}/map/{{token}}/{{layer}}/{{z}}/{{x}}/{{y}}.png", handlers.tile),
        Route(f"{base_path}/map/{{rest:path}}", _nothing),  # else Streamlit answers with its page
    ]


class _Handlers:
    def __init__(self, maps: Callable[[], Maps]) -> None:
        self._maps = maps

    async def info(self, request: Request) -> Response:
        source = self._maps().find(request.path_params["token"])
        if source is None:
            return _not_found()
        return await self._answer(request, lambda: JSONResponse(source.info(), headers=NO_STORE))

    async def tile(self, request: Request) -> Response:
        source, numbers = self._requested(request, "z", "x", "y")
        if source is None or numbers is None or source.opened is None:
            return _not_found() if source is None or numbers is None else _not_ready()
        opened = source.opened
        layer = opened.layers.get(request.path_params["layer"])
        span = opened.grid.span(*numbers)
        if layer is None or span is None:
            return _not_found()

        def read() -> Response:
            colors = class_colors(source.files.classes) if layer.raster.kind == "mask" else None
            body = tile_png(layer, self._maps().files, span, colors)
            tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
            headers = {"Cache-Control": FOREVER, "ETag": tag}
            if tag in request.headers.get("if-none-match", ""):
                return Response(status_code=304, headers=headers)
            return Response(body, media_type="image/png", headers=headers)

        return await self._answer(request, read)

    async def value(self, request: Request) -> Response:
        source, numbers = self._requested(request, "x", "y")
        if source is None or numbers is None or source.opened is None:
            return _not_found() if source is None or numbers is None else _not_ready()
        opened, (x, y) = source.opened, numbers
        if x >= opened.grid.width or y >= opened.grid.height:
            return _not_found()
        return await self._answer(
            request, lambda: JSONResponse(self._values(source, opened, x, y), headers=NO_STORE)
        )

    def _values(self, source: MapSource, opened: OpenMap, x: int, y: int) -> dict[str, Any]:
        files = self._maps().files
        class_id = read_value(opened.layers["mask"], files, x, y)
        confidence = opened.layers.get("confidence")
        percent = None if confidence is None else read_value(confidence, files, x, y)
        middle = x + 0.5, y + 0.5
        return {
            "id": class_id,
            "name": terminal(source.files.classes.name(class_id)) if class_id != IGNORE else "No data",
            "percent": None if percent == IGNORE else percent,
            "place": opened.places.coordinates(*middle),
            "degrees": opened.places.degrees(*middle),
        }

    def _requested(self, request: Request, *names: str) -> tuple[MapSource | None, list[int] | None]:
        """Return the map and the numbers of a request; None for what is not valid."""
        texts = [request.path_params[name] for name in names]
        source = self._maps().find(request.path_params["token"])
        return source, [int(text) for text in texts] if all(map(NUMBER.fullmatch, texts)) else None

    async def _answer(self, request: Request, read: Callable[[], Response]) -> Response:
        """Return what `read` returns, in a thread; nothing is read for a browser that does not wait any more."""
        gone = threading.Event()

        def work() -> Response:
            if gone.is_set():
                return Response(status_code=GONE)
            try:
                return read()
            except CoreError as error:
                return JSONResponse({"error": terminal(str(error))}, UNREADABLE, headers=NO_STORE)

        watch = asyncio.ensure_future(_watch(request, gone))
        try:
            return await asyncio.get_running_loop().run_in_executor(self._maps().pool, work)
        finally:
            watch.cancel()


async def _watch(request: Request, gone: threading.Event) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    gone.set()


async def _nothing(_request: Request) -> Response:
    return _not_found()


def _not_found() -> Response:
    return PlainTextResponse("Not found.\n", NOT_FOUND, headers=NO_STORE)


def _not_ready() -> Response:
    return PlainTextResponse(
        "The map is being opened.\n", NOT_READY, headers={**NO_STORE, "Retry-After": "1"}
    )
