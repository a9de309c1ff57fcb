"""Find a running sandbox or start one. Standard library only, so that importing it is cheap."""

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
"""Exit code of `python -m sandbox` when another sandbox uses the folder."""


class LaunchError(Exception):
    """The sandbox did not start; the text includes the end of its log."""


@dataclass(frozen=True, slots=True)
class Address:
    """The URL of a running sandbox, and its credentials."""

    url: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str
    account: str
    pid: int

    def environ(self) -> dict[str, str]:
        """Return the environment variables that point any AWS client at this sandbox."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
        }


def default_dir() -> Path:
    """Return $SEGDECK_SANDBOX_DIR, else `.sandbox`; relative paths start at the project, as in the dashboard."""
    return PROJECT / Path(os.environ.get("SEGDECK_SANDBOX_DIR", "").strip() or ".sandbox").expanduser()


def write_address(data_dir: Path, address: Address) -> None:
    """Write the address file atomically, readable by its owner only."""
    path = data_dir / f"{ADDRESS_FILE}.new"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(address), file)
    path.replace(data_dir / ADDRESS_FILE)


def remove_address(data_dir: Path) -> None:
    """Remove the address file, if there is one."""
    (data_dir / ADDRESS_FILE).unlink(missing_ok=True)


def running(data_dir: Path) -> Address | None:
    """Return the sandbox that is ready on `data_dir`; None when there is none, or only a stale address file."""
    try:
        address = Address(**json.loads((data_dir / ADDRESS_FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return address if _alive(address.pid) and _answers(address.url) else None


def ensure(data_dir: Path, *, timeout: float = 120) -> tuple[Address, subprocess.Popen[bytes] | None]:
    """Return the sandbox on `data_dir`; start one when none runs, and return its process, which ends with this one.

    timeout: seconds in which it must become ready. Raises LaunchError with the tail of its log.
    """
    process: subprocess.Popen[bytes] | None = None
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        address = running(data_dir)
        if address is not None:
            return _choose_first(address, process)
        ended = None if process is None else process.poll()
        if process is None or ended == EXIT_IN_USE:
            # The sandbox that holds the folder is starting or stopping: wait for its address, or for the folder.
            process = _start(data_dir)
        elif ended is not None:
            raise LaunchError(f"The sandbox exited with code {ended}.\n{_tail(data_dir)}")
        time.sleep(0.05)
    if process is not None:
        _end(process)
    raise LaunchError(f"The sandbox was not ready within {timeout:g} seconds.\n{_tail(data_dir)}")


def _start(data_dir: Path) -> subprocess.Popen[bytes]:
    """Start a sandbox in a process of its own. Raises LaunchError when the folder cannot be used."""
    command = [sys.executable, "-m", "sandbox", "--data", str(data_dir.resolve()), "--exit-with-parent"]
    try:
        private_folder(data_dir, deep=False)  # the sandbox restricts the rest
        with open(data_dir / LOG_FILE, "ab", opener=_private_file) as log:
            # Its standard input is a pipe that is never written to: it closes when this process ends, for any reason.
            return subprocess.Popen(
                command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )
    except OSError as problem:
        raise LaunchError(f"The sandbox's folder {data_dir} cannot be used: {problem.strerror}.") from problem


def _private_file(path: str, flags: int) -> int:
    """Open a file with mode 0600."""
    return os.open(path, flags, 0o600)


def _choose_first(
    address: Address, process: subprocess.Popen[bytes] | None
) -> tuple[Address, subprocess.Popen[bytes] | None]:
    """Resolve two starts at once: the process that came second is ended, and the first sandbox is used."""
    if process is None or address.pid == process.pid:
        return address, process
    _end(process)
    return address, None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Terminate a process, and kill it after ten seconds."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(data_dir: Path) -> str:
    """Return the last bytes of the sandbox's log."""
    with contextlib.suppress(OSError), (data_dir / LOG_FILE).open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        log.seek(max(0, size - TAIL_BYTES))
        return log.read().decode("utf-8", "replace").strip()
    return "(it wrote no log)"


def _alive(pid: int) -> bool:
    """Return whether the process exists."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _answers(url: str) -> bool:
    """Return whether something accepts connections at `url`."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=2):
            return True
    except OSError:
        return False
