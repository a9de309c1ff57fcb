"""Run the program of a training job: what SageMaker does with a container, done with a plain process."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from sandbox.common.log_shipper import Followed
from sandbox.hosting.container import ParentDeathPipe, spawn


class TrainingProcess:
    """A started program and everything it starts. It ends with the sandbox: by `kill`, or its parent-death pipe."""

    def __init__(
        self,
        command: Sequence[str],
        ml_root: Path,
        environment: Mapping[str, str],
        death_pipe: ParentDeathPipe,
        *,
        follow: Callable[[IO[bytes]], Followed],
        ended: Callable[[], object],
    ) -> None:
        """`ended` is called, from another thread, when the program has ended. Raises StartError."""
        self._process, output = spawn(command, ml_root, environment, death_pipe)
        self._death_pipe = death_pipe
        self.log = follow(output)
        self._lock = threading.Lock()  # no signal is sent once the number may belong to another process
        self._reaped = False
        self._ended = ended
        threading.Thread(target=self._wait, name=f"training {self.pid}", daemon=True).start()

    @property
    def pid(self) -> int:
        """Return the process id, which is its process group's too."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Return None while it runs; for a signal, 128 and its number, as containers report it."""
        code = self._process.returncode
        return code if code is None or code >= 0 else 128 - code

    def terminate(self) -> None:
        """Ask it to save what there is and end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with self._lock:
            if not self._reaped:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, number)

    def _wait(self) -> None:
        self._process.wait()
        self._signal(signal.SIGKILL)  # what it may have left behind in its group
        self._death_pipe.release(self.pid)
        with self._lock:
            self._reaped = True
        self._ended()


def default_training_programs() -> dict[str, list[str]]:
    """Return the programs that train: a part of a training image's name -> the command."""
    return {"semantic-segmentation": [sys.executable, "-P", "-m", "sandbox.algorithm", "train"]}
