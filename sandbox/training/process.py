"""Run the program of a training job: a plain process in place of SageMaker's container."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from sandbox.common.log_shipper import FollowedPipe
from sandbox.hosting.container import ParentDeathPipe, spawn


class TrainingProcess:
    """A program and its children. It ends on its own, by `kill`, or through its parent-death pipe."""

    def __init__(
        self,
        command: Sequence[str],
        ml_root: Path,
        environment: Mapping[str, str],
        death_pipe: ParentDeathPipe,
        *,
        follow: Callable[[IO[bytes]], FollowedPipe],
        ended: Callable[[], object],
    ) -> None:
        """Start the program. `ended` is called, from another thread, when it has ended. Raises StartError."""
        self._process, output = spawn(command, ml_root, environment, death_pipe)
        self._death_pipe = death_pipe
        self.log = follow(output)
        self._lock = threading.Lock()  # no signal is sent once the process id may be reused
        self._reaped = False
        self._ended = ended
        threading.Thread(target=self._wait, name=f"training {self.pid}", daemon=True).start()

    @property
    def pid(self) -> int:
        """Return the process id, which is also its process group's."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Return the exit code: None while running; 128 plus the number for a signal, as containers report it."""
        code = self._process.returncode
        return code if code is None or code >= 0 else 128 - code

    def terminate(self) -> None:
        """Send SIGTERM, on which the program saves its model and ends."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to the process group."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        """Send a signal to the process group, unless the program has been waited for."""
        with self._lock:
            if not self._reaped:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, number)

    def _wait(self) -> None:
        """Wait for the program, then end its remaining children."""
        self._process.wait()
        self._signal(signal.SIGKILL)  # for its remaining children
        self._death_pipe.release(self.pid)
        with self._lock:
            self._reaped = True
        self._ended()


def default_training_programs() -> dict[str, list[str]]:
    """Return the programs that train: a part of a training image's name -> the command."""
    return {"semantic-segmentation": [sys.executable, "-P", "-m", "sandbox.algorithm", "train"]}
