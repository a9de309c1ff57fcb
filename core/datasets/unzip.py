"""Extract a ZIP file into a new folder. All entries are checked before anything is written, so it cannot do harm.

Source of the format: PKWARE, "APPNOTE.TXT - .ZIP File Format Specification".
"""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from core.errors import InputError
from core.local_files import READER_ERRORS, open_regular, reason
from core.text import listing

MOST_ENTRIES = 60_000
MOST_BYTES = 50_000_000_000
MOST_RATIO = 100
"""The maximum ratio of extracted to compressed size. Images are already compressed and hardly shrink."""

SMALL = 100_000_000
"""Extracted bytes up to which the ratio is not checked."""

PIECE = 1 << 20
LONGEST_NAME = 255
"""The maximum bytes of a file name on common file systems."""

DAMAGED = (
    "Copy it again, or create it again with another program, with names in UTF-8 and without a password."
)
TODO = "Extract it yourself, check its content, and choose the folder."
READ_ERRORS: tuple[type[Exception], ...] = (*READER_ERRORS, OSError)
"""bz2 raises OSError, without an errno, for damaged data."""

OnProgress = Callable[[int, int], None]


def extract(path: Path, into: Path, *, on_progress: OnProgress | None = None) -> None:
    """Extract a ZIP file into a folder that does not exist yet, completely or not at all.

    Raises InputError where it is not a ZIP file, or has a path outside of the folder, a link, a password, too many
    files, or too much content.
    """
    try:
        with open_regular(path) as file, _opened(path, file) as archive:
            entries = [entry for entry in archive.infolist() if not _is_folder(entry)]
            size = os.fstat(file.fileno()).st_size
            _check_entries(path, archive.infolist(), size, shutil.disk_usage(into.parent).free)
            into.mkdir()
            try:
                for number, entry in enumerate(entries, 1):
                    _write(path, archive, entry, into)
                    if on_progress is not None:
                        on_progress(number, len(entries))
            except BaseException:
                shutil.rmtree(into)
                raise
    except OSError as error:
        raise InputError(
            f"{path.name} cannot be extracted.",
            why=reason(error),
            todo="Check the file and the free disk space, or extract it yourself and choose the folder.",
        ) from error


def _opened(path: Path, file: BinaryIO) -> zipfile.ZipFile:
    with _reading(path):
        return zipfile.ZipFile(file)


@contextmanager
def _reading(path: Path, entry: str = "") -> Iterator[None]:
    """Convert all exceptions of `zipfile` for damaged data into an InputError. entry: the entry being read."""
    try:
        yield
    except READ_ERRORS as error:
        if isinstance(error, OSError) and error.errno:
            raise
        inside = f" Its entry {entry!r} cannot be read:" if entry else ""
        raise InputError(
            f"{path.name} is not a readable ZIP file.",
            why=f"{inside} {str(error).rstrip('. ') or type(error).__name__}.".strip(),
            todo=DAMAGED,
        ) from error


def _check_entries(path: Path, entries: list[zipfile.ZipInfo], packed: int, free: int) -> None:
    """Check all entries. Raises InputError with the reason why the file is not extracted."""
    if len(entries) > MOST_ENTRIES:
        raise _refused(path, f"It has {len(entries):,} entries; the limit is {MOST_ENTRIES:,}.")
    for entry in entries:
        reason = _reason(entry)
        if reason:
            raise _refused(path, f"{entry.filename!r} {reason}.")
    files = [PurePosixPath(entry.filename.casefold()) for entry in entries if not _is_folder(entry)]
    twice = [str(name) for name, count in Counter(files).items() if count > 1]
    if twice:
        raise _refused(path, f"It has duplicate names: {listing(twice)}.")
    folders = {parent for name in files for parent in name.parents}
    both = [str(name) for name in files if name in folders]
    if both:
        raise _refused(path, f"It has names that are both a file and a folder: {listing(both)}.")
    size = sum(entry.file_size for entry in entries)
    if size > SMALL and size > packed * MOST_RATIO:
        times = size // max(packed, 1)
        raise _refused(
            path,
            f"Its {packed:,} bytes would become {size:,}, {times:,} times as many: it may be a ZIP bomb.",
        )
    if size > min(MOST_BYTES, free):
        raise _refused(path, f"It would become {size:,} bytes; there is space for {min(MOST_BYTES, free):,}.")


def _is_folder(entry: zipfile.ZipInfo) -> bool:
    return entry.filename.endswith("/")  # `is_dir` raises IndexError for an empty name


def _reason(entry: zipfile.ZipInfo) -> str:
    """Return why an entry is refused; empty if it is not."""
    name = entry.filename
    if not PurePosixPath(name).parts:
        return "is not a file name"
    if any(len(part.encode()) > LONGEST_NAME for part in PurePosixPath(name).parts):
        return f"has a part of more than {LONGEST_NAME} bytes, which file systems do not support"
    path = PureWindowsPath(name)  # recognizes absolute paths of all systems
    if path.drive or path.root or ".." in path.parts or "\0" in name:
        return "leads out of the folder it is extracted into"
    if "\\" in name:
        return "has backslashes instead of slashes: create the ZIP file with another program"
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link" if kind == stat.S_IFLNK else "is not a regular file"
    return "has a password" if entry.flag_bits & 1 else ""


def _write(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, into: Path) -> None:
    target = into / entry.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as stream:
        for piece in _pieces(path, archive, entry):
            stream.write(piece)


def _pieces(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield the content of an entry in pieces. Raises InputError where it cannot be read."""
    left = entry.file_size
    with _reading(path, entry.filename):
        source = archive.open(entry)
    with source:
        while True:
            with _reading(path, entry.filename):
                piece = source.read(PIECE)
                left -= len(piece)
                if left < 0:
                    raise zipfile.BadZipFile("it is longer than the ZIP file says")
            if not piece:
                return
            yield piece


def _refused(path: Path, why: str) -> InputError:
    return InputError(f"{path.name} was not extracted.", why=why, todo=TODO)
