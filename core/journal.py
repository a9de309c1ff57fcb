"""Plans under way, written down before they begin, so that one cut in the middle is known at the next start.

Each plan has its own file of JSON lines, to which lines are only ever added: the plan, each step before and after it,
the end. Whoever carries the plan out holds a lock on the file, which the system takes away when the process dies: so
a plan under way elsewhere is never taken for a cut one, and no two processes carry out the same one.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args
from uuid import uuid4

from core.errors import InputError, SettingsError
from core.locks import locked
from core.plans import Plan, StepState

MAX_ENTRIES = 500
"""How many of the newest plans are looked at."""

INSTANT = 0.01
"""Seconds between two looks at a lock."""

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


class Record:
    """A plan's file, while the plan is carried out."""

    def __init__(self, file: int, clock: Callable[[], datetime]) -> None:
        self._file, self._clock = file, clock

    def step(self, number: int, state: StepState | None) -> None:
        """What becomes of a step; None: it was refused."""
        self.add("step", number=number, state=state)

    def end(self, outcome: Outcome, error: str = "") -> None:
        self.add("end", outcome=outcome, error=error)

    def add(self, event: str, **values: Any) -> None:
        """One line, on the disk before this returns."""
        line = json.dumps({"event": event, "at": self._clock().isoformat(), **values}, ensure_ascii=False)
        os.write(self._file, f"{line}\n".encode())
        os.fsync(self._file)


class Journal:
    """The plans begun in one folder, which is made with the first. clock: gives aware times."""

    def __init__(self, folder: Path, clock: Callable[[], datetime], who: str = "") -> None:
        self.folder, self._clock, self._who = folder / "plans", clock, who

    @contextmanager
    def begin(self, plan: Plan, *, identity: str = "", place: str = "") -> Iterator[Record]:
        """Write a plan down, and hold its file while it is carried out. Raises SettingsError."""
        name = f"{self._clock():%Y%m%dT%H%M%S%f}-{uuid4().hex[:8]}.jsonl"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = os.open(self.folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise _unusable("written", self.folder, error) from error
        with _held(file):
            record = Record(file, self._clock)
            record.add("plan", who=self._who, identity=identity, place=place, plan=plan.to_dict())
            yield record

    @contextmanager
    def again(self, entry: Entry) -> Iterator[Record]:
        """Hold the file of an unfinished plan. Raises InputError where somebody is at it, or was in the meantime."""
        path = self.folder / entry.id
        try:
            file = os.open(path, os.O_WRONLY | os.O_APPEND)
        except OSError as error:
            raise _unusable("written", self.folder, error) from error
        if _is_held(path):
            os.close(file)
            raise _not_ours(entry)
        with _held(file):
            now = _read(path, looked=True)
            if now is None or not now.unfinished:
                raise _not_ours(entry)
            os.write(file, b"\n")  # a process that died may have left half a line
            record = Record(file, self._clock)
            record.add("again", who=self._who)
            yield record

    def entries(self) -> tuple[Entry, ...]:
        """The newest plans, the last one first; a file that cannot be read is left out.

        Raises SettingsError where the folder is there and may not be looked at: a cut plan would go unseen.
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
        """Those to finish, to clean up, or to leave. Raises SettingsError as `entries`."""
        return tuple(entry for entry in self.entries() if entry.unfinished)

    def leave(self, entry: Entry) -> None:
        """No longer offer it: somebody looked, and leaves it as it is."""
        with self.again(entry) as record:
            record.end("left")

    def cleaned_up(self, entry: Entry) -> None:
        """No longer offer it: what it made is gone (the plan of `clean_up` was carried out)."""
        with self.again(entry) as record:
            record.end("cleaned up")


@contextmanager
def _held(file: int) -> Iterator[None]:
    """Who only looks holds it for an instant, so we wait."""
    try:
        while not locked(file):
            time.sleep(INSTANT)
        yield
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


def _unusable(how: str, folder: Path, error: OSError) -> SettingsError:
    """how: "read" or "written"."""
    return SettingsError(
        f"The journal of changes cannot be {how} in {folder}.",
        why=f"{error.strerror}.",
        todo=f"Set SEGDECK_STATE_DIR to a folder that can be {how}.",
    )
