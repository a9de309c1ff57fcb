"""The demo dataset: drawn once per machine, and uploaded in the background while a new sandbox already serves.

Drawing takes half a minute of CPU time, so the files are kept in the user's cache folder for later sandboxes, under a
key that changes with the code that draws them. A process of low priority draws them and ends with the sandbox. An
interrupted drawing is continued at the next start. A finished upload is recorded, so that a deleted dataset does not
come back.
"""

from __future__ import annotations

import contextlib
import hashlib
import mimetypes
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.common.clients import Loopback
from sandbox.hosting.container import ParentDeathPipe, process_environment
from sandbox.seed.seed import BUCKET, MARKER, read_marker, write_marker

PREFIX = "datasets/aerial"
DRAW = (sys.executable, "-m", "sandbox.demo.dataset")
DONE = "dataset"
AT_ONCE = 4
END_SECONDS = 10.0
LOCK_SECONDS = 0.2
KEPT_VERSIONS = 3
"""Number of drawn datasets, of about 10 MB each, that stay in the cache folder."""


def default_cache(data_dir: Path) -> Path:
    """Return the folder of drawn datasets: `segdeck` in $XDG_CACHE_HOME or ~/.cache; in `data_dir` without a home."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME", "").strip() or "~/.cache").expanduser() / "segdeck"
    except RuntimeError:  # in a container whose user id has no name
        return data_dir / "cache"


def drawing_version() -> str:
    """Return a key of the drawn bytes: a hash of the demo code and of the versions of numpy and Pillow."""
    digest = hashlib.sha256(f"numpy {version('numpy')}, pillow {version('pillow')}".encode())
    for path in sorted((Path(__file__).parents[1] / "demo").glob("*.py")):
        digest.update(path.read_bytes())
    return f"demo-dataset-{digest.hexdigest()[:16]}"


class DatasetSeed:
    """Draws and uploads the dataset in the background, from `start` to `close`.

    command: draws the dataset into the folder in its last argument.
    cache:   the folder that keeps drawn datasets for other sandboxes; None: `default_cache`.
    """

    def __init__(
        self,
        loopback: Loopback,
        data_dir: Path,
        report: Callable[[str], None],
        command: Sequence[str] = DRAW,
        cache: Path | None = None,
    ) -> None:
        self._loopback, self._report, self._command = loopback, report, command
        self._marker, self._own_folder = data_dir / MARKER, data_dir / "drawing"
        self._cache = cache or default_cache(data_dir)
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._death_pipe = ParentDeathPipe()
        self._thread = threading.Thread(target=self._run, name="dataset", daemon=True)

    def start(self) -> DatasetSeed:
        """Start, unless the dataset was uploaded before or its demo endpoint is left out."""
        done = read_marker(self._marker)
        if done.get("aerial") and DONE not in done:
            self._thread.start()
        return self

    def wait(self, seconds: float) -> bool:
        """Wait; return whether the work finished in time."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def close(self) -> None:
        """End the drawing process and wait for uploads in progress."""
        self._closing.set()
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)
        self.wait(END_SECONDS)
        self._death_pipe.close()

    def _run(self) -> None:
        """Draw and upload the dataset; report a failure."""
        try:
            folder = self._drawn()
            if folder is None:
                return
            self._upload(folder)
        except (OSError, ClientError, BotoCoreError) as problem:
            if not self._closing.is_set():
                self._report(f"The demo dataset could not be uploaded; the next start tries again: {problem}")
            return
        if not self._closing.is_set():
            write_marker(self._marker, {**read_marker(self._marker), DONE: f"s3://{BUCKET}/{PREFIX}"})
            shutil.rmtree(self._own_folder, ignore_errors=True)

    def _drawn(self) -> Path | None:
        """Return the folder of the complete dataset, drawn now unless it is cached; None when drawing failed."""
        whole = self._cache / drawing_version()
        if whole.is_dir():
            return whole
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
            lock = (self._cache / f"{whole.name}.lock").open("w")
        except OSError as problem:
            self._report(f"The demo dataset cannot be cached in {self._cache}: {problem.strerror}.")
            return self._own_folder if self._draw(self._own_folder) else None
        with lock:
            if not self._wait_for_lock(lock.fileno()):
                return None
            return whole if whole.is_dir() or self._draw_whole(whole) else None

    def _wait_for_lock(self, descriptor: int) -> bool:
        """Wait while another sandbox draws; return False when this one closes first."""
        import fcntl  # noqa: PLC0415 - Windows has none

        while not self._closing.is_set():
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._closing.wait(LOCK_SECONDS)
            else:
                return True
        return False

    def _draw_whole(self, whole: Path) -> bool:
        """Draw into a temporary folder and rename it when it is complete, so that readers never see a part."""
        part = whole.with_suffix(".part")
        if not self._draw(part):
            return False
        part.rename(whole)
        for old in self._older_versions(whole):
            shutil.rmtree(old, ignore_errors=True)
            old.with_suffix(".lock").unlink(missing_ok=True)
        return True

    def _older_versions(self, whole: Path) -> Iterator[Path]:
        """Yield the cached datasets to delete."""
        versions = [path for path in self._cache.glob("demo-dataset-*") if path.is_dir() and path != whole]
        yield from sorted(versions, key=lambda path: -path.stat().st_mtime)[KEPT_VERSIONS - 1 :]

    def _draw(self, folder: Path) -> bool:
        """Draw into a folder; return whether it was completed."""
        folder.mkdir(exist_ok=True)
        pipes = {"SANDBOX_DEATH_PIPE_FD": self._death_pipe.read_end}
        with self._lock:
            if self._closing.is_set():
                return False
            self._process = subprocess.Popen(
                [*self._command, str(folder)],
                env=process_environment(folder, {}, pipes),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=tuple(pipes.values()),
                start_new_session=True,
            )
            self._death_pipe.guard(self._process.pid)
        errors = self._process.communicate()[1].decode("utf-8", "replace").strip().splitlines()
        self._death_pipe.release(self._process.pid)
        if self._process.returncode and not self._closing.is_set():
            why = errors[-1] if errors else f"exit code {self._process.returncode}"
            self._report(f"The demo dataset could not be drawn: {why}")
        return self._process.returncode == 0

    def _upload(self, folder: Path) -> None:
        """Upload all files of a folder."""
        s3 = self._loopback.client("s3")
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(lambda path: self._put(s3, path, folder), files):
                pass

    def _put(self, s3: Any, path: Path, folder: Path) -> None:
        """Upload one file, unless closing."""
        if self._closing.is_set():
            return
        key = f"{PREFIX}/{path.relative_to(folder).as_posix()}"
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        s3.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes(), ContentType=kind)
