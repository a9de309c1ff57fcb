"""A lock on a file, held by whoever has it open: the system takes it away when the process dies."""

from __future__ import annotations

import os
import sys

BEYOND = 1 << 30
"""Where Windows locks a byte, which nobody could then read: behind all that the file holds."""


def locked(file: int, *, shared: bool = False) -> bool:
    """Whether the lock is ours now; not where it is another's. shared: who only looks disturbs nobody who looks."""
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
