"""Plans under way, written down before they begin, so that one cut in the middle is known at the next start.

Each plan has its own file of JSON lines, to which lines are only ever added: the plan, each step before and after it,
the end. Whoever carries the plan out holds a lock on the file, which the system takes away when the process dies: so
a plan under way elsewhere is never taken for a cut one, and no two processes carry out the same one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from core.plans import Plan, StepState


@dataclass(frozen=True, slots=True)
class Entry:
    """A plan that was begun.

    id:       the name of its file.
    begun_at: aware, UTC.
    who:      who began it; empty where nobody said.
    states:   of each of its steps; None: not begun. "start" without more: nobody knows.
    outcome:  "done", "failed", "cleaned up", "left", "under way", or "cut": its process died.
    error:    why the last try failed; else empty.
    ended_at: None while it has not.
    """

    id: str
    plan: Plan
    begun_at: datetime
    who: str
    states: tuple[StepState | None, ...]
    outcome: str
    error: str = ""
    ended_at: datetime | None = None

    @property
    def unfinished(self) -> bool:
        """Whether some of its steps may be done, not all are, and nobody is at it."""
        raise NotImplementedError


class Journal:
    """The plans begun in one folder, which is made with the first. clock: gives aware times."""

    def __init__(self, folder: Path, clock: Callable[[], datetime], who: str = "") -> None:
        self.folder, self._clock, self._who = folder, clock, who

    def entries(self) -> tuple[Entry, ...]:
        """All plans, the newest first; a file that cannot be read is left out."""
        raise NotImplementedError

    def unfinished(self) -> tuple[Entry, ...]:
        """Those to finish, to clean up, or to leave."""
        return tuple(entry for entry in self.entries() if entry.unfinished)

    def leave(self, entry: Entry) -> None:
        """No longer offer it: somebody looked, and leaves it as it is."""
        raise NotImplementedError

    def cleaned_up(self, entry: Entry) -> None:
        """No longer offer it: what it made is gone (the plan of `clean_up` was carried out)."""
        raise NotImplementedError
