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

from sandbox.common.file_names import LOG_FILE
from sandbox.common.private import private_folder

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


class StateDir:
    """A data folder held by this process alone until `close`; the lock goes with the process, also when killed."""

    def __init__(self, folder: Path) -> None:
        """Tighten the folder's permissions and take its lock. Raises InUseError when another process holds it."""
        private_folder(folder)
        self.folder = folder
        self._lock = _lock(folder)
        try:
            self.identity = _read_identity(folder)
        except BaseException:
            self._lock.close()
            raise

    def remember_port(self, port: int) -> None:
        """Write the port down, unless it is the one of before: a restart on a full disk writes nothing."""
        if port != self.identity.port:
            self.identity = replace(self.identity, port=port)
            _write_identity(self.folder, self.identity)

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


def _read_identity(folder: Path) -> Identity:
    """Read the identity, or draw a new one. A key that a log tells is replaced: others may have read it."""
    path = folder / IDENTITY_FILE
    if not path.exists():
        return _write_identity(folder, _new_identity())
    identity = Identity(**json.loads(path.read_text()))
    if not _in_log(folder / LOG_FILE, identity.secret_key):
        return identity
    print(
        f"sandbox: {folder / LOG_FILE} holds the secret key, so a new key is in force: take it over with "
        "`python -m sandbox --print-env`.",
        file=sys.stderr,
    )
    return _write_identity(folder, replace(_new_identity(), port=identity.port))


def _new_identity() -> Identity:
    number = base64.b32encode(secrets.token_bytes(10)).decode()
    return Identity(f"AKIA{number}", secrets.token_urlsafe(30))


def _in_log(log: Path, secret: str) -> bool:
    if not log.is_file():
        return False
    wanted = secret.encode()
    with log.open("rb") as file:
        return any(wanted in line for line in file)


def _write_identity(folder: Path, identity: Identity) -> Identity:
    """Write the identity whole or not at all, readable by its owner only."""
    path = folder / IDENTITY_FILE
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(identity), file)
    new.replace(path)
    return identity
