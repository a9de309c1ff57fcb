"""A training job's metrics and its use of the machine, as CloudWatch holds them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.job_folder import HOST
from sandbox.job_metrics import Point
from sandbox.loopback import Loopback

NAMESPACE = "/aws/sagemaker/TrainingJobs"
MAX_DATA = 500  # in one call
PROC = Path("/proc")
Datum = dict[str, Any]


def metric_data(job: str, points: Iterable[Point]) -> list[Datum]:
    """A job's metrics under the two dimensions that AWS gives them: TrainingJobName and Host, each alone."""
    dimensions = (
        {"Name": "TrainingJobName", "Value": job},
        {"Name": "Host", "Value": f"{job}/{HOST}"},
    )
    return [
        {
            "MetricName": point.name,
            "Dimensions": [dimension],
            "Value": point.value,
            "Timestamp": point.time / 1000,
        }
        for point in points
        for dimension in dimensions
    ]


def publish(loopback: Loopback, data: Sequence[Datum]) -> None:
    """Put data into CloudWatch; what it does not take is said on stderr, as training goes on without."""
    try:
        for start in range(0, len(data), MAX_DATA):
            part = list(data[start : start + MAX_DATA])
            loopback.client("cloudwatch").put_metric_data(Namespace=NAMESPACE, MetricData=part)
    except (ClientError, BotoCoreError) as problem:
        print(f"sandbox: {len(data)} training metrics are lost: {problem}", file=sys.stderr)


@dataclass(frozen=True, slots=True)
class Use:
    """What a group of processes has used. processor: seconds since they began; memory: bytes now."""

    processor: float
    memory: int


def group_use(group: int, proc: Path = PROC) -> Use | None:
    """None where the system does not tell (there is no /proc on macOS) or nothing of the group runs."""
    ticks = pages = 0
    found = False
    for folder in proc.glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (OSError, UnicodeError):  # it ended meanwhile
            continue
        if fields and int(fields[2]) == group:
            found = True
            ticks += int(fields[11]) + int(fields[12])
            pages += int(fields[21])
    if not found:
        return None
    return Use(ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE"))


class Utilisation:
    """Measures one group of processes between calls of `data`."""

    def __init__(self, job: str, group: int) -> None:
        self._dimensions = [{"Name": "Host", "Value": f"{job}/{HOST}"}]
        self._group, self._last, self._at = group, group_use(group), time.monotonic()

    def data(self) -> list[Datum]:
        """CPUUtilization (all cores together, so up to 100 times their number) and MemoryUtilization, in percent."""
        use, now = group_use(self._group), time.monotonic()
        last, seconds = self._last, now - self._at
        self._last, self._at = use, now
        if use is None or last is None or seconds <= 0:
            return []
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        values = {
            "CPUUtilization": max(0.0, 100 * (use.processor - last.processor) / seconds),
            "MemoryUtilization": 100 * use.memory / total,
        }
        fixed = {"Dimensions": self._dimensions, "Unit": "Percent", "Timestamp": time.time()}
        return [{**fixed, "MetricName": name, "Value": value} for name, value in values.items()]
