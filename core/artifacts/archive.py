"""A .tar.gz read from its front to its end without trust: nothing is written, and little is held in memory.

Where a member stands says nothing about the next one, so only the end of the stream tells that all were seen, and
only gzip's own end that none was damaged. What is refused here is what nobody should unpack; what the files mean is
for the reader of the members (see `core.artifacts.artifact`).
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
"""Most that one read asks for, in bytes: a longer header is forged."""

RATIO_FROM = 64 << 20
"""Below this much unpacked, in bytes, nobody cares how well it was packed."""


class Readable(Protocol):
    """What bytes come from, front to back."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """Where looking ends.

    unpacked: bytes, declared or actual; the largest real artifacts of this algorithm are below 1 GiB.
    members:  how many.
    ratio:    unpacked to packed bytes; trained weights hardly shrink.
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
    """The time to look was over before the archive was."""


def walk(
    source: Readable,
    where: str,
    visit: Callable[[Member, IO[bytes]], None],
    *,
    limits: ArchiveLimits,
    out_of_time: Callable[[], bool],
) -> None:
    """Go through the files of an archive in their order.

    where: what the archive is called in errors.
    visit: called with each file and its content, which it may read or leave.

    Raises ArtifactError for what is no whole .tar.gz, for links, devices, sparse files, paths that lead out of the
    archive, a name twice, or more than the limits; OutOfTime; and whatever `source` and `visit` raise.
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
        raise _refusal(where, f"It stops before its end, after {packed.count:,} bytes.") from problem
    except zlib.error as problem:
        raise _refusal(where, f"It is damaged: {problem}.") from problem
    except OutOfTime:
        raise
    except READER_ERRORS as problem:
        raise _refusal(where, f"It holds no readable tar archive: {problem}.") from problem


def _visit_all(
    tar: tarfile.TarFile, where: str, visit: Callable[[Member, IO[bytes]], None], limits: ArchiveLimits
) -> None:
    seen: set[str] = set()
    folders: set[str] = set()
    for count, entry in enumerate(tar, start=1):
        if count > limits.members:
            raise _refusal(where, f"It holds more than {limits.members} members.")
        name = _inside(entry.name, where)
        if entry.isdir():
            folders.add(name)
            if name in seen:
                raise _refusal(where, f"It holds {name!r} both as a file and as a folder.")
            continue
        if not entry.isreg() or entry.issparse():
            raise _refusal(where, f"The member {entry.name!r} is {_kind(entry)}, not a file.")
        if not 0 <= entry.size <= limits.unpacked:
            raise _refusal(where, f"The member {entry.name!r} claims {entry.size:,} bytes.")
        if name in seen:
            raise _refusal(where, f"It holds {name!r} twice.")
        above = {str(parent) for parent in PurePosixPath(name).parents}
        if name in folders or above & seen:
            both = name if name in folders else next(iter(above & seen))
            raise _refusal(where, f"It holds {both!r} both as a file and as a folder.")
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
        f"{where} is no model archive that can be served.",
        why=why,
        todo="Take the model.tar.gz that the training job wrote, unchanged.",
    )


class _Packed:
    """The packed bytes, counted."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size if size >= 0 else CHUNK)
        self.count += len(data)
        return data


class _Unpacked:
    """The unpacked bytes, forwards only, with an end to their number and to what one read may ask for."""

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
        """Forwards. tarfile goes back only where a header lies about its size."""
        if position < self._at:
            raise _refusal(self._where, "A header in it claims a negative size.")
        self._check(position)
        while self._at < position and self.read(min(CHUNK, position - self._at)):
            pass
        return self._at

    def finish(self) -> None:
        """Read on behind the last member: gzip's own end tells whether anything is missing or was changed."""
        if self._last.strip(b"\0"):
            raise _refusal(self._where, f"The tar archive in it is damaged before byte {self._at:,}.")
        while self.read(CHUNK):
            pass

    def _check(self, position: int) -> None:
        if position > self._limits.unpacked + tarfile.RECORDSIZE:
            raise _refusal(self._where, f"It unpacks to more than {self._limits.unpacked:,} bytes.")
