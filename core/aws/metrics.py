"""Read training curves of many jobs with few calls, and the utilization of a job's instance.

Three sources, in this order; each series names its source: SageMaker's BatchGetMetrics, CloudWatch's GetMetricData,
and the job's own log. A later source is used only for jobs without data in the earlier ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from core.aws.cloudwatch import MAX_QUERIES, metric_data
from core.aws.connection import Clients
from core.aws.errors import required
from core.aws.logs import all_events
from core.errors import AwsError, CredentialsError, ThrottledError
from core.training.curves import (
    LOSS,
    MIOU,
    PIXEL_ACCURACY,
    THROUGHPUT,
    MetricSeries,
    from_batch_get_metrics,
    from_cloudwatch,
    from_log,
)
from core.training.job import TrainingJob

NAMES = (LOSS, MIOU, PIXEL_ACCURACY, THROUGHPUT)
"""Metrics to read for a job without metric definitions."""

NAMESPACE = "/aws/sagemaker/TrainingJobs"
BATCH_QUERIES = 100
"""Maximum queries of one BatchGetMetrics call (botocore 1.44)."""

UTILIZATION = ("CPUUtilization", "MemoryUtilization", "GPUUtilization", "GPUMemoryUtilization")
HOST = "algo-1"
RETENTION = ((timedelta(days=15), 60), (timedelta(days=63), 300))
"""How long CloudWatch keeps data at this resolution in seconds; older data has one-hour resolution."""

Axis = Literal["IterationNumber", "Timestamp"]
Query = tuple[TrainingJob, str]
"""A job, and the name of a metric."""


def curves(
    clients: Clients,
    jobs: Sequence[TrainingJob],
    *,
    now: datetime | None = None,
    notes: list[str] | None = None,
) -> dict[str, tuple[MetricSeries, ...]]:
    """Return job name -> curves: one call per 25 jobs if BatchGetMetrics has them. Raises AwsError.

    now:   for tests; by default the current time.
    notes: gets a sentence about each source that could not be read.
    """
    notes = [] if notes is None else notes
    by_job = _first_source(clients, jobs, notes)
    left = [job for job in jobs if not by_job[job.name] and job.started_at]
    if left:
        by_job |= _second_source(clients, left, now or datetime.now(UTC), notes)
    for job in left:
        if not by_job[job.name]:
            by_job[job.name] = _third_source(clients, job, notes)
    return by_job


def sparklines(
    clients: Clients, jobs: Sequence[TrainingJob], *, metric: str = MIOU
) -> dict[str, MetricSeries]:
    """Return job name -> one metric by epoch, for jobs that have it: one call per 100 jobs. Raises AwsError."""
    started = [(job, metric) for job in jobs if job.started_at and job.arn]
    return {job.name: series for (job, _), series in _batch(clients, started, "IterationNumber")}


def utilization(
    clients: Clients, job: TrainingJob, *, now: datetime | None = None
) -> tuple[MetricSeries, ...]:
    """Return CPU, memory and GPU utilization of a job's instance, in percent per minute: one call. Raises AwsError.

    CPUUtilization is summed over the cores, GPUUtilization over the GPUs (developer guide).
    """
    if job.started_at is None:
        return ()
    queries = [(job, name) for name in UTILIZATION]
    series_of_queries = _cloudwatch(clients, queries, now or datetime.now(UTC), by_host=True)
    return tuple(series for _, series in series_of_queries)


def _first_source(
    clients: Clients, jobs: Sequence[TrainingJob], notes: list[str]
) -> dict[str, tuple[MetricSeries, ...]]:
    """Read BatchGetMetrics by epoch; for jobs without epochs there, by time."""
    by_job: dict[str, tuple[MetricSeries, ...]] = {job.name: () for job in jobs}
    axes: tuple[Axis, ...] = ("IterationNumber", "Timestamp")
    for axis in axes:
        left = [job for job in jobs if not by_job[job.name] and job.started_at and job.arn]
        try:
            by_job |= _by_job(_batch(clients, _queries(left), axis))
        except (CredentialsError, ThrottledError):
            raise  # more calls would only make it worse
        except AwsError as error:
            notes.append(str(error))
            break
    return by_job


def _second_source(
    clients: Clients, jobs: Sequence[TrainingJob], now: datetime, notes: list[str]
) -> dict[str, tuple[MetricSeries, ...]]:
    empty: dict[str, tuple[MetricSeries, ...]] = {job.name: () for job in jobs}
    try:
        return empty | _by_job(_cloudwatch(clients, _queries(jobs), now))
    except (CredentialsError, ThrottledError):
        raise
    except AwsError as error:
        notes.append(str(error))
        return empty


def _third_source(clients: Clients, job: TrainingJob, notes: list[str]) -> tuple[MetricSeries, ...]:
    try:
        events = all_events(clients, job.name).events
    except (CredentialsError, ThrottledError):
        raise
    except AwsError as error:  # one unreadable log must not hide the other jobs' curves
        notes.append(str(error))
        return ()
    return from_log(events, job.metric_definitions).series


def _queries(jobs: Iterable[TrainingJob]) -> list[Query]:
    """Return the metrics to read for each job: the ones it defines, otherwise the standard ones."""
    return [
        (job, name)
        for job in jobs
        for name in dict.fromkeys(row.name for row in job.metric_definitions) or NAMES
    ]


def _by_job(series_of_queries: Iterable[tuple[Query, MetricSeries]]) -> dict[str, tuple[MetricSeries, ...]]:
    rows: dict[str, tuple[MetricSeries, ...]] = {}
    for (job, _), series in series_of_queries:
        rows[job.name] = (*rows.get(job.name, ()), series)
    return rows


def _batch(clients: Clients, queries: Sequence[Query], axis: Axis) -> list[tuple[Query, MetricSeries]]:
    """Call BatchGetMetrics; series without points are left out."""
    doing = "read the training metrics"
    period = "IterationNumber" if axis == "IterationNumber" else "OneMinute"
    series_of_queries = []
    for start in range(0, len(queries), BATCH_QUERIES):
        part = queries[start : start + BATCH_QUERIES]
        metric_queries = [
            {
                "MetricName": name,
                "ResourceArn": job.arn,
                "MetricStat": "Last",
                "Period": period,
                "XAxisType": axis,
            }
            for job, name in part
        ]
        with clients.calling(doing):
            answer = clients.metrics.batch_get_metrics(MetricQueries=metric_queries)
        rows = required(answer, "MetricQueryResults", doing)
        series_of_queries += [
            (query, from_batch_get_metrics(query[1], row, x_axis=axis))
            for query, row in zip(part, rows, strict=False)
        ]
    return [(query, series) for query, series in series_of_queries if len(series)]


def _cloudwatch(
    clients: Clients, queries: Sequence[Query], now: datetime, *, by_host: bool = False
) -> list[tuple[Query, MetricSeries]]:
    """Call GetMetricData; series without points are left out."""
    series_of_queries = []
    for start in range(0, len(queries), MAX_QUERIES):
        part = queries[start : start + MAX_QUERIES]
        rows = _metric_data(clients, part, now, by_host)
        series_of_queries += [
            (query, from_cloudwatch(query[1], rows[f"m{n}"])) for n, query in enumerate(part)
        ]
    return [(query, series) for query, series in series_of_queries if len(series)]


def _metric_data(
    clients: Clients, queries: Sequence[Query], now: datetime, by_host: bool
) -> dict[str, dict[str, list[Any]]]:
    """Return query id -> times and values."""
    jobs = [job for job, _ in queries]
    begin = min(job.started_at or job.created_at for job in jobs)
    end = max(job.ended_at or now for job in jobs) + timedelta(minutes=1)
    seconds = next((seconds for age, seconds in RETENTION if now - begin < age), 3600)
    metric_queries = [_metric_query(f"m{n}", query, seconds, by_host) for n, query in enumerate(queries)]
    return metric_data(clients, metric_queries, begin, end)


def _metric_query(identity: str, query: Query, seconds: int, by_host: bool) -> dict[str, Any]:
    """Build a query; algorithm metrics have the dimension TrainingJobName, instance metrics Host."""
    job, name = query
    dimension = {"Name": "TrainingJobName", "Value": job.name}
    if by_host:
        dimension = {"Name": "Host", "Value": f"{job.name}/{HOST}"}
    metric = {"Namespace": NAMESPACE, "MetricName": name, "Dimensions": [dimension]}
    return {"Id": identity, "MetricStat": {"Metric": metric, "Period": seconds, "Stat": "Average"}}
