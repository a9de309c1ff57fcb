"""A lock on an open file; the operating system releases it when the process dies."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from core.local_files import PRIVATE_FILE

PAUSE = 0.02
"""Seconds between two attempts to lock a file."""

BEYOND = 1 << 30
"""The byte that Windows locks; a locked byte cannot be read, so it is past the end of the file."""


def locked(file: int, *, shared: bool = False) -> bool:
    """Return whether this process got the lock. shared: a read lock, which several readers can hold."""
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - only Windows has it

            os.lseek(file, BEYOND, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 - Windows has none

            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def exclusive(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock of a file, which is created if needed, and stays. Waits for other threads and processes.

    on_wait: called before each pause; what it raises ends the waiting. Raises OSError.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    try:
        while not locked(file):
            on_wait()
            time.sleep(PAUSE)
        yield
    finally:
        os.close(file)  # releases the lock


class Turn:
    """The exclusive right to do something that has a name, until `release`: among all threads and processes.

    It is a locked file with that name, which is removed at the end. If the process dies, the lock is gone, and the
    next holder takes over the file.
    """

    def __init__(self, path: Path, on_wait: Callable[[], None] = lambda: None) -> None:
        """Wait for the turn. on_wait: as for `exclusive`. Raises OSError."""
        self._path = path
        while True:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
            try:
                while not locked(self._file):
                    on_wait()
                    time.sleep(PAUSE)
                if self._is_current():
                    return
            except BaseException:
                os.close(self._file)
                raise
            os.close(self._file)  # its holder has removed it meanwhile: another thread may have a new one

    def release(self) -> None:
        """End the turn."""
        with suppress(OSError):  # Windows removes no open file; an empty file that stays is harmless
            self._path.unlink(missing_ok=True)
        os.close(self._file)

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file), self._path.stat())
        except FileNotFoundError:
            return False
