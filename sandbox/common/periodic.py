"""Run a task of the sandbox periodically, in the background."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable


class PeriodicTask:
    """Calls `work` every `seconds` in a thread of its own, from `start` to `close`, first after that delay."""

    def __init__(self, name: str, seconds: float, work: Callable[[], object]) -> None:
        self._seconds, self._work = seconds, work
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop, and wait for a call in progress, which may need the sandbox to be answering."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._seconds):
            try:
                self._work()
            except Exception:  # noqa: BLE001 - printed; the next call may succeed, e.g. once a disk has room again
                traceback.print_exc()
