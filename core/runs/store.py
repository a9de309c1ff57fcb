"""Runs on disk, with the images and responses that they show: private to this user, and bounded.

runs/ID.json        a run, see `core.runs.run`
contents/ID         image files, masks and scores, each once, named by the hash of the content
responses/KEY.*     responses of endpoints, see `core.runs.responses`
maps/ID/            the files of a map, with its finished tiles until it is complete, and its uploaded image
lock                held while a run is changed or files are removed

Files are written next to their place and moved there, so a crash leaves none half written. A run is written after
what it refers to. Above the limit, the probabilities of the oldest responses are removed first, then the oldest runs
with all that no other run needs.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from core.errors import InputError
from core.escaping import json_bytes
from core.inference.export import write_new
from core.inference.invoke import Inference
from core.local_files import read_regular
from core.locks import Turn, exclusive
from core.runs.responses import ResponseCache, content_id, make_private
from core.runs.run import CONTENT_ID, RUN_ID, Run
from core.strict_json import parse_json

MOST_RUNS = 1000
"""Runs that are kept; the oldest are removed first."""

UNUSED_SECONDS = 3600
"""Age of a file that no run refers to before it is removed: its run may be about to be written."""

GONE_TODO = "Open Runs to see what is stored."


@dataclass(frozen=True, slots=True)
class RunList:
    """Stored runs, the newest first. unreadable: the names of files that are not runs of this version."""

    runs: tuple[Run, ...]
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file and what decides about its removal. used_at: when it was written or read last, in Unix seconds."""

    path: Path
    size: int
    used_at: float


