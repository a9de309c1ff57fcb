"""A zip unpacked into a new folder. All of it is judged before a byte is written, so that it can do no harm."""

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
"""How many times its own size a zip may become. Pictures are packed already: they hardly shrink."""

SMALL = 100_000_000
"""Bytes up to which the ratio does not matter."""

PIECE = 1 << 20
LONGEST_NAME = 255
"""Bytes of a file's name on every common file system."""

BROKEN = "Copy it again, or pack it again with another program, with names in UTF-8 and without a password."
TODO = "Unpack it yourself, look at what is in it, and give the folder."
READS_FAIL: tuple[type[Exception], ...] = (*READER_ERRORS, OSError)
"""bz2 raises OSError, without a number, for bytes that are damaged."""

OnProgress = Callable[[int, int], None]


def unpack(path: Path, into: Path, *, on_progress: OnProgress | None = None) -> None:
    """Unpack a zip into a folder that does not exist yet, whole or not at all.

    Raises InputError for what is no zip, and for one with a path that leads elsewhere, a link, a password, too many
    files, or more content than is plausible.
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
            f"{path.name} cannot be unpacked.",
            why=reason(error),
            todo="Check the file and the room for temporary files, or unpack it yourself and give the folder.",
        ) from error


def _opened(path: Path, file: BinaryIO) -> zipfile.ZipFile:
    with _reading(path):
        return zipfile.ZipFile(file)


@contextmanager
def _reading(path: Path, entry: str = "") -> Iterator[None]:
    """Turn whatever `zipfile` raises for damaged bytes into one InputError. entry: what is being read."""
    try:
        yield
    except READS_FAIL as error:
        if isinstance(error, OSError) and error.errno:
            raise
        inside = f" Its entry {entry!r} cannot be read:" if entry else ""
        raise InputError(
            f"{path.name} is not a ZIP file that can be read.",
            why=f"{inside} {str(error).rstrip('. ') or type(error).__name__}.".strip(),
            todo=BROKEN,
        ) from error


def _check_entries(path: Path, entries: list[zipfile.ZipInfo], packed: int, free: int) -> None:
    """Raises InputError with the reason to refuse."""
    if len(entries) > MOST_ENTRIES:
        raise _refused(path, f"It has {len(entries):,} entries; at most {MOST_ENTRIES:,} are unpacked.")
    for entry in entries:
        reason = _reason(entry)
        if reason:
            raise _refused(path, f"{entry.filename!r} {reason}.")
    files = [PurePosixPath(entry.filename.casefold()) for entry in entries if not _is_folder(entry)]
    twice = [str(name) for name, count in Counter(files).items() if count > 1]
    if twice:
        raise _refused(path, f"Names in it stand there twice: {listing(twice)}.")
    folders = {parent for name in files for parent in name.parents}
    both = [str(name) for name in files if name in folders]
    if both:
        raise _refused(path, f"Names in it are both a file and a folder: {listing(both)}.")
    size = sum(entry.file_size for entry in entries)
    if size > SMALL and size > packed * MOST_RATIO:
        times = size // max(packed, 1)
        raise _refused(
            path, f"Its {packed:,} bytes would become {size:,}, {times:,} times as many: a zip bomb."
        )
    if size > min(MOST_BYTES, free):
        raise _refused(path, f"It would become {size:,} bytes; there is room for {min(MOST_BYTES, free):,}.")


def _is_folder(entry: zipfile.ZipInfo) -> bool:
    return entry.filename.endswith("/")  # `is_dir` raises IndexError for an empty name


def _reason(entry: zipfile.ZipInfo) -> str:
    """Why an entry is not unpacked; empty where it may be."""
    name = entry.filename
    if not PurePosixPath(name).parts:
        return "is an empty name"
    if any(len(part.encode()) > LONGEST_NAME for part in PurePosixPath(name).parts):
        return f"has a part of more than {LONGEST_NAME} bytes, which no file system takes"
    path = PureWindowsPath(name)  # which knows every way out, of other systems too
    if path.drive or path.root or ".." in path.parts or "\0" in name:
        return "leads out of the folder it is unpacked into"
    if "\\" in name:
        return "has backslashes, where a zip has slashes: pack it with another program"
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link" if kind == stat.S_IFLNK else "is no plain file"
    return "has a password" if entry.flag_bits & 1 else ""


def _write(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, into: Path) -> None:
    target = into / entry.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as stream:
        for piece in _pieces(path, archive, entry):
            stream.write(piece)


def _pieces(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """Read an entry piece by piece. Raises InputError for one that cannot be read."""
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
    return InputError(f"{path.name} is not unpacked.", why=why, todo=TODO)
