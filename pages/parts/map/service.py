"""The maps that pages show: their files, and the signed links under which a browser gets their tiles.

A link names a map by a keyed hash of its files, so no path is in it, and none can be put into it: what a page did not
register does not exist. It holds for one session of the dashboard, while its tab is open, and for one to two hours.
The key is that of the server process.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac
import secrets
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.runtime import Runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.errors import CoreError, ImageError, InputError
from core.escaping import terminal
from core.imaging.classes import Classes
from core.local_files import reason
from core.tiles.outputs import class_rows
from core.tiles.pyramid import (
    TILE,
    Kind,
    Layer,
    OpenFiles,
    Places,
    Raster,
    TileGrid,
    copy_base,
    copy_path,
    make_copy,
)
from core.tiles.scene import Scene, open_scene

LIFETIME = 3600
"""Seconds that a link holds at least. It changes once in that time, so that the browser's cache is of use."""

MAX_MAPS = 16
"""Maps that are kept; the ones shown last."""

MAX_SESSIONS = 1000
"""Sessions after which closed ones are looked for."""

WORKERS = 4
"""Tiles that are read at once."""

ID_BYTES, SESSION_BYTES, MAC_BYTES = 12, 8, 16
PAYLOAD = struct.Struct(f">{ID_BYTES}s{SESSION_BYTES}sI")


@dataclass(frozen=True, slots=True)
class MapFiles:
    """What a map shows. bands, stretch: with which the scene was read, see `core.tiles.scene.open_scene`."""

    scene: Path
    mask: Path
    confidence: Path | None
    classes: Classes
    bands: tuple[int, ...] = ()
    stretch: tuple[float, float] | None = None

    def identity(self) -> bytes:
        """Return bytes that differ for another look, and after a file was replaced. Raises ImageError."""
        paths = [path for path in (self.scene, self.mask, self.confidence) if path is not None]
        states = []
        for path in paths:
            try:
                status = path.stat()
            except OSError as error:
                raise ImageError(
                    f"{path.name} cannot be shown.", why=reason(error), todo="Segment the image again."
                ) from error
            states.append((str(path.resolve()), status.st_size, status.st_mtime_ns))
        return repr((states, self.classes, self.bands, self.stretch)).encode()


@dataclass(frozen=True, slots=True)
class OpenMap:
    """A map whose tiles can be read."""

    scene: Scene
    grid: TileGrid
    layers: dict[Kind, Layer]
    places: Places


class MapSource:
    """A map, from the moment a page shows it. A thread opens its files, and makes the overviews that they lack."""

    def __init__(self, files: MapFiles, open_files: OpenFiles) -> None:
        self.files = files
        self._open_files = open_files
        self._lock = threading.Lock()
        self._opening: threading.Thread | None = None
        self._progress, self._step = 0.0, "Opening the map"
        self._error: CoreError | None = None
        self._map: OpenMap | None = None
        self._stopped = False

    @property
    def opened(self) -> OpenMap | None:
        """Return the map once it is ready."""
        return self._map

    def stop(self) -> None:
        """End the opening, if it is under way."""
        self._stopped = True

    def info(self) -> dict[str, Any]:
        """Return what the browser needs to know, for JSON; start opening if nobody did, or if it failed before."""
        with self._lock:
            if self._map is None and self._opening is None:
                self._error = None
                self._opening = threading.Thread(target=self._open, daemon=True, name="map")
                self._opening.start()
            error = self._error
            if error is not None:
                self._opening = None
        if self._map is not None:
            return self._ready(self._map)
        if error is not None:
            return {"state": "failed", "error": terminal(str(error))}
        return {"state": "preparing", "step": self._step, "progress": round(self._progress, 3)}

    def wait(self, seconds: float) -> dict[str, Any]:
        """Return `info` once the opening has ended, or after so many seconds."""
        info = self.info()
        if (thread := self._opening) is not None:
            thread.join(seconds)
            info = self.info()
        return info

    def _open(self) -> None:
        try:
            self._map = self._opened()
        except CoreError as error:
            self._error = error
        except Exception as error:
            self._error = InputError("The map cannot be shown.", why=f"{type(error).__name__}: {error}")
            raise  # to the log

    def _opened(self) -> OpenMap:
        files = self.files
        scene = open_scene(files.scene, bands=files.bands, stretch=files.stretch)
        rasters = [Raster.of("scene", files.scene, scene), Raster.of("mask", files.mask)]
        if files.confidence is not None:
            rasters.append(Raster.of("confidence", files.confidence))
        bases = {raster.kind: self._checked(raster, scene) for raster in rasters}
        layers: dict[Kind, Layer] = {}
        for raster in rasters:
            layers[raster.kind] = self._layer(raster, bases[raster.kind])
        return OpenMap(scene, TileGrid(scene.width, scene.height), layers, Places(scene))

    def _checked(self, raster: Raster, scene: Scene) -> int:
        """Return `copy_base` of a raster. Raises ImageError if it does not belong to the scene."""
        with self._open_files.dataset(raster) as dataset:
            size = dataset.width, dataset.height
            if raster.kind != "scene" and (
                size != (scene.width, scene.height) or dataset.dtypes[0] != "uint8"
            ):
                raise ImageError(
                    f"{raster.path.name} does not belong to {scene.name}.",
                    why=f"It has {size[0]:,} x {size[1]:,} pixels of {dataset.dtypes[0]}; "
                    f"{scene.width:,} x {scene.height:,} of uint8 are needed.",
                    todo="Segment the image again.",
                )
            return copy_base(dataset)

    def _layer(self, raster: Raster, base: int) -> Layer:
        if not base:
            return Layer(raster)
        path = copy_path(raster, self.files.mask.parent)
        if not path.exists():
            self._progress, self._step = 0.0, f"Making the overview of {terminal(raster.path.name)}"
            make_copy(raster, path, base, self._report)
        return Layer(raster, Raster.of(raster.kind, path), base)

    def _report(self, progress: float) -> None:
        if self._stopped:
            raise InputError("The overview was not finished.", why="The server stops, or shows other maps.")
        self._progress = progress

    def _ready(self, opened: OpenMap) -> dict[str, Any]:
        scene, places, files = opened.scene, opened.places, self.files
        return {
            "state": "ready",
            "width": scene.width,
            "height": scene.height,
            "tile": TILE,
            "last_zoom": opened.grid.last_zoom,
            "confidence": "confidence" in opened.layers,
            "classes": [
                {**row, "name": terminal(row["name"])}
                for row in class_rows(files.classes, files.classes.table())
            ],
            "colors": ["#{:02x}{:02x}{:02x}".format(*color) for color in files.classes.table().tolist()],
            "transform": scene.transform,
            "crs": terminal(places.name()),
            "meters_per_pixel": places.meters_per_pixel(),
            "notes": [terminal(note) for note in (*scene.notes, places.note) if note],
        }


