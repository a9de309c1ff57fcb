"""Run one model behind an endpoint: a plain process in place of SageMaker's container.

The process gets its model in $SM_ML_ROOT/model and answers GET /ping and POST /invocations on a socket that it
inherits already listening (SANDBOX_LISTEN_FD), which avoids a race for a port. It exits when its parent-death pipe
(SANDBOX_DEATH_PIPE_FD) closes, also when the sandbox is killed. Its own children end with it. Source of the contract:
SageMaker developer guide, "Use Your Own Inference Code with Hosting Services".
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import urllib3
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.common import guardian
from sandbox.common.archive import MAX_BYTES, ArchiveError, unpack, unpacked_size
from sandbox.common.clients import Loopback
from sandbox.common.disk import Disk, is_full
from sandbox.common.environment import environment_problem
from sandbox.common.log_shipper import FollowedPipe
from sandbox.http.server import bind

PROJECT = Path(__file__).resolve().parents[2]
GUARDIAN = (sys.executable, "-I", "-S", guardian.__file__)
# Variables that a process inherits; never the user's AWS credentials.
INHERITED = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "OMP_NUM_THREADS",
)


class StartError(Exception):
    """A model cannot be put into service; the text is the endpoint's FailureReason."""


class ParentDeathPipe:
    """Ends programs together with this process, however it ends.

    The pipe is never written to: a program that reads it sees its end when this process is gone. For programs that do
    not read it, and for their children, a guardian process then kills their process groups.
    """

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()
        self._guardian: subprocess.Popen[bytes] | None = None
        self._groups: set[int] = set()
        self._closed = False
        self._lock = threading.Lock()

    def guard(self, group: int) -> None:
        """Register a process group, which the guardian kills when this process is gone."""
        with self._lock:
            self._groups.add(group)
            self._send(f"+{group}\n")

    def release(self, group: int) -> None:
        """Unregister a process group that has ended: its number may be reused."""
        with self._lock:
            if group in self._groups:
                self._groups.discard(group)
                self._send(f"-{group}\n")

    def close(self) -> None:
        """End the guardian and the groups that it still guards."""
        with self._lock:
            self._closed = True
            os.close(self.read_end)
            os.close(self._write_end)
            process = self._guardian
        if process is not None and process.stdin is not None:
            process.stdin.close()
            process.wait()

    def _send(self, line: str) -> None:
        """Send one line to the guardian; start it first, or again when it was killed."""
        if self._closed:
            return
        try:
            if self._guardian is not None:
                self._write(self._guardian, line)
                return
        except BrokenPipeError:  # the guardian was killed
            self._guardian = None
        self._guardian = subprocess.Popen(
            GUARDIAN, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, bufsize=0, start_new_session=True
        )
        self._write(self._guardian, "".join(f"+{group}\n" for group in self._groups))

    def _write(self, process: subprocess.Popen[bytes], text: str) -> None:
        """Write to the guardian's standard input. Raises BrokenPipeError."""
        if process.stdin is None:
            raise BrokenPipeError
        process.stdin.write(text.encode())


def fetch_model(loopback: Loopback, url: str, folder: Path, *, max_bytes: int = MAX_BYTES) -> None:
    """Download the model.tar.gz at `url` (s3://bucket/key) and unpack it into `folder`. Raises StartError."""
    parts = urlsplit(url)
    bucket, key, archive = parts.netloc, parts.path.removeprefix("/"), folder.parent / "model.tar.gz"
    size = 0
    try:
        size = loopback.client("s3").head_object(Bucket=bucket, Key=key)["ContentLength"]
        loopback.client("s3").download_file(bucket, key, str(archive))
        unpack(archive, folder, max_bytes=max_bytes)
    except ClientError as problem:
        raise StartError(f"Could not find model data at {url}.") from problem
    except BotoCoreError as problem:
        raise StartError(f"Could not download model data from {url}: {problem}") from problem
    except ArchiveError as problem:
        raise StartError(_bad_archive(url, problem)) from problem
    except OSError as problem:
        if not is_full(problem):
            raise
        needed = size + (unpacked_size(archive, max_bytes=max_bytes) if archive.exists() else size)
        kept = f"The model archive {url} is unchanged; the incomplete copy for this endpoint was removed."
        raise StartError(Disk(folder).text(problem, needed, kept)) from problem
    finally:
        archive.unlink(missing_ok=True)


def _bad_archive(url: str, problem: ArchiveError) -> str:
    """Return AWS's text for an archive that cannot be unpacked."""
    return (
        f'Failed to extract model data archive for container "container_1" from URL "{url}": {problem}. '
        "Please ensure that the object located at the URL is a valid tar.gz archive."
    )


