"""Curves of training jobs, for many jobs in few calls; and how busy a job's machine is.

Three sources, in this order, and each series says which: SageMaker's BatchGetMetrics, CloudWatch's GetMetricData,
the job's own log. A later one is asked only about jobs that an earlier one knows nothing of.
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
"""Asked for where a job does not tell its metric definitions."""

NAMESPACE = "/aws/sagemaker/TrainingJobs"
BATCH_QUERIES = 100
"""Queries of one BatchGetMetrics call (botocore 1.44)."""

UTILISATION = ("CPUUtilization", "MemoryUtilization", "GPUUtilization", "GPUMemoryUtilization")
HOST = "algo-1"
RETENTION = ((timedelta(days=15), 60), (timedelta(days=63), 300))
"""How long CloudWatch keeps data of so many seconds; older data it keeps by the hour."""

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
    """Job name -> its curves: one call for up to 25 jobs where BatchGetMetrics answers. Raises AwsError.

    now:   for tests; else the clock's.
    notes: gets a sentence on each source that could not be asked.
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
    """Job name -> one metric by epoch, where there is one: one call for each 100 jobs. Raises AwsError."""
    started = [(job, metric) for job in jobs if job.started_at and job.arn]
    return {job.name: series for (job, _), series in _batch(clients, started, "IterationNumber")}


def utilisation(
    clients: Clients, job: TrainingJob, *, now: datetime | None = None
) -> tuple[MetricSeries, ...]:
    """CPU, memory and GPU of a job's machine, in percent, minute by minute: one call. Raises AwsError.

    CPUUtilization is the sum over the cores, GPUUtilization that over the GPUs (developer guide).
    """
    if job.started_at is None:
        return ()
    queries = [(job, name) for name in UTILISATION]
    series_of_queries = _cloudwatch(clients, queries, now or datetime.now(UTC), by_host=True)
    return tuple(series for _, series in series_of_queries)


def _first_source(
    clients: Clients, jobs: Sequence[TrainingJob], notes: list[str]
) -> dict[str, tuple[MetricSeries, ...]]:
    """By epoch; where a job has no epochs there, by time."""
    by_job: dict[str, tuple[MetricSeries, ...]] = {job.name: () for job in jobs}
    axes: tuple[Axis, ...] = ("IterationNumber", "Timestamp")
    for axis in axes:
        left = [job for job in jobs if not by_job[job.name] and job.started_at and job.arn]
        try:
            by_job |= _by_job(_batch(clients, _queries(left), axis))
        except (CredentialsError, ThrottledError):
            raise  # more calls would not help, but make it worse
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
    except AwsError as error:  # one job's log must not hide the other jobs' curves
        notes.append(str(error))
        return ()
    return from_log(events, job.metric_definitions).series


def _queries(jobs: Iterable[TrainingJob]) -> list[Query]:
    """What to ask of each job: the metrics it defines, else the usual ones."""
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
    """BatchGetMetrics; series without points are left out."""
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
    """GetMetricData; series without points are left out."""
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
    """Id of a query -> its times and values."""
    jobs = [job for job, _ in queries]
    begin = min(job.started_at or job.created_at for job in jobs)
    end = max(job.ended_at or now for job in jobs) + timedelta(minutes=1)
    seconds = next((seconds for age, seconds in RETENTION if now - begin < age), 3600)
    metric_queries = [_metric_query(f"m{n}", query, seconds, by_host) for n, query in enumerate(queries)]
    return metric_data(clients, metric_queries, begin, end)


def _metric_query(identity: str, query: Query, seconds: int, by_host: bool) -> dict[str, Any]:
    """Algorithm metrics carry the dimension TrainingJobName, those of the machine Host."""
    job, name = query
    dimension = {"Name": "TrainingJobName", "Value": job.name}
    if by_host:
        dimension = {"Name": "Host", "Value": f"{job.name}/{HOST}"}
    metric = {"Namespace": NAMESPACE, "MetricName": name, "Dimensions": [dimension]}
    return {"Id": identity, "MetricStat": {"Metric": metric, "Period": seconds, "Stat": "Average"}}
