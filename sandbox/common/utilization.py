"""Measure the processor and memory of a job's program as CloudWatch data, under the dimension Host."""

from __future__ import annotations

import time

from sandbox.common.process_usage import group_usage
from sandbox.common.publish import Datum


class Utilization:
    """Measures one process group between calls of `data`. host: the value of the dimension Host."""

    def __init__(self, host: str, group: int) -> None:
        self._dimensions = [{"Name": "Host", "Value": host}]
        self._group, self._last, self._at = group, group_usage(group), time.monotonic()

    def data(self) -> list[Datum]:
        """Return CPUUtilization (all cores together, up to 100 times their number) and MemoryUtilization, percent."""
        use, now = group_usage(self._group), time.monotonic()
        last, seconds = self._last, now - self._at
        self._last, self._at = use, now
        if use is None or last is None or seconds <= 0:
            return []
        values = {
            "CPUUtilization": max(0.0, 100 * (use.processor - last.processor) / seconds),
            "MemoryUtilization": use.memory_percent(),
        }
        fixed = {"Dimensions": self._dimensions, "Unit": "Percent", "Timestamp": time.time()}
        return [{**fixed, "MetricName": name, "Value": value} for name, value in values.items()]
