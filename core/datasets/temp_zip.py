"""Extract a ZIP file into a temporary folder that exists as long as its content is in use.

Such a folder may also hold another temporary copy of a dataset.

The process that uses a folder locks a file in it. Folders without a lock were left by a process that was killed; they
are removed when the next ZIP file is extracted, or when the dashboard starts.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from weakref import WeakSet

from core.datasets.unzip import OnProgress, extract
from core.errors import CoreError, InputError
from core.locks import locked

PREFIX = "segdeck-set-"
LOCK = "lock"
TODO = "Free disk space for temporary files, or extract it yourself and choose the folder."


_open: WeakSet[TempFolder] = WeakSet()


class TempFolder:
    """A temporary folder. It is removed with this object, or at the end of the process."""

    def __init__(self) -> None:
        sweep()
        self._held = TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
        self.path = Path(self._held.name)
        self._lock = (self.path / LOCK).open("wb")
        locked(self._lock.fileno())
        _open.add(self)

    def close(self) -> None:
        """Remove the folder."""
        self._lock.close()
        self._held.cleanup()


class ExtractedZip(TempFolder):
    """The extracted content of a ZIP file."""

    def __init__(
        self, path: Path, *, data: bytes | None = None, on_progress: OnProgress | None = None
    ) -> None:
        """Extract a ZIP file. data: its content where it is not on disk, `path` is then only its name.

        Raises InputError like `extract`.
        """
        super().__init__()
        self.called = str(path)
        self.folder = self.path / (re.sub(r"[^A-Za-z0-9._-]", "_", path.stem) or "set")
        try:
            extract(
                path if data is None else _written(self.path, path, data),
                self.folder,
                on_progress=on_progress,
            )
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise InputError(
                    f"{path.name} cannot be extracted.", why=f"{error.strerror}.", todo=TODO
                ) from error
            raise

    @contextmanager
    def named(self) -> Iterator[None]:
        """Make errors about files in the folder name the ZIP file and the file in it."""
        try:
            yield
        except CoreError as error:
            error.what, error.why, error.todo = map(self._with_zip_name, (error.what, error.why, error.todo))
            raise

    def _with_zip_name(self, text: str) -> str:
        return text.replace(str(self.folder), self.called)


def close_all() -> None:
    """Remove all temporary folders of this process, before it ends."""
    for folder in tuple(_open):
        folder.close()


def sweep(place: Path | None = None) -> None:
    """Remove the folders of killed processes. place: the system's folder for temporary files."""
    for folder in (place or Path(gettempdir())).glob(f"{PREFIX}*"):
        try:
            with (folder / LOCK).open("r+b") as file:
                abandoned = locked(file.fileno())
        except OSError:  # of another user, or not locked yet
            continue
        if abandoned:
            shutil.rmtree(folder, ignore_errors=True)


def _written(folder: Path, path: Path, data: bytes) -> Path:
    uploaded = folder / f"uploaded/{path.name}"
    uploaded.parent.mkdir()
    uploaded.write_bytes(data)
    return uploaded
