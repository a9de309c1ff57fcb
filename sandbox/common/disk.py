"""Track the space on the sandbox's disk: free bytes, a reserve for deletions on a full disk, and error texts."""

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
STATUS = 507  # Insufficient Storage: AWS clients do not retry it
_FULL = {errno.ENOSPC}
_LIMITED = {errno.EDQUOT, errno.EFBIG}
T = TypeVar("T")


class DiskFullError(Exception):
    """The disk is full; the text is for the caller."""


def is_full(problem: BaseException) -> bool:
    """Return whether a write failed for lack of space: on the disk, in a quota, or at a limit on file sizes."""
    if isinstance(problem, sqlite3.Error):
        # SQLite reports a quota and a limit on file sizes as a failed write.
        return getattr(problem, "sqlite_errorcode", None) in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE}
    return isinstance(problem, OSError) and problem.errno in _FULL | _LIMITED


def megabytes(size: float) -> str:
    """Return a size as text, e.g. "3.1 MB"; a small one in bytes."""
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
        """Allocate the reserve for deletions, as large as the free space allows; return False when there is none."""
        with self._lock:
            self._wanted = True
            size = min(self._bytes, self._held + self.free())
            if size > self._held and size >= LEAST_BYTES:
                self._grow(size)
            return self._held > 0

    def _grow(self, size: int) -> None:
        """Enlarge the reserve file to `size` bytes, or remove it when the disk is full."""
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
        """Delete the reserve."""
        with self._lock:
            self._path.unlink(missing_ok=True)
            self._held = 0

    def freeing(self, work: Callable[[], T], before_again: Callable[[], object] = lambda: None) -> T:
        """Run work that frees space or records state; on a full disk, run it again with the reserve released.

        `work` leaves nothing behind when it fails. before_again: frees space before the second attempt.
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
        """Return an error text: what is full, free and needed bytes, what is intact, and what to do now."""
        limited = problem is not None and (
            getattr(problem, "errno", None) in _LIMITED
            or getattr(problem, "sqlite_errorcode", None) == sqlite3.SQLITE_IOERR_WRITE
        )
        what = (
            "accepts no more data (a quota, a limit on file sizes, or a disk error)" if limited else "is full"
        )
        room = f"{megabytes(self.free())} free" + ("" if needed is None else f", {megabytes(needed)} needed")
        todo = "Delete objects, models, jobs or logs, or free space on that disk, then try again."
        return f"The disk that holds {self.folder} {what}: {room}. {in_place} {todo}"


def _allocate(file: int, size: int) -> None:
    """Extend a file to `size` bytes that take real space."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:  # macOS
        for start in range(os.fstat(file).st_size, size, 1 << 20):
            os.write(file, bytes(min(1 << 20, size - start)))
