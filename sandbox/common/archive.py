"""Unpack a model.tar.gz from an untrusted source."""

from __future__ import annotations

import gzip
import shutil
import struct
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from sandbox.common.disk import is_full

MAX_BYTES = 4 << 30  # unpacked; the largest real artifacts of this algorithm are below 1 GiB
MAX_MEMBERS = 10_000
MAX_HEADER = 1 << 20  # bytes of one read by tarfile itself: longer ones are forged extended headers


READER_ERRORS: tuple[type[Exception], ...] = (
    EOFError, LookupError, OverflowError, RuntimeError, ValueError,
    gzip.BadGzipFile, struct.error, tarfile.TarError, zlib.error,
)  # fmt: skip
"""What gzip and tarfile raise for malformed bytes; RecursionError is a RuntimeError."""


class ArchiveError(Exception):
    """The archive cannot be unpacked; the text is the reason, ready for a FailureReason."""


def unpack(archive: Path, target: Path, *, max_bytes: int = MAX_BYTES) -> None:
    """Unpack the regular files and folders of a .tar.gz into the folder `target`.

    Raises OSError when the disk is full, and ArchiveError for anything but such files and folders: not gzip or tar,
    links, devices, a path outside of the folder, or more than `max_bytes` unpacked. Memory stays bounded by
    MAX_HEADER whatever the archive claims.
    """
    try:
        with archive.open("rb") as file, gzip.GzipFile(fileobj=file) as plain:
            bounded = _Bounded(plain, max_bytes)
            with tarfile.open(fileobj=bounded, mode="r:") as tar:  # type: ignore[call-overload]
                _unpack_members(tar, target)
            while bounded.read(
                1 << 18
            ):  # a truncated archive may have all its members: only gzip's trailer shows it
                pass
    except READER_ERRORS as problem:
        raise ArchiveError(f"not a valid tar.gz archive ({problem})") from problem


def unpacked_size(archive: Path, *, max_bytes: int = MAX_BYTES) -> int:
    """Return the total bytes of the files in a .tar.gz according to its headers; 0 when they cannot be read."""
    try:
        with archive.open("rb") as file, gzip.GzipFile(fileobj=file) as plain:
            tar = tarfile.open(fileobj=_Bounded(plain, max_bytes), mode="r:")  # type: ignore[call-overload] # noqa: SIM115
            return sum(member.size for member in tar)
    except (ArchiveError, OSError, tarfile.TarError, EOFError, zlib.error, UnicodeError):
        return 0


def _unpack_members(tar: tarfile.TarFile, target: Path) -> None:
    """Extract every member. Raises ArchiveError for a member that is not allowed."""
    for count, member in enumerate(tar, start=1):
        if count > MAX_MEMBERS:
            raise ArchiveError(f"more than {MAX_MEMBERS} members")
        path = target / _inside(member.name)
        if member.isdir():
            _make_folder(path, member.name)
        elif member.isreg() and not member.issparse():  # a sparse file's holes take no space in the archive
            if path == target:
                raise ArchiveError(f"the member {member.name!r} has no name")
            _make_folder(path.parent, member.name)
            _copy(tar, member, path)
        else:
            raise ArchiveError(f"the member {member.name!r} is a link, a device or sparse")


def _inside(name: str) -> PurePosixPath:
    """Return a member's path. Raises ArchiveError when it leads out of the folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or "\\" in name:
        raise ArchiveError(f"the member {name!r} leaves the model's folder")
    return path


def _make_folder(path: Path, member: str) -> None:
    """Create a member's folder. Raises ArchiveError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as problem:
        raise ArchiveError(
            f"the member {member!r} needs a folder where another member is a file"
        ) from problem
    except OSError as problem:
        raise ArchiveError(f"the member {member!r} cannot be written ({problem.strerror})") from problem


def _copy(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    """Write one member's file. Raises ArchiveError, and OSError when the disk is full."""
    source = tar.extractfile(member)
    if source is None:
        raise ArchiveError(f"the member {member.name!r} holds no data")
    try:
        with source, path.open("xb") as out:
            shutil.copyfileobj(source, out, 1 << 18)
    except gzip.BadGzipFile:
        raise
    except (FileExistsError, IsADirectoryError) as problem:
        raise ArchiveError(f"the member {member.name!r} appears twice, or is also a folder") from problem
    except OSError as problem:
        if is_full(problem):
            raise
        raise ArchiveError(f"the member {member.name!r} cannot be written ({problem.strerror})") from problem


class _Bounded:
    """The unpacked stream, with a limit on its length and on the size of one read."""

    def __init__(self, stream: BinaryIO | gzip.GzipFile, limit: int) -> None:
        self._stream, self._limit = stream, limit

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_HEADER:
            raise ArchiveError(f"a header claims {size} bytes")
        data = self._stream.read(size)
        self._check(self._stream.tell())
        return data

    def seek(self, position: int, whence: int = 0) -> int:
        if whence != 0:
            raise ArchiveError("the archive cannot be read from its end")
        self._check(position)
        return self._stream.seek(position)

    def tell(self) -> int:
        return self._stream.tell()

    def _check(self, position: int) -> None:
        """Raise ArchiveError when the position is beyond the limit."""
        if position > self._limit + tarfile.RECORDSIZE:
            raise ArchiveError(f"it unpacks to more than {self._limit} bytes")
