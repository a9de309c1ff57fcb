"""Open local files safely: a dataset or an archive may have been packed by anyone.

Opening a named pipe waits for a writer, and opening a device may do something to it. So only regular files are
opened; anything else raises an OSError that says what it is.

Segdeck's own files (`Settings.state_dir`) are private: no other user of the machine can read them.
"""

from __future__ import annotations

import errno
import lzma
import os
import stat
import struct
import sys
import tarfile
import zipfile
import zlib
from io import BufferedReader
from pathlib import Path

MAX_BYTES = 1 << 30
"""The largest file that is read into memory: a 100-megapixel image with 4 channels of 16 bits takes 0.8 GB."""

READER_ERRORS: tuple[type[Exception], ...] = (
    EOFError,
    LookupError,
    OverflowError,
    RuntimeError,  # with NotImplementedError (an unknown compression) and RecursionError below it
    ValueError,  # with UnicodeError and JSONDecodeError below it
    lzma.LZMAError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What the standard library's archive and JSON readers raise for malformed bytes."""

PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
"""Permissions for files that only the user who runs Segdeck may read."""

OTHERS = stat.S_IRWXG | stat.S_IRWXO

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class NotRegularError(OSError):
    """The path is a folder, a pipe, a socket or a device; a regular file is required."""


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading, without blocking. Raises OSError; NotRegularError for anything else.

    The path is checked before it is opened, so that no device is touched, and the open file is checked again, in case
    the path was replaced in between.
    """
    _require_regular(path, os.stat(path).st_mode)
    flags = (
        os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
    )
    descriptor = os.open(path, flags)
    try:
        _require_regular(path, os.fstat(descriptor).st_mode)
        return open(descriptor, "rb")  # use the checked descriptor, not the path
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the content of a regular file. Raises OSError, also for a file of more than `max_bytes`."""
    with open_regular(path) as file:
        _require_size(path, os.fstat(file.fileno()).st_size, max_bytes)
        data = file.read(max_bytes + 1)
    if data is None:  # a /proc file without content yet
        raise BlockingIOError(errno.EAGAIN, "it has no content yet", str(path))
    _require_size(path, len(data), max_bytes)  # it may have grown, and /proc files report no size
    return data


def read_text(path: Path, encoding: str = "utf-8-sig", *, max_bytes: int = MAX_BYTES) -> str:
    """Return the text of a regular file. Raises OSError as `read_regular` does, and UnicodeDecodeError."""
    return read_regular(path, max_bytes=max_bytes).decode(encoding)


def private_folder(folder: Path) -> None:
    """Create a folder and its missing parents, private to this user. Raises OSError.

    An existing folder is left as it is: see `close_to_others`.
    """
    try:
        folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    except FileNotFoundError:
        if folder.parent == folder:
            raise
        private_folder(folder.parent)
        folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)


def private_opener(path: str, flags: int) -> int:
    """Open a file, for `open(..., opener=...)`: only this user can read a new file."""
    return os.open(path, flags, PRIVATE_FILE)


def close_to_others(folder: Path) -> bool:
    """Remove other users' permissions on an existing folder, so that they cannot reach its content. Raises OSError.

    Return whether it is private now; a file system without permissions returns False. On Windows nothing is changed:
    its permissions are managed elsewhere.
    """
    if sys.platform == "win32":
        return True
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & OTHERS:
        folder.chmod(mode & ~OTHERS)
    return not folder.stat().st_mode & OTHERS


def reason(error: OSError | ValueError) -> str:
    """Return why a file could not be read, as a sentence without the path."""
    text = (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
    return f"{text[0].upper()}{text[1:].rstrip('.')}."


def _require_size(path: Path, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        text = f"it has {size:,} bytes; at most {max_bytes:,} are read"
        raise OSError(errno.EFBIG, text, str(path))


def _require_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((name for is_kind, name in KINDS if is_kind(mode)), "a special file")
        raise NotRegularError(errno.EINVAL, f"it is {kind}, not a regular file", str(path))