def session_is_open(session: str) -> bool:
    """Return whether the tab of a session is open."""
    return Runtime.exists() and Runtime.instance().is_active_session(session)


@dataclass(eq=False)
class Maps:
    """The maps of this server. now: seconds since 1970. session_open: whether the tab of a session is open."""

    now: Callable[[], float] = time.time
    session_open: Callable[[str], bool] = session_is_open
    files: OpenFiles = field(default_factory=OpenFiles)
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(WORKERS, "map"))
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _maps: OrderedDict[bytes, MapSource] = field(default_factory=OrderedDict)
    _sessions: dict[bytes, str] = field(default_factory=dict)

    def token(self, files: MapFiles, session: str) -> str:
        """Register a map for a session, and return the signed part of its links. Raises ImageError."""
        map_id = hashlib.blake2b(files.identity(), key=self._key, digest_size=ID_BYTES).digest()
        holder = hashlib.blake2b(session.encode(), key=self._key, digest_size=SESSION_BYTES).digest()
        with self._lock:
            if map_id not in self._maps:
                self._maps[map_id] = MapSource(files, self.files)
            self._maps.move_to_end(map_id)
            while len(self._maps) > MAX_MAPS:
                self._maps.popitem(last=False)[1].stop()
            if len(self._sessions) >= MAX_SESSIONS:
                self._sessions = {
                    key: each for key, each in self._sessions.items() if self.session_open(each)
                }
            self._sessions[holder] = session
        expires = (int(self.now()) // LIFETIME + 2) * LIFETIME
        payload = PAYLOAD.pack(map_id, holder, expires)
        return base64.urlsafe_b64encode(payload + self._mac(payload)).decode()

    def find(self, token: str) -> MapSource | None:
        """Return the map of a link; None for a link that was not signed here, has expired, or whose tab is closed."""
        try:
            data = base64.b64decode(token.encode(), b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            return None
        payload, mac = data[: PAYLOAD.size], data[PAYLOAD.size :]
        if len(payload) != PAYLOAD.size or not hmac.compare_digest(mac, self._mac(payload)):
            return None
        map_id, holder, expires = PAYLOAD.unpack(payload)
        with self._lock:
            source, session = self._maps.get(map_id), self._sessions.get(holder)
            if source is not None:
                self._maps.move_to_end(map_id)
        if source is None or session is None or self.now() >= expires or not self.session_open(session):
            return None
        return source

    def close(self) -> None:
        """Stop what is under way, and close all files."""
        with self._lock:
            for source in self._maps.values():
                source.stop()
        self.pool.shutdown(cancel_futures=True)
        self.files.close()

    def _mac(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, payload, "sha256")[:MAC_BYTES]


@functools.cache
def maps() -> Maps:
    """Return those of this process."""
    return Maps()


def current_session() -> str:
    """Return the id of the session whose script runs."""
    context = get_script_run_ctx()
    return context.session_id if context is not None else ""


def base_path() -> str:
    """Return the path before all addresses of the dashboard: empty, or with a slash at its start only."""
    path = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{path}" if path else ""
