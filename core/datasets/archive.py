"""A zip unpacked into a new folder. All of it is judged before a byte is written, so that it can do no harm."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PureWindowsPath

from core.datasets.problems import few
from core.errors import InputError

MOST_ENTRIES = 60_000
MOST_BYTES = 50_000_000_000
MOST_RATIO = 100
"""How many times its own size a zip may become. Pictures are packed already: they hardly shrink."""

SMALL = 100_000_000
"""Bytes up to which the ratio does not matter."""

PIECE = 1 << 20
TODO = "Unpack it yourself, look at what is in it, and give the folder."
OnProgress = Callable[[int, int], None]


def unpack(path: Path, into: Path, *, on_progress: OnProgress | None = None) -> None:
    """Unpack a zip into a folder that does not exist yet, whole or not at all.

    Raises InputError for what is no zip, and for one with a path that leads elsewhere, a link, a password, too many
    files, or more content than is plausible.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            _judge(path, archive.infolist(), path.stat().st_size, shutil.disk_usage(into.parent).free)
            into.mkdir()
            try:
                for number, entry in enumerate(entries, 1):
                    _write(archive, entry, into)
                    if on_progress is not None:
                        on_progress(number, len(entries))
            except BaseException:
                shutil.rmtree(into)
                raise
    except (zipfile.BadZipFile, EOFError, NotImplementedError, zlib.error) as error:
        raise InputError(
            f"{path.name} is no zip that can be read.", why=f"{error}.", todo="Make or copy it again."
        ) from error
    except OSError as error:
        raise InputError(f"{path.name} cannot be unpacked.", why=f"{error.strerror or error}.") from error


def _judge(path: Path, entries: list[zipfile.ZipInfo], packed: int, free: int) -> None:
    """Raises InputError with the reason to refuse."""
    if len(entries) > MOST_ENTRIES:
        raise _refused(path, f"It has {len(entries):,} entries; at most {MOST_ENTRIES:,} are unpacked.")
    for entry in entries:
        reason = _reason(entry)
        if reason:
            raise _refused(path, f"{entry.filename!r} {reason}.")
    counts = Counter(entry.filename.casefold() for entry in entries)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise _refused(path, f"Names in it stand there twice: {few(twice)}.")
    size = sum(entry.file_size for entry in entries)
    if size > SMALL and size > packed * MOST_RATIO:
        times = size // max(packed, 1)
        raise _refused(
            path, f"Its {packed:,} bytes would become {size:,}, {times:,} times as many: a zip bomb."
        )
    if size > min(MOST_BYTES, free):
        raise _refused(path, f"It would become {size:,} bytes; there is room for {min(MOST_BYTES, free):,}.")


def _reason(entry: zipfile.ZipInfo) -> str:
    """Why an entry is not unpacked; empty where it may be."""
    name = entry.filename
    path = PureWindowsPath(name)  # which knows every way out, of other systems too
    if path.drive or path.root or ".." in path.parts or "\0" in name:
        return "leads out of the folder it is unpacked into"
    if "\\" in name:
        return "has backslashes, where a zip has slashes: pack it with another program"
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link" if kind == stat.S_IFLNK else "is no plain file"
    return "has a password" if entry.flag_bits & 1 else ""


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, into: Path) -> None:
    target = into / entry.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with archive.open(entry) as source, target.open("xb") as stream:
        while piece := source.read(PIECE):
            written += len(piece)
            if written > entry.file_size:
                raise zipfile.BadZipFile(f"{entry.filename} is longer than the zip says")
            stream.write(piece)


def _refused(path: Path, why: str) -> InputError:
    return InputError(f"{path.name} is not unpacked.", why=why, todo=TODO)
