"""The demonstration's data set, drawn and uploaded in the background while a new sandbox serves already.

It is drawn by a process of its own at a low priority, which ends with the sandbox however that ends. What is
interrupted is taken up again at the next start; what is done is remembered, so that who deletes it does not find it
back.
"""

from __future__ import annotations

import contextlib
import mimetypes
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.container import Lifeline, process_environment
from sandbox.loopback import Loopback
from sandbox.seed import BUCKET, MARKER, read_marker, write_marker

PREFIX = "datasets/aerial"
DRAW = (sys.executable, "-m", "sandbox.demo.dataset")
DONE = "dataset"
AT_ONCE = 4
END_SECONDS = 10.0


class DatasetSeed:
    """Between `start` and `close`. command: draws the data set into the folder that is its last argument."""

    def __init__(
        self,
        loopback: Loopback,
        data_dir: Path,
        say: Callable[[str], None],
        command: Sequence[str] = DRAW,
    ) -> None:
        self._loopback, self._say, self._command = loopback, say, command
        self._marker, self._folder = data_dir / MARKER, data_dir / "drawing"
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = Lifeline()
        self._thread = threading.Thread(target=self._live, name="data set", daemon=True)

    def start(self) -> DatasetSeed:
        """Make it, unless it was made before or the demonstration it belongs to is left out."""
        done = read_marker(self._marker)
        if done.get("aerial") and DONE not in done:
            self._thread.start()
        return self

    def wait(self, seconds: float) -> bool:
        """Whether it is over in time."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def close(self) -> None:
        """End the process, and wait for what is being uploaded."""
        self._closing.set()
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)
        self.wait(END_SECONDS)
        self._lifeline.close()

    def _live(self) -> None:
        try:
            if not self._draw():
                return
            self._upload()
        except (OSError, ClientError, BotoCoreError) as problem:
            if not self._closing.is_set():
                self._say(f"The demonstration's data set is not there: {problem}")
            return
        if not self._closing.is_set():
            write_marker(self._marker, {**read_marker(self._marker), DONE: f"s3://{BUCKET}/{PREFIX}"})
            shutil.rmtree(self._folder, ignore_errors=True)

    def _draw(self) -> bool:
        """Whether it was drawn to its end."""
        self._folder.mkdir(exist_ok=True)
        pipes = {"SANDBOX_LIFELINE_FD": self._lifeline.read_end}
        with self._lock:
            if self._closing.is_set():
                return False
            self._process = subprocess.Popen(
                [*self._command, str(self._folder)],
                env=process_environment(self._folder, {}, pipes),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=tuple(pipes.values()),
                start_new_session=True,
            )
            self._lifeline.guard(self._process.pid)
        errors = self._process.communicate()[1].decode("utf-8", "replace").strip().splitlines()
        self._lifeline.release(self._process.pid)
        if self._process.returncode and not self._closing.is_set():
            why = errors[-1] if errors else f"exit code {self._process.returncode}"
            self._say(f"The demonstration's data set could not be drawn: {why}")
        return self._process.returncode == 0

    def _upload(self) -> None:
        s3 = self._loopback.client("s3")
        files = sorted(path for path in self._folder.rglob("*") if path.is_file())
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(lambda path: self._put(s3, path), files):
                pass

    def _put(self, s3: Any, path: Path) -> None:
        if self._closing.is_set():
            return
        key = f"{PREFIX}/{path.relative_to(self._folder).as_posix()}"
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        s3.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes(), ContentType=kind)
