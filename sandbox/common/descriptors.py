"""Raise the limit of open files at start, because a server needs several for every client."""

from __future__ import annotations

import sys
from dataclasses import dataclass

WANTED = 65_536
"""The limit to set, and no more: some programs close every descriptor up to the limit when they start."""

LOW = 4_096
"""Below this limit, a dashboard runs out of descriptors with a few hundred viewers."""

PER_VIEWER = 5
"""Descriptors used by one open page, measured with 200 viewers."""


@dataclass(frozen=True, slots=True)
class FileLimit:
    """The limit of open files of this process after it was raised.

    soft: the limit in force.
    hard: the highest value that the process itself may set.
    note: why `soft` could not be raised; empty when it was raised or high enough.
    """

    soft: int
    hard: int
    note: str = ""

    @property
    def warning(self) -> str:
        """Return a warning for the operator; empty when the limit is high enough."""
        if self.soft >= LOW:
            return ""
        return (
            f"The limit of open files and connections is {self.soft:,}, enough for about "
            f"{self.soft // PER_VIEWER:,} viewers. {self.note or f'The hard limit is {self.hard:,}.'} "
            f"Raise it with `ulimit -Hn {WANTED}` as root, or LimitNOFILE={WANTED} in a systemd unit."
        )


def raise_file_limit(wanted: int = WANTED) -> FileLimit | None:
    """Raise the soft limit of open files toward the hard limit. Return None where limits do not exist (Windows)."""
    try:
        import resource  # noqa: PLC0415  # POSIX only
    except ImportError:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    infinite = resource.RLIM_INFINITY
    ceiling = sys.maxsize if hard == infinite else hard
    target = min(ceiling, wanted)
    if soft == infinite or soft >= target:
        return FileLimit(sys.maxsize if soft == infinite else soft, ceiling)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
    except (OSError, ValueError) as error:
        return FileLimit(soft, ceiling, f"It could not be raised to {target:,}: {error}.")
    return FileLimit(target, ceiling)
