"""Read an untrusted .tar.gz from start to end: nothing is written, and little is kept in memory.

Tar has no index, so only the end of the stream shows that all members were read, and only gzip's trailer that none
was damaged. This module rejects archives that are unsafe to unpack; `core.artifacts.artifact` interprets the files.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Protocol

from core.errors import ArtifactError
from core.local_files import READER_ERRORS

CHUNK = 1 << 16
"""The most bytes of one read: a longer header is forged."""

RATIO_FROM = 64 << 20
"""Up to this many unpacked bytes the compression ratio is not checked."""


class Readable(Protocol):
    """A forward-only source of bytes."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; empty at the end."""


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """Limits of an archive.

    unpacked: bytes, declared or actual; the largest real artifacts of this algorithm are below 1 GiB.
    members:  number of members.
    ratio:    unpacked to packed bytes; trained weights hardly compress.
    """

    unpacked: int = 4 << 30
    members: int = 200
    ratio: int = 100


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive.

    name: its path, such as "model_best.params".
    size: bytes, unpacked.
    """

    name: str
    size: int


class OutOfTime(Exception):  # noqa: N818 - nothing is wrong with the archive
    """Time ran out before the end of the archive."""


def walk(
    source: Readable,
    where: str,
    visit: Callable[[Member, IO[bytes]], None],
    *,
    limits: ArchiveLimits,
    out_of_time: Callable[[], bool],
) -> None:
    """Visit the files of an archive in order.

    where: the archive's name in errors.
    visit: called with each file and its content, which it may read or skip.

    Raises ArtifactError for an incomplete or invalid .tar.gz, for links, devices, sparse files, paths that lead out
    of the archive, duplicate names, or exceeded limits; OutOfTime; and whatever `source` and `visit` raise.
    """
    packed = _Packed(source)
    try:
        with gzip.GzipFile(fileobj=packed, mode="rb") as plain:  # type: ignore[call-overload]
            stream = _Unpacked(plain, packed, where, limits, out_of_time)
            with tarfile.open(fileobj=stream, mode="r:") as tar:  # type: ignore[call-overload]
                _visit_all(tar, where, visit, limits)
            stream.finish()
    except gzip.BadGzipFile as problem:
        raise _refusal(where, f"It is not packed with gzip, or damaged: {problem}.") from problem
    except EOFError as problem:
        raise _refusal(where, f"It ends early, after {packed.count:,} bytes.") from problem
    except zlib.error as problem:
        raise _refusal(where, f"It is damaged: {problem}.") from problem
    except OutOfTime:
        raise
    except READER_ERRORS as problem:
        raise _refusal(where, f"It contains no readable tar archive: {problem}.") from problem


def _visit_all(
    tar: tarfile.TarFile, where: str, visit: Callable[[Member, IO[bytes]], None], limits: ArchiveLimits
) -> None:
    seen: set[str] = set()
    folders: set[str] = set()
    for count, entry in enumerate(tar, start=1):
        if count > limits.members:
            raise _refusal(where, f"It has more than {limits.members} members.")
        name = _inside(entry.name, where)
        if entry.isdir():
            folders.add(name)
            if name in seen:
                raise _refusal(where, f"It contains {name!r} both as a file and as a folder.")
            continue
        if not entry.isreg() or entry.issparse():
            raise _refusal(where, f"The member {entry.name!r} is {_kind(entry)}, not a file.")
        if not 0 <= entry.size <= limits.unpacked:
            raise _refusal(where, f"The member {entry.name!r} claims {entry.size:,} bytes.")
        if name in seen:
            raise _refusal(where, f"It contains {name!r} twice.")
        above = {str(parent) for parent in PurePosixPath(name).parents}
        if name in folders or above & seen:
            both = name if name in folders else next(iter(above & seen))
            raise _refusal(where, f"It contains {both!r} both as a file and as a folder.")
        seen.add(name)
        folders |= above
        content = tar.extractfile(entry)
        if content is not None:  # always, for a regular file
            visit(Member(name, entry.size), content)


def _inside(name: str, where: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or "\\" in name:
        raise _refusal(where, f"The member {name!r} leads out of the model's folder.")
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _kind(entry: tarfile.TarInfo) -> str:
    if entry.issym() or entry.islnk():
        return f"a link to {entry.linkname!r}"
    return "a sparse file" if entry.issparse() else "a device or a pipe"


def _refusal(where: str, why: str) -> ArtifactError:
    return ArtifactError(
        f"{where} is not a valid model archive.",
        why=why,
        todo="Use the model.tar.gz that the training job wrote, unchanged.",
    )


class _Packed:
    """A reader that counts the packed bytes."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size if size >= 0 else CHUNK)
        self.count += len(data)
        return data


class _Unpacked:
    """A forward-only reader of the unpacked bytes, with a limit on their number and on the size of a read."""

    def __init__(
        self,
        plain: IO[bytes],
        packed: _Packed,
        where: str,
        limits: ArchiveLimits,
        out_of_time: Callable[[], bool],
    ) -> None:
        self._plain, self._packed = plain, packed
        self._where, self._limits, self._out_of_time = where, limits, out_of_time
        self._at = 0
        self._last = b""

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= CHUNK:
            raise _refusal(self._where, f"A header in it claims {size:,} bytes.")
        if self._out_of_time():
            raise OutOfTime
        self._last = self._plain.read(size)
        self._at += len(self._last)
        self._check(self._at)
        if self._at > max(RATIO_FROM, self._limits.ratio * self._packed.count):
            why = f"It unpacks to more than {self._limits.ratio} times its size, as no trained model does."
            raise _refusal(self._where, why)
        return self._last

    def seek(self, position: int) -> int:
        """Seek forward. tarfile seeks backward only if a header has a false size."""
        if position < self._at:
            raise _refusal(self._where, "A header in it claims a negative size.")
        self._check(position)
        while self._at < position and self.read(min(CHUNK, position - self._at)):
            pass
        return self._at

    def finish(self) -> None:
        """Read to the end after the last member: gzip's trailer shows whether anything is missing or damaged."""
        if self._last.strip(b"\0"):
            raise _refusal(self._where, f"The tar archive in it is damaged before byte {self._at:,}.")
        while self.read(CHUNK):
            pass

    def _check(self, position: int) -> None:
        if position > self._limits.unpacked + tarfile.RECORDSIZE:
            raise _refusal(self._where, f"It unpacks to more than {self._limits.unpacked:,} bytes.")
