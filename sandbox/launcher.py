"""Find a running sandbox or start one. Standard library only, so that importing it costs nothing."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from sandbox.common.file_names import ADDRESS_FILE, LOG_FILE
from sandbox.common.private import private_folder

PROJECT = Path(__file__).resolve().parent.parent
TAIL_BYTES = 2000
EXIT_IN_USE = 3
"""Of `python -m sandbox`: another one has the folder."""


class LaunchError(Exception):
    """The sandbox did not come up; the text holds the end of its log."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a sandbox answers, and the key it answers to."""

    url: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str
    account: str
    pid: int

    def environ(self) -> dict[str, str]:
        """Return the variables that point any AWS client at this sandbox."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
        }


def default_dir() -> Path:
    """Return $SEGDECK_SANDBOX_DIR, else `.sandbox`; relative to the project, as in the dashboard."""
    return PROJECT / Path(os.environ.get("SEGDECK_SANDBOX_DIR", "").strip() or ".sandbox").expanduser()


def write_address(data_dir: Path, address: Address) -> None:
    """Make a running sandbox known: whole or not at all, readable by its owner only."""
    path = data_dir / f"{ADDRESS_FILE}.new"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(address), file)
    path.replace(data_dir / ADDRESS_FILE)


def remove_address(data_dir: Path) -> None:
    (data_dir / ADDRESS_FILE).unlink(missing_ok=True)


def running(data_dir: Path) -> Address | None:
    """Return the sandbox that runs on `data_dir` and is ready; None when there is none, or a stale file only."""
    try:
        address = Address(**json.loads((data_dir / ADDRESS_FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return address if _alive(address.pid) and _answers(address.url) else None


def ensure(data_dir: Path, *, timeout: float = 120) -> tuple[Address, subprocess.Popen[bytes] | None]:
    """Return the sandbox on `data_dir`, started when none runs: then its process too, which ends with this one.

    timeout: seconds until it must be ready. Raises LaunchError with the tail of its log.
    """
    process: subprocess.Popen[bytes] | None = None
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        address = running(data_dir)
        if address is not None:
            return _choose_first(address, process)
        ended = None if process is None else process.poll()
        if process is None or ended == EXIT_IN_USE:
            # The one that has the folder is just coming up, or ending: its address is found, or the folder is ours.
            process = _start(data_dir)
        elif ended is not None:
            raise LaunchError(f"The sandbox ended with exit code {ended}.\n{_tail(data_dir)}")
        time.sleep(0.05)
    if process is not None:
        _end(process)
    raise LaunchError(f"The sandbox was not ready within {timeout:g} seconds.\n{_tail(data_dir)}")


def _start(data_dir: Path) -> subprocess.Popen[bytes]:
    """Raises LaunchError where the folder cannot be used."""
    command = [sys.executable, "-m", "sandbox", "--data", str(data_dir.resolve()), "--exit-with-parent"]
    try:
        private_folder(data_dir, deep=False)  # the sandbox tightens the rest
        with open(data_dir / LOG_FILE, "ab", opener=_private_file) as log:
            # Its standard input is a pipe from us that nobody writes to: it ends when we do, however we end.
            return subprocess.Popen(
                command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )
    except OSError as problem:
        raise LaunchError(f"Its folder {data_dir} cannot be used: {problem.strerror}.") from problem


def _private_file(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _choose_first(
    address: Address, process: subprocess.Popen[bytes] | None
) -> tuple[Address, subprocess.Popen[bytes] | None]:
    """Two starters at once: the one that came second uses the sandbox of the first."""
    if process is None or address.pid == process.pid:
        return address, process
    _end(process)
    return address, None


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(data_dir: Path) -> str:
    with contextlib.suppress(OSError), (data_dir / LOG_FILE).open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        log.seek(max(0, size - TAIL_BYTES))
        return log.read().decode("utf-8", "replace").strip()
    return "(it wrote no log)"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=2):
            return True
    except OSError:
        return False
