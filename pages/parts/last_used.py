"""The endpoint that was used last, kept over sessions and restarts: the picker preselects it, not the newest one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from core.local_files import private_folder, private_opener, read_text, reason
from pages.parts import backend, cached

LOG = logging.getLogger("segdeck")
FILE = "last-endpoint.txt"
MOST_BYTES = 1000


class LastUsed:
    """The name in a file. Read once per process, and written when it changes; a failure is logged, not raised."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._name: str | None = None

    def get(self) -> str:
        """Return the name of the endpoint; empty if there is none."""
        if self._name is None:
            self._name = self._read()
        return self._name

    def set(self, name: str) -> None:
        """Keep this name."""
        if name == self.get():
            return
        self._name = name
        try:
            private_folder(self._path.parent)
            with open(self._path, "w", encoding="utf-8", opener=private_opener) as file:
                file.write(name)
        except OSError as error:
            LOG.warning("The endpoint used last cannot be kept in %s. %s", self._path, reason(error))

    def _read(self) -> str:
        try:
            return read_text(self._path, max_bytes=MOST_BYTES).strip()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            LOG.warning("The endpoint used last cannot be read from %s. %s", self._path, reason(error))
            return ""


def preselected(names: Sequence[str]) -> str:
    """Return the endpoint to preselect: the one that was used last, else the first."""
    last = _last().get()
    return last if last in names else names[0]


def remember(name: str) -> None:
    """Keep the endpoint that is used now."""
    _last().set(name)


def _last() -> LastUsed:
    path = backend.journal_dir() / FILE
    return cached.singleton(f"last used endpoint {path}", lambda: LastUsed(path))