def spawn(
    command: Sequence[str],
    ml_root: Path,
    environment: Mapping[str, str],
    death_pipe: ParentDeathPipe,
    pipes: Mapping[str, int] = {},
) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    """Start a container's program in its own process group; return it and its output. Raises StartError.

    The group is guarded until `death_pipe.release`. pipes: environment variable -> a descriptor that the program
    inherits, in addition to the parent-death pipe.
    """
    pipes = {**pipes, "SANDBOX_DEATH_PIPE_FD": death_pipe.read_end}
    try:
        process = subprocess.Popen(
            list(command),
            cwd=ml_root,
            env=process_environment(ml_root, environment, pipes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=tuple(pipes.values()),
            start_new_session=True,
        )
    except OSError as problem:
        raise StartError(f"The program {command[0]} cannot be started: {problem.strerror}.") from problem
    if process.stdout is None:
        raise StartError("The program's output cannot be read.")
    death_pipe.guard(process.pid)
    return process, process.stdout


class ModelProcess:
    """A started process; `stop` ends it and its children."""

    def __init__(
        self,
        command: Sequence[str],
        ml_root: Path,
        environment: Mapping[str, str],
        death_pipe: ParentDeathPipe,
        follow: Callable[[IO[bytes]], FollowedPipe],
    ) -> None:
        """Start the program on a new socket. Raises StartError."""
        with bind("127.0.0.1", 0) as sock:
            self.port: int = sock.getsockname()[1]
            pipes = {"SANDBOX_LISTEN_FD": sock.fileno()}
            self._process, output = spawn(command, ml_root, environment, death_pipe, pipes)
        self._death_pipe = death_pipe
        # Our copy of the socket is closed, so connections are refused, not left waiting, once the process is gone.
        self._stopped = False
        self.log = follow(output)
        self._pool = urllib3.HTTPConnectionPool("127.0.0.1", self.port, maxsize=32, retries=False)

    @property
    def pid(self) -> int:
        """Return the process id, which is also its process group's."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """Return the exit code; None while the process runs."""
        return self._process.poll()

    def wait(self) -> int:
        """Wait for the end of the process and return its exit code."""
        return self._process.wait()

    def wait_ready(self, seconds: float, stop: threading.Event) -> None:
        """Ping until the response is 200. Raises StartError when it exits, on a timeout, or when `stop` is set."""
        deadline = time.monotonic() + seconds
        # A ping waits in the socket's queue until the process accepts it, and fails when the process ends.
        while not self._ping(max(deadline - time.monotonic(), 0.1)):
            if self.exit_code() is not None:
                raise StartError(self._exit_reason())
            if time.monotonic() > deadline:
                raise StartError(f"it did not answer /ping with 200 within {seconds:g} seconds")
            if stop.wait(0.02):
                raise StartError("the sandbox is stopping")

    def _ping(self, seconds: float) -> bool:
        """Return whether /ping returned 200 in time."""
        try:
            return bool(self.get("/ping", seconds).status == 200)
        except urllib3.exceptions.HTTPError:
            return False  # late, or gone: the caller checks which

    def _exit_reason(self) -> str:
        """Return how the process ended, with the last line of its output."""
        self.log.ended.wait(2)
        last_line = f": {self.log.last_line}" if self.log.last_line else ""
        return f"its process ended with exit code {self._process.returncode}{last_line}"

    def get(self, path: str, seconds: float) -> Any:
        """Return the response to GET, read to its end. Raises urllib3's HTTPError."""
        return self._pool.request("GET", path, timeout=seconds)

    def post(self, body: bytes, headers: Mapping[str, str], seconds: float) -> Any:
        """Post to /invocations and return the unread response. Raises urllib3's HTTPError."""
        return self._pool.request(
            "POST",
            "/invocations",
            body=body,
            headers=headers,
            timeout=urllib3.Timeout(connect=5, read=seconds),
            preload_content=False,
            decode_content=False,
        )

    def stop(self, grace: float) -> None:
        """Send SIGTERM, then SIGKILL after `grace` seconds, to the process group; return when the process is gone."""
        if self._stopped:  # its number may have been reused
            return
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace)
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._death_pipe.release(self._process.pid)
        self._stopped = True
        self._pool.close()

    def suspend(self) -> None:
        """Stop the process group from running, so that it no longer answers; `stop` still ends it."""
        if self.exit_code() is None:
            self._signal(signal.SIGSTOP)

    def kill(self) -> None:
        """End the process group at once, as a crash would."""
        if self.exit_code() is None:
            self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        """Send a signal to the process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
            os.killpg(self._process.pid, number)


def process_environment(ml_root: Path, own: Mapping[str, str], pipes: Mapping[str, int]) -> dict[str, str]:
    """Return a container's environment: a few inherited variables, its own, and those of the container contract."""
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    contract = {
        "SM_ML_ROOT": str(ml_root.resolve()),  # absolute: the process has another working directory
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(PROJECT),
        "PYTHONNOUSERSITE": "1",
        **{name: str(descriptor) for name, descriptor in pipes.items()},
    }
    return {**kept, **own, **contract}


def allowed_environment(variables: Mapping[str, str] | None) -> dict[str, str]:
    """Return the variables of a stored request. Raises StartError for variables that an earlier version accepted."""
    problem = environment_problem(variables or {})
    if problem:
        raise StartError(problem)
    return dict(variables or {})


def strict_environment(strict: bool) -> dict[str, str]:
    """Return the variable that makes the algorithm fail where AWS's does, see `sandbox.algorithm.fixed_size`."""
    return {"SANDBOX_STRICT": "1"} if strict else {}


def instance_id() -> str:
    """Return an id in the form of AWS's instance ids in log stream names."""
    return f"i-{secrets.token_hex(8)}0"[:19]


def default_programs() -> dict[str, list[str]]:
    """Return the programs that serve: a part of a container image's name -> the command."""
    return {"semantic-segmentation": [sys.executable, "-P", "-m", "sandbox.algorithm", "serve"]}
