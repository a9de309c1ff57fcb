"""Read how busy the instances of a transform job are, from CloudWatch.

Its metrics have the dimension Host, JOB/INSTANCE (developer guide, "Monitor SageMaker AI with Amazon CloudWatch").
The log streams are named JOB/INSTANCE-TIME, so they name the instances, and no metrics have to be listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean
from typing import Any

from core.aws.cloudwatch import MAX_QUERIES, metric_data
from core.aws.connection import Clients
from core.aws.metrics import RETENTION, UTILIZATION
from core.batch.job import TransformJob
from core.training.curves import MetricSeries, from_cloudwatch

NAMESPACE = "/aws/sagemaker/TransformJobs"
MAX_HOSTS = MAX_QUERIES // len(UTILIZATION)


@dataclass(frozen=True, slots=True)
class BatchUtilization:
    """The utilization of a job's instances. series: in percent, averaged over the instances. instances: how many."""

    series: tuple[MetricSeries, ...] = ()
    instances: int = 0


def batch_utilization(
    clients: Clients, job: TransformJob, streams: Sequence[str], now: datetime
) -> BatchUtilization:
    """Return CPU, memory and GPU utilization, averaged over the instances: one call. Raises AwsError.

    streams: the log streams of the job.
    """
    names = hosts(streams)[:MAX_HOSTS]
    if job.started_at is None or not names:
        return BatchUtilization()
    age = now - job.started_at
    seconds = next((seconds for limit, seconds in RETENTION if age < limit), 3600)
    queries = [
        _query(f"m{number}h{place}", metric, host, seconds)
        for number, metric in enumerate(UTILIZATION)
        for place, host in enumerate(names)
    ]
    end = (job.ended_at or now) + timedelta(minutes=1)
    rows = metric_data(clients, queries, job.started_at - timedelta(minutes=1), end)
    series = [
        from_cloudwatch(metric, _average([rows[f"m{number}h{place}"] for place in range(len(names))]))
        for number, metric in enumerate(UTILIZATION)
    ]
    return BatchUtilization(tuple(each for each in series if len(each)), len(names))


def hosts(streams: Sequence[str]) -> list[str]:
    """Return the hosts that log streams name, each once: JOB/INSTANCE of JOB/INSTANCE-TIME."""
    own = [stream for stream in streams if not stream.endswith("/data-log")]
    return list(dict.fromkeys(stream.rpartition("-")[0] for stream in own))


def _query(identity: str, metric: str, host: str, seconds: int) -> dict[str, Any]:
    dimensions = [{"Name": "Host", "Value": host}]
    measured = {"Namespace": NAMESPACE, "MetricName": metric, "Dimensions": dimensions}
    return {"Id": identity, "MetricStat": {"Metric": measured, "Period": seconds, "Stat": "Average"}}


def _average(rows: Sequence[dict[str, list[Any]]]) -> dict[str, list[Any]]:
    """Return the mean of several results at each time."""
    by_time: dict[datetime, list[float]] = {}
    for row in rows:
        for at, value in zip(row["Timestamps"], row["Values"], strict=True):
            by_time.setdefault(at, []).append(value)
    return {"Timestamps": list(by_time), "Values": [fmean(values) for values in by_time.values()]}
