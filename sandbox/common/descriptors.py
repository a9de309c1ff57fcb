"""The limit of open files: raised at start, because a server needs a few for every client."""

from __future__ import annotations

import sys
from dataclasses import dataclass

WANTED = 65_536
"""More is not asked for: some programs close every descriptor up to the limit when they start."""

LOW = 4_096
"""Below this, a dashboard runs out of descriptors at some hundreds of viewers."""

PER_VIEWER = 5
"""Descriptors that one open page takes, measured with 200 viewers."""


@dataclass(frozen=True, slots=True)
class FileLimit:
    """The limit of open files of this process after it was raised.

    soft: how many may be open.
    hard: how far the process itself may raise `soft`.
    note: why `soft` could not be raised; empty where it was, or where it needed not to be.
    """

    soft: int
    hard: int
    note: str = ""

    @property
    def warning(self) -> str:
        """Return what to tell the operator, empty where the limit is high enough."""
        if self.soft >= LOW:
            return ""
        return (
            f"At most {self.soft:,} files and connections may be open, enough for about "
            f"{self.soft // PER_VIEWER:,} viewers. {self.note or f'The hard limit is {self.hard:,}.'} "
            f"Raise it with `ulimit -Hn {WANTED}` as root, or LimitNOFILE={WANTED} in a systemd unit."
        )


def raise_file_limit(wanted: int = WANTED) -> FileLimit | None:
    """Raise the soft limit of open files towards the hard one. Return None where there is no such limit (Windows)."""
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
