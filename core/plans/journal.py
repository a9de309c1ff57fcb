"""Plans under way, written down before they begin, so that one cut in the middle is known at the next start.

Each plan has its own file of JSON lines, to which lines are only ever added: the plan, each step before and after it,
the end. Whoever carries the plan out holds a lock on the file, which the system takes away when the process dies: so
a plan under way elsewhere is never taken for a cut one, and no two processes carry out the same one.
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
"""How many of the newest plans are looked at."""

INSTANT, LOCK_TRIES = 0.01, 500
"""Seconds between two tries to lock a file, and how many: who only reads holds it for an instant."""

LINE_BYTES, LINES_PER_STEP, MORE_LINES = 256, 3, 4
"""What a change needs at most, but for the plan itself: bytes per line, lines per step, lines around the steps."""

NO_ROOM = {errno.ENOSPC, errno.EFBIG} | ({errno.EDQUOT} if hasattr(errno, "EDQUOT") else set())
"""Of a write: the disk is full, or a quota or the limit of a file's size is reached."""

Outcome = Literal["under way", "cut", "done", "failed", "cleaned up", "left"]
"""Of a plan: somebody is at it; its process died; carried out; a step failed; undone since; left as it is."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A plan that was begun.

    id:       the name of its file.
    begun_at: aware, UTC.
    who:      who began it; empty where nobody said.
    identity: the ARN that it was begun as; place: the account and the region. Both empty where nobody said.
    states:   of each of its steps; None: not begun, or refused. "start" without more: nobody knows.
    error:    why the last try failed; else empty.
    ended_at: None while it has not.
    """

    id: str
    plan: Plan
    begun_at: datetime
    who: str
    states: tuple[StepState | None, ...]
    outcome: Outcome
    error: str = ""
    ended_at: datetime | None = None
    identity: str = ""
    place: str = ""

    @property
    def unfinished(self) -> bool:
        """Whether some of its steps may be done, not all are, and nobody is at it."""
        return self.outcome in ("cut", "failed") and any(self.states)


