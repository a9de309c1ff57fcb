"""A zip, unpacked among the system's temporary files for as long as somebody works with what is in it.

Or another copy of a data set, that is made to be worked with.

Who holds it has a lock on a file in its folder. What nobody holds was left by a process that was killed, and goes
when the next zip is unpacked, or the dashboard starts.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from weakref import WeakSet

from core.datasets.unzip import OnProgress, unpack
from core.errors import CoreError, InputError
from core.locks import locked

PREFIX = "segdeck-set-"
LOCK = "lock"
ROOM = "Make room for temporary files, or unpack it yourself and give the folder."


_open: WeakSet[TempFolder] = WeakSet()


class TempFolder:
    """A new folder. It goes with this object, or with the process."""

    def __init__(self) -> None:
        sweep()
        self._held = TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
        self.path = Path(self._held.name)
        self._lock = (self.path / LOCK).open("wb")
        locked(self._lock.fileno())
        _open.add(self)

    def close(self) -> None:
        """Remove it."""
        self._lock.close()
        self._held.cleanup()


class Unpacked(TempFolder):
    """What is in a zip."""

    def __init__(
        self, path: Path, *, data: bytes | None = None, on_progress: OnProgress | None = None
    ) -> None:
        """Raises InputError as `unpack` does. data: of a zip that lies nowhere yet; the path is then but its name."""
        super().__init__()
        self.called = str(path)
        self.folder = self.path / (re.sub(r"[^A-Za-z0-9._-]", "_", path.stem) or "set")
        try:
            unpack(
                path if data is None else _written(self.path, path, data),
                self.folder,
                on_progress=on_progress,
            )
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise InputError(
                    f"{path.name} cannot be unpacked.", why=f"{error.strerror}.", todo=ROOM
                ) from error
            raise

    @contextmanager
    def named(self) -> Iterator[None]:
        """Errors about what lies here name the zip, and the file in it."""
        try:
            yield
        except CoreError as error:
            error.what, error.why, error.todo = map(self._told, (error.what, error.why, error.todo))
            raise

    def _told(self, text: str) -> str:
        return text.replace(str(self.folder), self.called)


def close_all() -> None:
    """Remove all of this process, which is about to end."""
    for home in tuple(_open):
        home.close()


def sweep(place: Path | None = None) -> None:
    """Remove what processes left that were killed. place: the folder of the system's temporary files."""
    for home in (place or Path(gettempdir())).glob(f"{PREFIX}*"):
        try:
            with (home / LOCK).open("r+b") as file:
                left = locked(file.fileno())
        except OSError:  # another person's, or not begun yet
            continue
        if left:
            shutil.rmtree(home, ignore_errors=True)


def _written(home: Path, path: Path, data: bytes) -> Path:
    dropped = home / f"dropped/{path.name}"
    dropped.parent.mkdir()
    dropped.write_bytes(data)
    return dropped
