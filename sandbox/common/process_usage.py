"""Measure the processor time and memory of process groups, from /proc (proc(5))."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """The resources used by a process group. processor: seconds since its start; memory: bytes now."""

    processor: float
    memory: int

    def memory_percent(self) -> float:
        """Return the share of the machine's memory, percent."""
        return 100 * self.memory / (os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def usages(proc: Path = PROC) -> dict[int, ProcessUsage]:
    """Return the usage of every process group; empty where the system has no /proc (macOS)."""
    by_group: dict[int, ProcessUsage] = {}
    tick, page = 1 / os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    for folder in proc.glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (OSError, UnicodeError):  # the process ended in between
            continue
        if fields:
            before = by_group.get(int(fields[2]), ProcessUsage(0.0, 0))
            processor = before.processor + (int(fields[11]) + int(fields[12])) * tick
            by_group[int(fields[2])] = ProcessUsage(processor, before.memory + int(fields[21]) * page)
    return by_group


def group_usage(group: int, proc: Path = PROC) -> ProcessUsage | None:
    """Return the usage of one process group; None when it has no process or the system has no /proc."""
    return usages(proc).get(group)
