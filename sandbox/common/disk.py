"""Room on the sandbox's disk: what is free, a reserve for deletions when nothing is, and errors that say so."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

RESERVE_BYTES = 4 << 20
LEAST_BYTES = 128 << 10  # a deletion needs some pages of the index
RESERVE_FILE = "reserve"
CODE = "StorageFull"
STATUS = 507  # Insufficient Storage: clients of AWS do not repeat the call
_FULL = {errno.ENOSPC}
_LIMITED = {errno.EDQUOT, errno.EFBIG}
T = TypeVar("T")


class DiskFullError(Exception):
    """There is no room; the text is for whoever called."""


def is_full(problem: BaseException) -> bool:
    """Return whether a write failed for lack of room: on the disk, in a quota, or below a limit on file sizes."""
    if isinstance(problem, sqlite3.Error):
        # SQLite tells a quota and a limit on file sizes as a failed write.
        return getattr(problem, "sqlite_errorcode", None) in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE}
    return isinstance(problem, OSError) and problem.errno in _FULL | _LIMITED


def megabytes(size: float) -> str:
    """Return a size in words, e.g. "3.1 MB"; a small one in bytes."""
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size:,.0f} bytes"


class Disk:
    """The disk that holds `folder`. free: bytes that this user may still write there; tests pass their own."""

    def __init__(
        self, folder: Path, *, reserve_bytes: int = RESERVE_BYTES, free: Callable[[], int] | None = None
    ) -> None:
        self.folder, self._path, self._bytes = folder, folder / RESERVE_FILE, reserve_bytes
        self.free = free or (lambda: shutil.disk_usage(folder).free)
        self._lock = threading.Lock()
        self._held = 0  # bytes set aside
        self._wanted = False

    def reserve(self) -> bool:
        """Set room aside for deletions, as much as there is; False where that is none."""
        with self._lock:
            self._wanted = True
            size = min(self._bytes, self._held + self.free())
            if size > self._held and size >= LEAST_BYTES:
                self._grow(size)
            return self._held > 0

    def _grow(self, size: int) -> None:
        try:
            with self._path.open("ab") as file:
                _allocate(file.fileno(), size)
        except OSError as problem:
            self._path.unlink(missing_ok=True)
            self._held = 0
            if not is_full(problem):
                raise
        else:
            self._held = size

    def release(self) -> None:
        """Give the reserve up."""
        with self._lock:
            self._path.unlink(missing_ok=True)
            self._held = 0

    def freeing(self, work: Callable[[], T], before_again: Callable[[], object] = lambda: None) -> T:
        """Run what makes room or keeps track; where the disk is full, once more with the reserve given up.

        `work` leaves nothing behind when it fails. before_again: makes room of its own.
        """
        try:
            result = work()
        except (OSError, sqlite3.Error) as problem:
            if not is_full(problem):
                raise
            self.release()
            before_again()
            result = work()
        if self._wanted and self._held < self._bytes:
            self.reserve()
        return result

    def text(self, problem: BaseException | None, needed: int | None, in_place: str) -> str:
        """Say what is full, how much is free and needed (bytes), what is in place, and what to do now."""
        limited = problem is not None and (
            getattr(problem, "errno", None) in _LIMITED
            or getattr(problem, "sqlite_errorcode", None) == sqlite3.SQLITE_IOERR_WRITE
        )
        what = "takes no more (a quota or a limit on file sizes, or a fault of it)" if limited else "is full"
        room = f"{megabytes(self.free())} free" + ("" if needed is None else f", {megabytes(needed)} needed")
        todo = "Delete objects, models, jobs or logs, or make room on that disk, then try again."
        return f"The disk that holds {self.folder} {what}: {room}. {in_place} {todo}"


def _allocate(file: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:  # macOS
        for start in range(os.fstat(file).st_size, size, 1 << 20):
            os.write(file, bytes(min(1 << 20, size - start)))
