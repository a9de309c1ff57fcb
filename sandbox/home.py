"""The folder of one sandbox: its lock, its key and its port, which stay the same over restarts."""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO

DEFAULT_PORT = 4566
IDENTITY_FILE = "identity.json"


class InUseError(Exception):
    """Another sandbox runs on the folder."""


class UnsupportedError(Exception):
    """The sandbox cannot run on this kind of system."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a restarted sandbox the same one."""

    access_key: str
    secret_key: str = field(repr=False)
    port: int | None = None


class Home:
    """A data folder held by this process alone until `close`; the lock goes with the process, also when killed."""

    def __init__(self, folder: Path) -> None:
        """Raises InUseError when another process holds it."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self._lock = _lock(folder)
        self.identity = _read_identity(folder / IDENTITY_FILE)

    def remember_port(self, port: int) -> None:
        self.identity = replace(self.identity, port=port)
        _write_private(self.folder / IDENTITY_FILE, json.dumps(asdict(self.identity)))

    def close(self) -> None:
        self._lock.close()


def _lock(folder: Path) -> IO[str]:
    if sys.platform == "win32":
        raise UnsupportedError("The sandbox needs Linux or macOS; everything against AWS works here too.")
    import fcntl  # noqa: PLC0415 - Windows has none

    file = (folder / "lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        file.close()
        raise InUseError(f"Another sandbox runs on {folder}. Stop it, or choose another folder.") from problem
    return file


def _read_identity(path: Path) -> Identity:
    if path.exists():
        return Identity(**json.loads(path.read_text()))
    number = base64.b32encode(secrets.token_bytes(10)).decode()
    identity = Identity(f"AKIA{number}", secrets.token_urlsafe(30))
    _write_private(path, json.dumps(asdict(identity)))
    return identity


def _write_private(path: Path, text: str) -> None:
    """Whole or not at all, readable by its owner only."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)
