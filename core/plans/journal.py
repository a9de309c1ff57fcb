"""The journal of changes: plans are recorded before they start, so that interrupted ones are known at the next start.

Each plan has its own append-only file of JSON lines: the plan, each step before and after it, the end. The process
that executes the plan holds a lock on the file, which the operating system releases when the process dies: so a
running plan is never mistaken for an interrupted one, and no two processes execute the same plan.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args
from uuid import uuid4

from core.errors import InputError, JournalError
from core.escaping import json_text
from core.local_files import PRIVATE_FILE, private_folder
from core.locks import locked
from core.plans.plan import Plan, StepState

MAX_ENTRIES = 500
"""How many of the newest plans are read."""

INSTANT, LOCK_TRIES = 0.01, 500
"""Seconds between two attempts to lock a file, and how many attempts: readers hold the lock only briefly."""

LINE_BYTES, LINES_PER_STEP, MORE_LINES = 256, 3, 4
"""The most space that a change needs besides the plan itself: bytes per line, lines per step, other lines."""

NO_ROOM = {errno.ENOSPC, errno.EFBIG} | ({errno.EDQUOT} if hasattr(errno, "EDQUOT") else set())
"""Write errors: the disk is full, or a quota or file size limit is reached."""

Outcome = Literal["running", "interrupted", "done", "failed", "cleaned up", "left"]
"""Of a plan: being executed; its process died; completed; a step failed; undone since; dismissed as it is."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A recorded plan.

    id:         the name of its file.
    started_at: aware, UTC.
    user:       who started it; empty if unknown.
    identity:   the ARN that started it; location: the account and the region. Both empty if unknown.
    states:     of each of its steps; None: not started, or rejected. "start" as the last state: unknown.
    error:      why the last attempt failed; else empty.
    ended_at:   None until it has ended.
    """

    id: str
    plan: Plan
    started_at: datetime
    user: str
    states: tuple[StepState | None, ...]
    outcome: Outcome
    error: str = ""
    ended_at: datetime | None = None
    identity: str = ""
    location: str = ""

    @property
    def unfinished(self) -> bool:
        """Return whether some steps may be done, not all are, and no process is executing it."""
        return self.outcome in ("interrupted", "failed") and any(self.states)


class JournalRecord:
    """A plan's file while the plan is executed. Each method raises JournalError if it cannot be written.

    entry: the recorded plan when its file was locked; None for a new one.
    """

    def __init__(self, file: int, folder: Path, clock: Callable[[], datetime], plan: Plan) -> None:
        self._file, self._folder, self._clock = file, folder, clock
        self._needed = LINE_BYTES * (LINES_PER_STEP * len(plan.steps) + MORE_LINES)
        self._torn = False
        self.entry: JournalEntry | None = None

    def step(self, number: int, state: StepState | None, note: str = "") -> None:
        """Write the state of a step; None: it was rejected, or what it created was removed."""
        self.add("step", number=number, state=state, **({"note": note} if note else {}))

    def end(self, outcome: Outcome, error: str = "") -> None:
        """Write the end of the plan."""
        self.add("end", outcome=outcome, error=error)

    def add(self, event: str, **values: Any) -> None:
        """Write one line and sync it to disk; a line that does not fit is removed completely."""
        text = json_text(
            {"event": event, "at": self._clock().isoformat(), **values}, indent=None, ascii_only=False
        )
        line = f"{text}\n".encode()
        try:
            self._check_room(len(line))
            self._append(line)
        except OSError as error:
            raise _unwritable(self._folder, error, max(self._needed, len(line))) from error

    def new_line(self) -> None:
        """End the incomplete line that a process may have left when it died."""
        try:
            os.write(self._file, b"\n")
        except OSError as error:
            raise _unwritable(self._folder, error, self._needed) from error

    def start(self, event: str, **values: Any) -> None:
        """Write the first line, if there is space for the whole change."""
        self._needed += len(json_text(values))
        try:
            self._check_room(self._needed)
        except OSError as error:
            raise _unwritable(self._folder, error, self._needed) from error
        self.add(event, **values)

    def _check_room(self, size: int) -> None:
        """Raise OSError if there is no space: some file systems report that only at the fsync, or at the end."""
        if shutil.disk_usage(self._folder).free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _append(self, line: bytes) -> None:
        size = os.fstat(self._file).st_size
        line = b"\n" + line if self._torn else line
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
            os.fsync(self._file)
        except OSError:
            self._torn = not _cut_back(self._file, size)
            raise
        self._torn = False


class Journal:
    """The recorded plans in one folder, which is created with the first. clock: returns aware times."""

    def __init__(self, folder: Path, clock: Callable[[], datetime], user: str = "") -> None:
        self.folder, self._clock, self._user = folder / "plans", clock, user

    @contextmanager
    def begin(self, plan: Plan, *, identity: str = "", location: str = "") -> Iterator[JournalRecord]:
        """Record a plan and lock its file while it is executed. Raises JournalError; then nothing is started."""
        path = self.folder / f"{self._clock():%Y%m%dT%H%M%S%f}-{uuid4().hex[:8]}.jsonl"
        try:
            private_folder(self.folder)
            file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
        except OSError as error:
            raise _unwritable(self.folder, error, len(json_text(plan.to_dict()))) from error
        with _held(file) as acquired:
            if not acquired:
                raise _unlockable(self.folder)
            record = JournalRecord(file, self.folder, self._clock, plan)
            try:
                record.start("plan", who=self._user, identity=identity, place=location, plan=plan.to_dict())
            except JournalError:
                path.unlink()
                raise
            yield record

    @contextmanager
    def reopen(self, entry: JournalEntry) -> Iterator[JournalRecord]:
        """Lock the file of an unfinished plan; the record's `entry` is its state then.

        Raises InputError if another process is executing it, or has finished it since, and JournalError.
        """
        path = self.folder / entry.id
        try:
            file = os.open(path, os.O_WRONLY | os.O_APPEND)
        except OSError as error:
            raise _unwritable(self.folder, error, LINE_BYTES) from error
        if _is_held(path):
            os.close(file)
            raise _not_ours(entry)
        with _held(file) as acquired:
            now = _read(path, ours=True) if acquired else None
            if now is None or not now.unfinished:
                raise _not_ours(entry)
            record = JournalRecord(file, self.folder, self._clock, now.plan)
            record.entry = now
            record.new_line()
            record.start("again", who=self._user)
            yield record

    def entries(self) -> tuple[JournalEntry, ...]:
        """Return the newest plans, latest first; unreadable files are left out.

        Raises JournalError if the folder exists but cannot be read: interrupted plans would go unnoticed.
        """
        try:
            names = os.listdir(self.folder)
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise _unusable("read", self.folder, error) from error
        paths = [self.folder / name for name in names if name.endswith(".jsonl")]
        paths = sorted(paths, reverse=True)[:MAX_ENTRIES]
        return tuple(entry for path in paths if (entry := _read(path)) is not None)

    def unfinished(self) -> tuple[JournalEntry, ...]:
        """Return those to finish, clean up or dismiss. Raises JournalError as `entries` does."""
        return tuple(entry for entry in self.entries() if entry.unfinished)

    def dismiss(self, entry: JournalEntry) -> None:
        """Stop listing it as unfinished; its resources stay as they are."""
        with self.reopen(entry) as record:
            record.end("left")


def _cut_back(file: int, size: int) -> bool:
    """Remove an incomplete line; return whether that succeeded. If not, the next line begins with a line break."""
    try:
        os.ftruncate(file, size)
    except OSError:
        return False
    return True


@contextmanager
def _held(file: int) -> Iterator[bool]:
    """Lock a file, and yield whether that succeeded; readers hold it only briefly, so retry for a while."""
    try:
        tries = 1
        while not (acquired := locked(file)) and tries < LOCK_TRIES:
            time.sleep(INSTANT)
            tries += 1
        yield acquired
    finally:
        os.close(file)  # releases the lock


def _is_held(path: Path) -> bool:
    with path.open("rb") as file:
        return not locked(file.fileno(), shared=True)


def _read(path: Path, *, ours: bool = False) -> JournalEntry | None:
    """Read a plan's file; None for other files, and for one that ends before its plan does.

    ours: whether this process holds its lock, so that no other one is executing it.
    """
    try:
        held = not ours and _is_held(path)
        rows = [row for line in path.read_text("utf-8").splitlines() if (row := _row(line))]
        return _entry(path.name, rows, held=held)
    except (OSError, ValueError, KeyError, TypeError, IndexError, ArithmeticError):
        return None


def _row(line: str) -> dict[str, Any] | None:
    """Parse a line; None for an incomplete one."""
    try:
        row: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    return row


def _entry(name: str, rows: list[dict[str, Any]], *, held: bool) -> JournalEntry:
    first, plan = rows[0], Plan.from_dict(rows[0]["plan"])
    states: list[StepState | None] = [None] * len(plan.steps)
    outcome: Outcome = "interrupted"
    end: Mapping[str, Any] = {}
    for row in rows[1:]:
        if row["event"] == "step":
            previous = states[row["number"]]
            created = row["state"] == "already" and previous not in (None, "already")
            states[row["number"]] = (
                "done" if created else row["state"]
            )  # present because an earlier attempt created it
        end = row if row["event"] == "end" else {}
    if held:
        outcome = "running"
    elif end and end["outcome"] in get_args(Outcome):
        outcome = end["outcome"]
    return JournalEntry(
        id=name,
        plan=plan,
        started_at=datetime.fromisoformat(first["at"]),
        user=first["who"],
        states=tuple(states),
        outcome=outcome,
        error=end.get("error", ""),
        ended_at=datetime.fromisoformat(end["at"]) if end else None,
        identity=first["identity"],
        location=first["place"],
    )


def _not_ours(entry: JournalEntry) -> InputError:
    return InputError(
        f"Another process is executing this change, or has finished it: {entry.plan.verb} {entry.plan.target}.",
        todo="Wait until it has ended, then refresh.",
    )


def _unwritable(folder: Path, error: OSError, needed: int) -> JournalError:
    """Return the error for a failed write. needed: bytes that the change may still write."""
    if error.errno not in NO_ROOM:
        return _unusable("written", folder, error)
    free = _free(folder)
    available = "" if free is None else f", and {free // 1000:,} kB are free"
    return JournalError(
        f"There is not enough space for the change journal in {folder}.",
        why=f"{error.strerror}: about {_size(needed)} are needed{available}.",
        todo=NO_ROOM_TODO,
    )


NO_ROOM_TODO = "Free some space there, then try again."


def _free(folder: Path) -> int | None:
    """Return the free bytes of the folder, or of its nearest existing parent; None if there is none."""
    existing = next((path for path in (folder, *folder.parents) if path.is_dir()), None)
    return None if existing is None else shutil.disk_usage(existing).free


def _size(count: int) -> str:
    """Format a size such as "12 kB", rounded up."""
    return f"{-(-count // 1000):,} kB"


def _unlockable(folder: Path) -> JournalError:
    return JournalError(
        f"The change journal in {folder} cannot be locked.",
        why=f"A new file stayed locked for {LOCK_TRIES * INSTANT:.0f} s; some network file systems have no locks.",
        todo="Set SEGDECK_STATE_DIR to a folder on a local disk.",
    )


def _unusable(how: str, folder: Path, error: OSError) -> JournalError:
    """Return the error for an unusable folder. how: "read" or "written"."""
    return JournalError(
        f"The change journal in {folder} cannot be {how}.",
        why=f"{error.strerror}.",
        todo=f"Set SEGDECK_STATE_DIR to a folder that can be {how}.",
    )
