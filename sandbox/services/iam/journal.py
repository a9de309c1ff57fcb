"""A journal of calls that changed something: one JSON line each, written before the caller gets its response."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Call:
    """One request, with what is needed to repeat it. at: seconds since 1970."""

    at: float
    authorization: str
    content_type: str
    target: str
    body: str


class IamJournal:
    """An append-only file. An unfinished line of a killed process is removed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()
        self._cut_unfinished_line()
        self._file = path.open("ab", buffering=0)

    def __iter__(self) -> Iterator[Call]:
        with self._path.open(encoding="utf-8") as file:
            for line in file:
                yield Call(**json.loads(line))

    def append(self, call: Call) -> None:
        """Write one call through to the operating system. Raises OSError, with nothing written."""
        line = f"{json.dumps(asdict(call))}\n".encode()
        before = os.fstat(self._file.fileno()).st_size
        try:
            while line:
                line = line[self._file.write(line) :]
        except OSError:
            os.truncate(self._path, before)
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _cut_unfinished_line(self) -> None:
        """Truncate the file after its last whole line."""
        data = self._path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(self._path, whole)
