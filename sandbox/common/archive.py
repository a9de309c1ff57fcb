"""Unpack a model.tar.gz without trusting it: it may come from anywhere."""

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
MAX_HEADER = 1 << 20  # one read by tarfile itself: longer ones are forged extended headers


READER_ERRORS: tuple[type[Exception], ...] = (
    EOFError, LookupError, OverflowError, RuntimeError, ValueError,
    gzip.BadGzipFile, struct.error, tarfile.TarError, zlib.error,
)  # fmt: skip
"""What gzip and tarfile raise for bytes that are not what they should be; RecursionError is a RuntimeError."""


class ArchiveError(Exception):
    """The archive cannot be unpacked, and why, in words for a FailureReason."""


def unpack(archive: Path, target: Path, *, max_bytes: int = MAX_BYTES) -> None:
    """Unpack regular files and folders of a .tar.gz into the folder `target`.

    Raises OSError where there is no room, and ArchiveError for anything but such files and folders: no gzip or tar,
    links, devices, a path that leaves the folder, or more than `max_bytes` unpacked. Memory stays bounded by
    MAX_HEADER whatever the archive claims.
    """
    try:
        with archive.open("rb") as file, gzip.GzipFile(fileobj=file) as plain:
            bounded = _Bounded(plain, max_bytes)
            with tarfile.open(fileobj=bounded, mode="r:") as tar:  # type: ignore[call-overload]
                _unpack_members(tar, target)
            while bounded.read(1 << 18):  # a cut archive may have all its members: gzip's own end tells
                pass
    except READER_ERRORS as problem:
        raise ArchiveError(f"not a valid tar.gz archive ({problem})") from problem


def unpacked_size(archive: Path, *, max_bytes: int = MAX_BYTES) -> int:
    """Return the bytes of the files in a .tar.gz, as its headers tell; 0 where they cannot be read."""
    try:
        with archive.open("rb") as file, gzip.GzipFile(fileobj=file) as plain:
            tar = tarfile.open(fileobj=_Bounded(plain, max_bytes), mode="r:")  # type: ignore[call-overload] # noqa: SIM115
            return sum(member.size for member in tar)
    except (ArchiveError, OSError, tarfile.TarError, EOFError, zlib.error, UnicodeError):
        return 0


def _unpack_members(tar: tarfile.TarFile, target: Path) -> None:
    for count, member in enumerate(tar, start=1):
        if count > MAX_MEMBERS:
            raise ArchiveError(f"more than {MAX_MEMBERS} members")
        path = target / _inside(member.name)
        if member.isdir():
            _make_folder(path, member.name)
        elif member.isreg() and not member.issparse():  # a sparse file's holes cost the archive nothing
            if path == target:
                raise ArchiveError(f"the member {member.name!r} has no name")
            _make_folder(path.parent, member.name)
            _copy(tar, member, path)
        else:
            raise ArchiveError(f"the member {member.name!r} is a link, a device or sparse")


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or "\\" in name:
        raise ArchiveError(f"the member {name!r} leaves the model's folder")
    return path


def _make_folder(path: Path, member: str) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as problem:
        raise ArchiveError(
            f"the member {member!r} needs a folder where another member is a file"
        ) from problem
    except OSError as problem:
        raise ArchiveError(f"the member {member!r} cannot be written ({problem.strerror})") from problem


def _copy(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    source = tar.extractfile(member)
    if source is None:
        raise ArchiveError(f"the member {member.name!r} holds no data")
    try:
        with source, path.open("xb") as out:
            shutil.copyfileobj(source, out, 1 << 18)
    except gzip.BadGzipFile:
        raise
    except (FileExistsError, IsADirectoryError) as problem:
        raise ArchiveError(f"the member {member.name!r} is in it twice, or is a folder too") from problem
    except OSError as problem:
        if is_full(problem):
            raise
        raise ArchiveError(f"the member {member.name!r} cannot be written ({problem.strerror})") from problem


class _Bounded:
    """The unpacked stream with an end to its length and to what one read may ask for."""

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
        if position > self._limit + tarfile.RECORDSIZE:
            raise ArchiveError(f"it unpacks to more than {self._limit} bytes")
