"""Standard output and error that survive a full disk under their log."""

from __future__ import annotations

import io
import os
import sys

from sandbox.common.disk import is_full


class LossyStream(io.TextIOBase):
    """A text stream onto a descriptor. Failed writes are counted, and reported once the disk has room again."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._lost = descriptor, 0

    def write(self, text: str) -> int:
        """Write immediately, without a buffer; on a full disk the text is lost and counted."""
        lost = (
            f"sandbox: {self._lost} writes to this log were lost: its disk was full\n" if self._lost else ""
        )
        data = (lost + text).encode("utf-8", "backslashreplace")
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as problem:
            if not is_full(problem):
                raise
            self._lost += 1
        else:
            self._lost = 0
        return len(text)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor


def use_lossy_output() -> None:
    """Replace stdout and stderr, so that this process continues when its log cannot be written."""
    sys.stdout, sys.stderr = LossyStream(1), LossyStream(2)