class JournalRecord:
    """A plan's file, while the plan is carried out. Each method raises JournalError where it cannot be written.

    entry: the plan as it was when its file was locked; None for a new one.
    """

    def __init__(self, file: int, folder: Path, clock: Callable[[], datetime], plan: Plan) -> None:
        self._file, self._folder, self._clock = file, folder, clock
        self._needed = LINE_BYTES * (LINES_PER_STEP * len(plan.steps) + MORE_LINES)
        self._torn = False
        self.entry: Entry | None = None

    def step(self, number: int, state: StepState | None, note: str = "") -> None:
        """Write what became of a step; None: it was refused, or what it had made was removed."""
        self.add("step", number=number, state=state, **({"note": note} if note else {}))

    def end(self, outcome: Outcome, error: str = "") -> None:
        self.add("end", outcome=outcome, error=error)

    def add(self, event: str, **values: Any) -> None:
        """Write one line, on the disk before this returns; where it does not fit, nothing of it stays."""
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
        """End the line that a process may have left half written when it died."""
        try:
            os.write(self._file, b"\n")
        except OSError as error:
            raise _unwritable(self._folder, error, self._needed) from error

    def start(self, event: str, **values: Any) -> None:
        """Write the first line, where there is room for the whole change."""
        self._needed += len(json_text(values))
        try:
            self._check_room(self._needed)
        except OSError as error:
            raise _unwritable(self._folder, error, self._needed) from error
        self.add(event, **values)

    def _check_room(self, size: int) -> None:
        """Raises OSError: some file systems notice only at the fsync, or at the end, that there is no room."""
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
    """The plans begun in one folder, which is made with the first. clock: gives aware times."""

    def __init__(self, folder: Path, clock: Callable[[], datetime], who: str = "") -> None:
        self.folder, self._clock, self._who = folder / "plans", clock, who

    @contextmanager
    def begin(self, plan: Plan, *, identity: str = "", place: str = "") -> Iterator[JournalRecord]:
        """Write a plan down, and hold its file while it is carried out. Raises JournalError: nothing is begun."""
        path = self.folder / f"{self._clock():%Y%m%dT%H%M%S%f}-{uuid4().hex[:8]}.jsonl"
        try:
            private_folder(self.folder)
            file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
        except OSError as error:
            raise _unwritable(self.folder, error, len(json_text(plan.to_dict()))) from error
        with _held(file) as ours:
            if not ours:
                raise _unlockable(self.folder)
            record = JournalRecord(file, self.folder, self._clock, plan)
            try:
                record.start("plan", who=self._who, identity=identity, place=place, plan=plan.to_dict())
            except JournalError:
                path.unlink()
                raise
            yield record

    @contextmanager
    def again(self, entry: Entry) -> Iterator[JournalRecord]:
        """Hold the file of an unfinished plan; the record's `entry` is the plan as it is then.

        Raises InputError where somebody is at it, or was in the meantime, and JournalError.
        """
        path = self.folder / entry.id
        try:
            file = os.open(path, os.O_WRONLY | os.O_APPEND)
        except OSError as error:
            raise _unwritable(self.folder, error, LINE_BYTES) from error
        if _is_held(path):
            os.close(file)
            raise _not_ours(entry)
        with _held(file) as ours:
            now = _read(path, looked=True) if ours else None
            if now is None or not now.unfinished:
                raise _not_ours(entry)
            record = JournalRecord(file, self.folder, self._clock, now.plan)
            record.entry = now
            record.new_line()
            record.start("again", who=self._who)
            yield record

    def entries(self) -> tuple[Entry, ...]:
        """The newest plans, the last one first; a file that cannot be read is left out.

        Raises JournalError where the folder is there and may not be looked at: a cut plan would go unseen.
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

    def unfinished(self) -> tuple[Entry, ...]:
        """Those to finish, to clean up, or to leave. Raises JournalError as `entries`."""
        return tuple(entry for entry in self.entries() if entry.unfinished)

    def leave(self, entry: Entry) -> None:
        """No longer offer it: somebody looked, and leaves it as it is."""
        with self.again(entry) as record:
            record.end("left")


def _cut_back(file: int, size: int) -> bool:
    """Take half a line back; whether that succeeded, else the next line begins with a line break."""
    try:
        os.ftruncate(file, size)
    except OSError:
        return False
    return True


@contextmanager
def _held(file: int) -> Iterator[bool]:
    """Lock a file; whether that succeeded: who only reads holds it for an instant, so we wait a little."""
    try:
        tries = 1
        while not (ours := locked(file)) and tries < LOCK_TRIES:
            time.sleep(INSTANT)
            tries += 1
        yield ours
    finally:
        os.close(file)  # which gives the lock away


def _is_held(path: Path) -> bool:
    with path.open("rb") as file:
        return not locked(file.fileno(), shared=True)


def _read(path: Path, *, looked: bool = False) -> Entry | None:
    """None for a file of something else, and for one that was cut before its plan was whole.

    looked: whether its lock is ours, so that nobody else is at it.
    """
    try:
        held = not looked and _is_held(path)
        rows = [row for line in path.read_text("utf-8").splitlines() if (row := _row(line))]
        return _entry(path.name, rows, held=held)
    except (OSError, ValueError, KeyError, TypeError, IndexError, ArithmeticError):
        return None


def _row(line: str) -> dict[str, Any] | None:
    """None for half a line."""
    try:
        row: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    return row


def _entry(name: str, rows: list[dict[str, Any]], *, held: bool) -> Entry:
    first, plan = rows[0], Plan.from_dict(rows[0]["plan"])
    states: list[StepState | None] = [None] * len(plan.steps)
    outcome: Outcome = "cut"
    end: Mapping[str, Any] = {}
    for row in rows[1:]:
        if row["event"] == "step":
            before = states[row["number"]]
            ours = row["state"] == "already" and before not in (None, "already")
            states[row["number"]] = "done" if ours else row["state"]  # there, since an earlier try made it
        end = row if row["event"] == "end" else {}
    if held:
        outcome = "under way"
    elif end and end["outcome"] in get_args(Outcome):
        outcome = end["outcome"]
    return Entry(
        id=name,
        plan=plan,
        begun_at=datetime.fromisoformat(first["at"]),
        who=first["who"],
        states=tuple(states),
        outcome=outcome,
        error=end.get("error", ""),
        ended_at=datetime.fromisoformat(end["at"]) if end else None,
        identity=first["identity"],
        place=first["place"],
    )


def _not_ours(entry: Entry) -> InputError:
    return InputError(
        f"Somebody else is at it, or was: {entry.plan.verb} {entry.plan.target}.",
        todo="Wait until it has ended, then look again.",
    )


def _unwritable(folder: Path, error: OSError, needed: int) -> JournalError:
    """needed: bytes that the change may still write."""
    if error.errno not in NO_ROOM:
        return _unusable("written", folder, error)
    free = _free(folder)
    there = "" if free is None else f", and {free // 1000:,} kB are free"
    return JournalError(
        f"There is no room for the journal of changes in {folder}.",
        why=f"{error.strerror}: about {_size(needed)} are needed{there}.",
        todo=NO_ROOM_TODO,
    )


NO_ROOM_TODO = "Free some space there, then try again."


def _free(folder: Path) -> int | None:
    """Bytes; None where the folder, or its nearest parent that exists, does not tell."""
    existing = next((path for path in (folder, *folder.parents) if path.is_dir()), None)
    return None if existing is None else shutil.disk_usage(existing).free


def _size(count: int) -> str:
    """Such as "12 kB": rounded up, so that nothing which is needed is left out."""
    return f"{-(-count // 1000):,} kB"


def _unlockable(folder: Path) -> JournalError:
    return JournalError(
        f"The journal of changes cannot be locked in {folder}.",
        why=f"A new file stayed locked for {LOCK_TRIES * INSTANT:.0f} s; some network file systems have no locks.",
        todo="Set SEGDECK_STATE_DIR to a folder on a local disk.",
    )


def _unusable(how: str, folder: Path, error: OSError) -> JournalError:
    """how: "read" or "written"."""
    return JournalError(
        f"The journal of changes cannot be {how} in {folder}.",
        why=f"{error.strerror}.",
        todo=f"Set SEGDECK_STATE_DIR to a folder that can be {how}.",
    )
