"""A lock on an open file; the operating system releases it when the process dies."""

from __future__ import annotations

import os
import sys

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
