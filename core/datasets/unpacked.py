"""A zip, unpacked among the system's temporary files for as long as somebody works with what is in it.

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

from core.datasets.archive import OnProgress, unpack
from core.errors import CoreError
from core.locks import locked

PREFIX = "segdeck-zip-"
LOCK = "lock"


class Unpacked:
    """What is in a zip. It goes with this object, or with the process."""

    def __init__(
        self, path: Path, *, data: bytes | None = None, on_progress: OnProgress | None = None
    ) -> None:
        """Raises InputError as `unpack` does. data: of a zip that lies nowhere yet; the path is then but its name."""
        sweep()
        self.called = str(path)
        self._home = TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
        home = Path(self._home.name)
        self._lock = (home / LOCK).open("wb")
        locked(self._lock.fileno())
        self.folder = home / (re.sub(r"[^A-Za-z0-9._-]", "_", path.stem) or "set")
        try:
            unpack(path if data is None else _written(home, path, data), self.folder, on_progress=on_progress)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove it."""
        self._lock.close()
        self._home.cleanup()

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
