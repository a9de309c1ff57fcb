"""The folder of finished tiles: each by the hash of its request, so that no tile is paid for twice."""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.batch.client import UnwritableError
from core.errors import InputError
from core.escaping import json_bytes, json_text
from core.inference.export import write_new
from core.local_files import PRIVATE_FILE, read_regular, reason
from core.locks import locked
from core.partial_files import remove_partial_files
from core.strict_json import parse_json
from core.tiles.plan import Tile
from core.tiles.result import TileResult

SUFFIX, REQUEST, LOCK = ".tile", "request.json", "lock"
"""Names in the folder of the tiles."""


@dataclass(slots=True)
class TileStore:
    """Finished tiles in a folder, used by many threads.

    folder:  created by `turn`.
    request: what the results depend on in addition to the image: endpoint, model, output.
    image:   name, size and fingerprint of the image's file: results of another image are never replaced.
    damaged: files that could not be read: their tiles are sent again.
    """

    folder: Path
    request: Mapping[str, Any]
    image: Mapping[str, Any] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the folder, which is created, and removed at the end if it then has no tiles.

        Raises InputError if another process holds it, or it cannot be created.
        """
        path = self.folder / LOCK
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
        except OSError as error:
            raise InputError(
                f"{path} cannot be written.", why=reason(error), todo="Choose another folder."
            ) from error
        try:
            if not locked(file):
                raise InputError(
                    f"Another process is segmenting this image into {self.folder.parent}.",
                    todo="Wait until it ends, or choose another folder.",
                )
            try:
                yield
            finally:
                if not self.holds_tiles():
                    self._remove()
        finally:
            os.close(file)

    def holds_tiles(self) -> bool:
        """Return whether there are finished tiles of an interrupted run."""
        return any(self.folder.glob(f"*{SUFFIX}"))

    def size(self) -> int:
        """Return the bytes of the finished tiles."""
        return sum(path.stat().st_size for path in self.folder.glob(f"*{SUFFIX}"))

    def begin(self) -> None:
        """Record the request. Raises InputError if the finished tiles there are those of another one."""
        if differences := self.differences():
            raise InputError(
                f"The finished tiles in {self.folder} are of other settings: {', '.join(differences)}.",
                why="With these, all tiles would be sent and paid for again. The endpoint was not invoked.",
                todo="Use the earlier settings, choose another folder, or use --overwrite to begin again.",
            )
        write_new(self.folder / REQUEST, json_bytes(self._recorded()), overwrite=True)

    def differences(self) -> list[str]:
        """Return how the request of the finished tiles differs from this one, in words. Raises InputError."""
        path = self.folder / REQUEST
        try:
            earlier = parse_json(read_regular(path)) if self.holds_tiles() else None
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path} cannot be read.", why=f"{error}", todo="Use --overwrite to send all tiles again."
            ) from error
        if not isinstance(earlier, dict):
            return []
        return [
            f"{name} {earlier.get(name)!r} and now {value!r}"
            for name, value in self._recorded().items()
            if earlier.get(name) != value
        ]

    def _recorded(self) -> dict[str, Any]:
        return {**self.request, "image": dict(self.image)}

    def key(self, body: bytes, tile: Tile) -> str:
        """Return the name of a tile's file: the hash of its request, and of which parts of the response are kept."""
        spans = [
            [place - span.start for place in (span.begin, span.own, span.end, span.stop)]
            for span in (tile.y, tile.x)
        ]
        text = json_text({"request": dict(self.request), "parts": spans}, indent=None)
        return hashlib.sha256(text.encode() + b"\0" + body).hexdigest()

    def load(self, key: str, tile: Tile) -> TileResult | None:
        """Return a finished tile; None if there is none, or its file is damaged. Raises UnwritableError."""
        path = self.folder / f"{key}{SUFFIX}"
        try:
            return TileResult.from_bytes(read_regular(path), tile)
        except FileNotFoundError:
            return None
        except ValueError as error:
            with self._lock:
                self.damaged.append(f"{path.name}: {error}")
            return None
        except OSError as error:  # it may be there, and paid for
            raise UnwritableError(
                f"The finished tile {path} cannot be read.",
                why=reason(error),
                todo="Check the folder and its disk.",
            ) from error

    def discard(self, key: str) -> None:
        """Remove the stored result of a tile."""
        (self.folder / f"{key}{SUFFIX}").unlink(missing_ok=True)

    def save(self, key: str, result: TileResult) -> None:
        """Keep a finished tile. Raises UnwritableError.

        The file is not forced onto the disk: that would take longer than all other work on a tile. It survives the
        end of the process; after a loss of power its checksum shows whether it is complete.
        """
        part = self.folder / f".{secrets.token_hex(8)}.part"
        try:
            part.write_bytes(result.to_bytes())
            part.replace(self.folder / f"{key}{SUFFIX}")
        except OSError as error:
            part.unlink(missing_ok=True)
            raise UnwritableError(
                f"Finished tiles cannot be written to {self.folder}.",
                why=reason(error),
                todo="Choose an existing folder with write permission and enough space.",
            ) from error

    def remove_partial_files(self) -> int:
        """Remove the partial files of a killed run; return how many."""
        return remove_partial_files(self.folder.glob(".*.part"))[0]

    def clear_tiles(self) -> None:
        """Remove all finished tiles."""
        for path in self.folder.glob(f"*{SUFFIX}"):
            path.unlink(missing_ok=True)

    def _remove(self) -> None:
        """Remove the folder, if it is empty apart from the files of this class."""
        self.remove_partial_files()
        (self.folder / REQUEST).unlink(missing_ok=True)
        with suppress(PermissionError):  # Windows removes no open file; an empty file that stays is harmless
            (self.folder / LOCK).unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()