class RunStore:
    """A folder of runs. Its methods are safe for several threads and processes.

    limit: bytes of all files together. clock: returns aware times.
    """

    def __init__(self, folder: Path, limit: int, clock: Callable[[], datetime]) -> None:
        self.folder, self.limit, self._clock = folder, limit, clock
        self.responses = ResponseCache(folder / "responses")
        self._runs, self._contents, self._maps = folder / "runs", folder / "contents", folder / "maps"
        self._parsed: dict[str, tuple[tuple[int, int], Run | None]] = {}

    # Contents.

    def add_content(self, data: bytes) -> str:
        """Store the content of a file, once, and return its id. Raises InputError."""
        name = content_id(data)
        path = self._contents / name
        make_private(self._contents)
        if path.exists():
            with suppress(FileNotFoundError):
                os.utime(path)
                return name
        write_new(path, data, overwrite=True, private=True)
        return name

    def content(self, name: str) -> bytes:
        """Return a stored content. Raises InputError where it has been removed."""
        path = self._contents / name
        if not name or not CONTENT_ID.fullmatch(name):
            raise InputError("This file was not stored.", todo=GONE_TODO)
        try:
            return read_regular(path)
        except OSError as error:
            raise InputError(
                "This file is no longer stored.",
                why=f"{path} cannot be read: {error.strerror or error}.",
                todo=GONE_TODO,
            ) from error

    def has_content(self, name: str) -> bool:
        """Return whether a content is stored."""
        return bool(name and CONTENT_ID.fullmatch(name)) and (self._contents / name).is_file()

    # Responses.

    def turn(self, key: str, on_wait: Callable[[], None] = lambda: None) -> Turn:
        """Wait until nobody else invokes the endpoint for this response, and return the turn. Raises InputError.

        on_wait: see `core.locks.exclusive`.
        """
        make_private(self.responses.folder)
        try:
            return Turn(self.responses.folder / f"{key}.lock", on_wait)
        except OSError as error:
            raise self._unusable(error) from error

    def add_response(self, key: str, inference: Inference) -> None:
        """Store a response, then remove what exceeds the limit. Raises InputError."""
        self.responses.add(key, inference)
        self.prune()

    # Runs.

    def add(self, run: Run) -> None:
        """Store a new run. Raises InputError."""
        with self._locked():
            self._write(run)

    def update(self, run_id: str, change: Callable[[Run], Run]) -> Run | None:
        """Store a changed run and return it; None where it has been deleted. Raises InputError."""
        with self._locked():
            run = self.find(run_id)
            if run is None:
                return None
            changed = change(run)
            if changed != run:
                self._write(changed)
            return changed

    def find(self, run_id: str) -> Run | None:
        """Return a run; None where there is none with this id. Raises InputError where it cannot be read."""
        if not RUN_ID.fullmatch(run_id):
            return None
        path = self._runs / f"{run_id}.json"
        try:
            data = read_regular(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error) from error
        run = _parsed(data)
        if run is None:
            raise InputError(
                f"The run {path} cannot be read.",
                why="It was not written by this version of Segdeck, or it is damaged.",
                todo="Delete the file.",
            )
        return run

    def has_run(self, run_id: str) -> bool:
        """Return whether a run is stored."""
        return RUN_ID.fullmatch(run_id) is not None and (self._runs / f"{run_id}.json").is_file()

    def get(self, run_id: str) -> Run:
        """Return a run. Raises InputError where there is none."""
        run = self.find(run_id)
        if run is None:
            raise InputError(
                f"There is no run {run_id!r}.",
                why="It has been deleted, was removed because the store was full, or is stored on another machine.",
                todo=GONE_TODO,
            )
        return run

    def all(self) -> RunList:
        """Return all runs. Raises InputError."""
        try:
            files = _files(self._runs)
        except OSError as error:
            raise self._unusable(error) from error
        runs, unreadable, parsed = [], [], {}
        for file in files:
            if file.path.suffix != ".json":
                continue
            known = self._parsed.get(file.path.name)
            stamp = (file.size, int(file.used_at * 1e6))
            run = known[1] if known is not None and known[0] == stamp else _read(file.path)
            parsed[file.path.name] = stamp, run
            if run is None:
                unreadable.append(file.path.name)
            else:
                runs.append(run)
        self._parsed = parsed
        runs.sort(key=lambda run: (run.started_at, run.id), reverse=True)
        return RunList(tuple(runs), tuple(sorted(unreadable)))

    def delete(self, run_id: str) -> bool:
        """Delete a run with all that no other run needs; return whether it was there. Raises InputError."""
        with self._locked():
            try:
                run = self.find(run_id)
            except InputError:
                run = None  # an unreadable run can be deleted too
            path = self._runs / f"{run_id}.json"
            if not RUN_ID.fullmatch(run_id) or not path.exists():
                return False
            try:
                path.unlink()
                if run is not None:
                    self._remove_unneeded(run, self.all().runs)
            except OSError as error:
                raise self._unusable(error) from error
            return True

    def map_folder(self, run_id: str) -> Path:
        """Return the folder of a map's files, which need not exist. Raises InputError for an id that is none."""
        if not RUN_ID.fullmatch(run_id):
            raise InputError(f"There is no run {run_id!r}.", todo=GONE_TODO)
        return self._maps / run_id

    def make_map_folder(self, run_id: str) -> Path:
        """Create the folder of a map's files, private to this user, and return it. Raises InputError."""
        folder = self.map_folder(run_id)
        make_private(folder)
        return folder

    # The limit.

    def size(self) -> int:
        """Return the bytes of all files. Raises InputError."""
        try:
            return sum(file.size for file in self._all_files()) + sum(map(_tree_size, self._map_folders()))
        except OSError as error:
            raise self._unusable(error) from error

    def prune(self) -> None:
        """Remove what exceeds the limit, and old files that no run refers to. Raises InputError."""
        try:
            files = self._all_files()
            runs = [file for file in files if file.path.parent == self._runs]
            maps = sum(map(_tree_size, self._map_folders()))
            if sum(file.size for file in files) + maps <= self.limit and len(runs) <= MOST_RUNS:
                return
            with self._locked():
                self._prune()
        except OSError as error:
            raise self._unusable(error) from error

    def _prune(self) -> None:
        self._remove_unused()
        files = self._all_files()
        excess = sum(file.size for file in files) + sum(map(_tree_size, self._map_folders())) - self.limit
        bodies = [file for file in files if file.path.suffix == ".body"]
        for file in sorted(bodies, key=lambda file: file.used_at):
            if excess <= 0:
                break
            file.path.unlink(missing_ok=True)
            excess -= file.size
        runs = self.all().runs
        for number, run in reversed(list(enumerate(runs))):
            if number == 0 or (excess <= 0 and number < MOST_RUNS):
                break  # the newest run is always kept
            if run.kind == "map" and any(self.map_folder(run.id).glob(".*.tiles/*.tile")):
                continue  # its tiles were paid for, and it can be continued
            excess -= _remove(self._runs / f"{run.id}.json") + self._remove_unneeded(run, runs[:number])

    def _remove_unneeded(self, removed: Run, others: Sequence[Run]) -> int:
        """Remove what a removed run needed and the others do not; return how many bytes that were."""
        contents = removed.content_ids.difference(*(run.content_ids for run in others))
        keys = removed.response_keys.difference(*(run.response_keys for run in others))
        size = sum(_remove(self._contents / name) for name in contents) + sum(
            _remove(path) for key in keys for path in self.responses.paths(key)
        )
        if removed.kind == "map":
            folder = self.map_folder(removed.id)
            size += _tree_size(folder)
            shutil.rmtree(folder, ignore_errors=True)
        return size

    def _remove_unused(self) -> None:
        """Remove old files that no run refers to, such as those of a process that was killed."""
        runs = self.all().runs
        needed = frozenset().union(*(run.content_ids | run.response_keys for run in runs))
        before = self._clock().timestamp() - UNUSED_SECONDS
        for file in self._all_files():
            name = file.path.name
            leftover = file.path.parent != self._runs or name.startswith(".")
            if leftover and name.partition(".")[0] not in needed and file.used_at < before:
                file.path.unlink(missing_ok=True)
        for folder in self._map_folders():
            if not self.has_run(folder.name) and folder.stat().st_mtime < before:
                shutil.rmtree(folder, ignore_errors=True)

    def _map_folders(self) -> list[Path]:
        return list(self._maps.iterdir()) if self._maps.is_dir() else []

    def _all_files(self) -> list[StoredFile]:
        return [
            file for folder in (self._runs, self._contents, self.responses.folder) for file in _files(folder)
        ]

    def _write(self, run: Run) -> None:
        make_private(self._runs)
        write_new(
            self._runs / f"{run.id}.json",
            json_bytes(run.to_dict(), indent=None),
            overwrite=True,
            private=True,
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        make_private(self.folder)
        try:
            with exclusive(self.folder / "lock"):
                yield
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> InputError:
        return InputError(
            f"The stored runs in {self.folder} cannot be read or changed.",
            why=f"{error.strerror or error}.",
            todo="Set SEGDECK_STATE_DIR to a folder with write permission and enough free space.",
        )


def _files(folder: Path) -> list[StoredFile]:
    """Return the files of a folder; none where it does not exist. Raises OSError."""
    files = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # removed meanwhile
                    status = entry.stat(follow_symlinks=False)
                    files.append(StoredFile(Path(entry.path), status.st_size, status.st_mtime))
    except FileNotFoundError:
        return []
    return files


def _tree_size(folder: Path) -> int:
    """Return the bytes of all files below a folder; those that vanish meanwhile do not count."""
    size = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            size += path.lstat().st_size
    return size


def _remove(path: Path) -> int:
    """Remove a file, if it is there, and return its size. Raises OSError."""
    try:
        size = path.stat().st_size
        path.unlink()
    except FileNotFoundError:
        return 0
    return size


def _read(path: Path) -> Run | None:
    try:
        return _parsed(read_regular(path))
    except OSError:
        return None


def _parsed(data: bytes) -> Run | None:
    try:
        document = parse_json(data)
        return Run.from_dict(document) if isinstance(document, dict) else None
    except ValueError:
        return None
