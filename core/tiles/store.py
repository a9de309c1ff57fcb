"""The folder of finished tiles: each by the hash of its request, so that no tile is paid for twice."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.batch.client import UnwritableError
from core.errors import InputError
from core.escaping import json_text
from core.inference.batch import PART
from core.inference.export import write_new
from core.local_files import read_regular
from core.tiles.plan import Tile
from core.tiles.result import TileResult

SUFFIX = ".tile"


@dataclass(slots=True)
class TileStore:
    """Finished tiles in a folder, used by many threads.

    folder:  exists, or is created with the first tile.
    request: what the results depend on in addition to the image: endpoint, model, output.
    damaged: files that could not be read: their tiles are sent again.
    """

    folder: Path
    request: Mapping[str, Any]
    damaged: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def key(self, body: bytes, tile: Tile) -> str:
        """Return the name of a tile's file: the hash of its request, and of which parts of the response are kept."""
        spans = [
            [place - span.start for place in (span.begin, span.own, span.end, span.stop)]
            for span in (tile.y, tile.x)
        ]
        text = json_text({"request": dict(self.request), "parts": spans}, indent=None)
        return hashlib.sha256(text.encode() + b"\0" + body).hexdigest()

    def load(self, key: str, tile: Tile) -> TileResult | None:
        """Return a finished tile; None if there is none, or its file is damaged."""
        path = self.folder / f"{key}{SUFFIX}"
        try:
            return TileResult.from_bytes(read_regular(path), tile)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            with self._lock:
                self.damaged.append(f"{path.name}: {error}")
            return None

    def save(self, key: str, result: TileResult) -> None:
        """Keep a finished tile. Raises UnwritableError."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_new(self.folder / f"{key}{SUFFIX}", result.to_bytes(), overwrite=True)
        except OSError as error:
            raise UnwritableError(
                f"The folder {self.folder} cannot be created.",
                why=f"{error.strerror or error}.",
                todo="Choose another folder.",
            ) from error
        except InputError as error:
            raise UnwritableError(error.what, why=error.why, todo=error.todo) from error

    def remove_partial_files(self) -> int:
        """Remove the partial files of a killed run; return how many."""
        parts = [path for path in self.folder.glob(".*.part") if PART.fullmatch(path.name)]
        for path in parts:
            path.unlink(missing_ok=True)
        return len(parts)

    def clear(self) -> None:
        """Remove all finished tiles, and the folder if it is then empty."""
        self.remove_partial_files()
        for path in self.folder.glob(f"*{SUFFIX}"):
            path.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()
