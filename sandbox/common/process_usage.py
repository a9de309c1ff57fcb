"""Measure what process groups use of the machine, from /proc."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Use:
    """What a group of processes has used. processor: seconds since they began; memory: bytes now."""

    processor: float
    memory: int

    def memory_percent(self) -> float:
        """Return the share of the machine's memory."""
        return 100 * self.memory / (os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def uses(proc: Path = PROC) -> dict[int, Use]:
    """Return the use of every process group; empty where the system does not report it (macOS has no /proc)."""
    by_group: dict[int, Use] = {}
    tick, page = 1 / os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    for folder in proc.glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (OSError, UnicodeError):  # it ended meanwhile
            continue
        if fields:
            before = by_group.get(int(fields[2]), Use(0.0, 0))
            processor = before.processor + (int(fields[11]) + int(fields[12])) * tick
            by_group[int(fields[2])] = Use(processor, before.memory + int(fields[21]) * page)
    return by_group


def group_use(group: int, proc: Path = PROC) -> Use | None:
    """Return the use of one process group; None where the system does not report it, or nothing of it runs."""
    return uses(proc).get(group)
