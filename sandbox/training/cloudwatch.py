"""CloudWatch data of a training job: its metrics and its use of the machine.

Source: SageMaker developer guide, "Monitor SageMaker AI with Amazon CloudWatch" (/aws/sagemaker/TrainingJobs).
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from sandbox.common.process_usage import group_usage
from sandbox.common.publish import Datum
from sandbox.training.metrics import Point
from sandbox.training.opt_ml import HOST

NAMESPACE = "/aws/sagemaker/TrainingJobs"


def metric_data(job: str, points: Iterable[Point]) -> list[Datum]:
    """Return a job's metrics once for each of AWS's two dimensions: TrainingJobName and Host, each alone."""
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


class Utilization:
    """Measures one process group between calls of `data`."""

    def __init__(self, job: str, group: int) -> None:
        self._dimensions = [{"Name": "Host", "Value": f"{job}/{HOST}"}]
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
