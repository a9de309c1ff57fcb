"""Files while they are written: locked by their writer, so that nobody removes those of a run that continues.

A run that was killed leaves its partial files behind, and its locks are gone. `remove_partial_files` removes exactly
those; a file that another process is writing into the same folder stays.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from io import BufferedWriter
from pathlib import Path

from core.local_files import private_opener
from core.locks import locked

NAME = re.compile(r"\.[0-9a-f]{16}\.part")
ATTEMPTS = 3
"""New files to create where another process removes each before it is locked, or the file system has no locks."""


def open_partial(folder: Path, *, private: bool = False) -> tuple[Path, BufferedWriter]:
    """Create a partial file, locked until it is closed. private: see `write_new`. Raises OSError."""
    for left in reversed(range(ATTEMPTS)):
        path = folder / f".{secrets.token_hex(8)}.part"
        stream = open(path, "xb", opener=private_opener if private else None)  # noqa: SIM115 - returned open
        kept = locked(stream.fileno()) and os.fstat(stream.fileno()).st_nlink > 0
        if kept or not left:
            break
        stream.close()
        path.unlink(missing_ok=True)
    return path, stream


def remove_partial_files(paths: Iterable[Path]) -> tuple[int, int]:
    """Remove the partial files among these that no process is writing; return how many, and how many others stay."""
    removed = kept = 0
    for path in paths:
        if not NAME.fullmatch(path.name) or path.is_symlink() or not path.is_file():
            continue
        with suppress(FileNotFoundError):  # its writer has finished it meanwhile
            if _remove(path):
                removed += 1
            else:
                kept += 1
    return removed, kept


def _remove(path: Path) -> bool:
    """Remove a partial file; return whether nobody is writing it. Raises FileNotFoundError."""
    try:
        file = os.open(path, os.O_RDWR)
    except PermissionError:
        return False  # of another user, or on Windows of a process that writes it
    try:
        if not locked(file):
            return False
        if os.name != "nt":
            path.unlink()
    finally:
        os.close(file)
    if os.name == "nt":  # it removes no open file
        path.unlink()
    return True
