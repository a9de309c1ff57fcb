"""The data folder of one sandbox: its lock, its key and its port, which persist across restarts."""

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
    """Another sandbox is running on the folder."""


class UnsupportedError(Exception):
    """The sandbox cannot run on this operating system."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The key and port that a restarted sandbox keeps."""

    access_key: str
    secret_key: str = field(repr=False)
    port: int | None = None


class StateDir:
    """A data folder locked by this process until `close`; the operating system drops the lock of a killed process."""

    def __init__(self, folder: Path) -> None:
        """Restrict the folder's permissions and lock it. Raises InUseError when another process holds the lock."""
        private_folder(folder)
        self.folder = folder
        self._lock = _lock(folder)
        try:
            self.identity = _read_identity(folder)
        except BaseException:
            self._lock.close()
            raise

    def remember_port(self, port: int) -> None:
        """Save the port when it has changed: a restart on a full disk writes nothing."""
        if port != self.identity.port:
            self.identity = replace(self.identity, port=port)
            _write_identity(self.folder, self.identity)

    def close(self) -> None:
        """Release the lock."""
        self._lock.close()


def _lock(folder: Path) -> IO[str]:
    """Lock the folder and return the open lock file. Raises InUseError or UnsupportedError."""
    if sys.platform == "win32":
        raise UnsupportedError("The sandbox needs Linux or macOS; Segdeck with an AWS account works here.")
    import fcntl  # noqa: PLC0415 - Windows has none

    file = (folder / "lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        file.close()
        raise InUseError(
            f"Another sandbox is running on {folder}. Stop it, or use another folder."
        ) from problem
    return file


def _read_identity(folder: Path) -> Identity:
    """Read the identity, or create one. A key that appears in a log is replaced: others may have read it."""
    path = folder / IDENTITY_FILE
    if not path.exists():
        return _write_identity(folder, _new_identity())
    identity = Identity(**json.loads(path.read_text()))
    if not _in_log(folder / LOG_FILE, identity.secret_key):
        return identity
    print(
        f"sandbox: {folder / LOG_FILE} contains the secret key, so it was replaced: get the new one with "
        "`python -m sandbox --print-env`.",
        file=sys.stderr,
    )
    return _write_identity(folder, replace(_new_identity(), port=identity.port))


def _new_identity() -> Identity:
    """Return random credentials in the form of AWS's."""
    number = base64.b32encode(secrets.token_bytes(10)).decode()
    return Identity(f"AKIA{number}", secrets.token_urlsafe(30))


def _in_log(log: Path, secret: str) -> bool:
    """Return whether a log file contains the secret."""
    if not log.is_file():
        return False
    wanted = secret.encode()
    with log.open("rb") as file:
        return any(wanted in line for line in file)


def _write_identity(folder: Path, identity: Identity) -> Identity:
    """Write the identity atomically, readable by its owner only."""
    path = folder / IDENTITY_FILE
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(identity), file)
    new.replace(path)
    return identity
