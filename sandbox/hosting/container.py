"""Run one model behind an endpoint: what SageMaker does with a container, done with a plain process.

The process gets its model in $SM_ML_ROOT/model and answers GET /ping and POST /invocations on a socket that it
inherits already listening (SANDBOX_LISTEN_FD): no port is guessed, nothing races. It exits when its parent-death pipe
(SANDBOX_DEATH_PIPE_FD) ends: also when this process is killed. What it started ends with it.
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
from sandbox.common.log_shipper import Followed
from sandbox.http.server import bind

PROJECT = Path(__file__).resolve().parents[2]
GUARDIAN = (sys.executable, "-I", "-S", guardian.__file__)
# Variables that a process inherits; above all not the user's AWS credentials.
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
    """A model does not come into service; the text is the endpoint's FailureReason."""


class ParentDeathPipe:
    """End programs with this process, however it ends.

    Nobody writes to the pipe: a program that reads it sees the end when this process is gone. For programs that do
    not read it, and for what they started, a guardian process then kills their process groups.
    """

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()
        self._guardian: subprocess.Popen[bytes] | None = None
        self._groups: set[int] = set()
        self._closed = False
        self._lock = threading.Lock()

    def guard(self, group: int) -> None:
        """Have the guardian kill this process group when this process is gone."""
        with self._lock:
            self._groups.add(group)
            self._send(f"+{group}\n")

    def release(self, group: int) -> None:
        """Forget a process group that has ended: its number may belong to another."""
        with self._lock:
            if group in self._groups:
                self._groups.discard(group)
                self._send(f"-{group}\n")

    def close(self) -> None:
        """End the guardian, and with it what it still guards."""
        with self._lock:
            self._closed = True
            os.close(self.read_end)
            os.close(self._write_end)
            process = self._guardian
        if process is not None and process.stdin is not None:
            process.stdin.close()
            process.wait()

    def _send(self, line: str) -> None:
        if self._closed:
            return
        try:
            if self._guardian is not None:
                self._write(self._guardian, line)
                return
        except BrokenPipeError:  # somebody killed the guardian
            self._guardian = None
        self._guardian = subprocess.Popen(
            GUARDIAN, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, bufsize=0, start_new_session=True
        )
        self._write(self._guardian, "".join(f"+{group}\n" for group in self._groups))

    def _write(self, process: subprocess.Popen[bytes], text: str) -> None:
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
        kept = f"The model archive {url} is in place; of its copy for this endpoint nothing was kept."
        raise StartError(Disk(folder).text(problem, needed, kept)) from problem
    finally:
        archive.unlink(missing_ok=True)


def _bad_archive(url: str, problem: ArchiveError) -> str:
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
    """Start a container's program in a process group of its own; also return what it prints. Raises StartError.

    The group is guarded until `death_pipe.release`. pipes: environment variable -> a descriptor that the program
    inherits, in addition to the parent-death pipe's.
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
        raise StartError("The program has no output.")
    death_pipe.guard(process.pid)
    return process, process.stdout


class ModelProcess:
    """A started process; `stop` ends it with everything it started."""

    def __init__(
        self,
        command: Sequence[str],
        ml_root: Path,
        environment: Mapping[str, str],
        death_pipe: ParentDeathPipe,
        follow: Callable[[IO[bytes]], Followed],
    ) -> None:
        """Raises StartError when the program cannot be started."""
        with bind("127.0.0.1", 0) as sock:
            self.port: int = sock.getsockname()[1]
            pipes = {"SANDBOX_LISTEN_FD": sock.fileno()}
            self._process, output = spawn(command, ml_root, environment, death_pipe, pipes)
        self._death_pipe = death_pipe
        # Our copy of the socket is closed: once the process is gone its port refuses instead of letting callers wait.
        self._stopped = False
        self.log = follow(output)
        self._pool = urllib3.HTTPConnectionPool("127.0.0.1", self.port, maxsize=32, retries=False)

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self) -> int | None:
        """Return the exit code; None while the process runs."""
        return self._process.poll()

    def wait(self) -> int:
        """Wait for the end of the process and return its exit code."""
        return self._process.wait()

    def wait_ready(self, seconds: float, stop: threading.Event) -> None:
        """Ping until the answer is 200. Raises StartError when it exits, when time is up, or when `stop` is set."""
        deadline = time.monotonic() + seconds
        # A ping waits in the socket's queue until the process listens, and breaks when the process ends.
        while not self._ping(max(deadline - time.monotonic(), 0.1)):
            if self.exit_code() is not None:
                raise StartError(self._exit_reason())
            if time.monotonic() > deadline:
                raise StartError(f"it did not answer /ping with 200 within {seconds:g} seconds")
            if stop.wait(0.02):
                raise StartError("the sandbox stops")

    def _ping(self, seconds: float) -> bool:
        try:
            return self._pool.request("GET", "/ping", timeout=seconds).status == 200
        except urllib3.exceptions.HTTPError:
            return False  # late, or gone: the caller looks which

    def _exit_reason(self) -> str:
        self.log.ended.wait(2)
        last_line = f": {self.log.last_line}" if self.log.last_line else ""
        return f"its process ended with exit code {self._process.returncode}{last_line}"

    def post(self, body: bytes, headers: Mapping[str, str], seconds: float) -> Any:
        """Post to /invocations; the response is not read yet. Raises urllib3's HTTPError."""
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
        """Send SIGTERM, and SIGKILL after `grace` seconds, to its whole process group; return when it is gone."""
        if self._stopped:  # its number may belong to another process by now
            return
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace)
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._death_pipe.release(self._process.pid)
        self._stopped = True
        self._pool.close()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
            os.killpg(self._process.pid, number)


def process_environment(ml_root: Path, own: Mapping[str, str], pipes: Mapping[str, int]) -> dict[str, str]:
    """Return what a container's process gets: a little of ours, its own variables, and the contract's."""
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    contract = {
        "SM_ML_ROOT": str(ml_root.resolve()),  # the process has another working directory than we
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(PROJECT),
        "PYTHONNOUSERSITE": "1",
        **{name: str(descriptor) for name, descriptor in pipes.items()},
    }
    return {**kept, **own, **contract}


def allowed_environment(variables: Mapping[str, str] | None) -> dict[str, str]:
    """Return the variables of a stored request. Raises StartError for what an earlier version let in."""
    problem = environment_problem(variables or {})
    if problem:
        raise StartError(problem)
    return dict(variables or {})


def instance_id() -> str:
    """Return a name such as AWS gives to instances in log streams."""
    return f"i-{secrets.token_hex(8)}0"[:19]


def default_programs() -> dict[str, list[str]]:
    """Return the programs that serve: a part of a container image's name -> the command."""
    return {"semantic-segmentation": [sys.executable, "-P", "-m", "sandbox.algorithm", "serve"]}
