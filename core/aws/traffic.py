"""Read endpoints' traffic and service quality from CloudWatch, for many endpoints with one call."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np

from core.aws.cloudwatch import MAX_QUERIES, metric_data
from core.aws.connection import Clients
from core.endpoints.endpoint import Endpoint
from core.endpoints.traffic import DAYS, STEP, STEPS, ServiceQuality, Traffic
from core.training.curves import MetricSeries

Window = Literal["1 h", "6 h", "24 h", "7 d", "30 d"]
WINDOWS: dict[Window, tuple[timedelta, timedelta]] = {
    "1 h": (timedelta(hours=1), timedelta(minutes=1)),
    "6 h": (timedelta(hours=6), timedelta(minutes=5)),
    "24 h": (timedelta(hours=24), timedelta(minutes=15)),
    "7 d": (timedelta(days=7), timedelta(hours=1)),
    "30 d": (timedelta(days=30), timedelta(hours=6)),
}
"""Window -> its duration up to now, and the step of its points."""

INVOCATION_NAMESPACE = "AWS/SageMaker"
INSTANCE_NAMESPACE = "/aws/sagemaker/Endpoints"
"""CloudWatch's namespaces."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
RECENT = timedelta(hours=24)
"""Of an endpoint created within this time, calls before its creation are separated to the minute."""

MS = 1e-3
"""CloudWatch returns latencies in microseconds."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A CloudWatch metric of a variant, with its display name."""

    name: str
    metric: str
    stat: str
    namespace: str = INVOCATION_NAMESPACE
    scale: float = 1.0
    unit: str = ""


INVOCATIONS = Metric("Invocations", "Invocations", "Sum")
SERVICE_METRICS = (
    INVOCATIONS,
    Metric("p50", "ModelLatency", "p50", scale=MS, unit="ms"),
    Metric("p90", "ModelLatency", "p90", scale=MS, unit="ms"),
    Metric("Errors 4xx", "Invocation4XXErrors", "Sum"),
    Metric("Errors 5xx", "Invocation5XXErrors", "Sum"),
)
UTILIZATION = tuple(
    Metric(name, name, "Average", INSTANCE_NAMESPACE, unit="%")
    for name in ("CPUUtilization", "MemoryUtilization", "GPUUtilization", "GPUMemoryUtilization")
)

Query = tuple[Endpoint, str, Metric]
"""An endpoint, a variant's name, and the metric."""

Points = dict[datetime, float]
"""Values by time."""


def traffic(clients: Clients, endpoints: Sequence[Endpoint], now: datetime) -> dict[str, Traffic]:
    """Return endpoint -> its calls in thirty days: one API call per 500 variants. Raises AwsError.

    CloudWatch keeps the metrics of a deleted endpoint, and adds those of a new one of the same name: calls before an
    endpoint's creation are counted apart. Only if one was created in the last day, and there are calls in that step,
    this takes another API call.

    An endpoint without known variants (from ListEndpoints) is left out.
    """
    begin = _floor(now, STEP) - timedelta(days=DAYS)
    series = _points(clients, _queries(endpoints, (INVOCATIONS,)), begin, begin + STEPS * STEP, STEP)
    measured = [endpoint for endpoint in endpoints if endpoint.variants]
    steps = {endpoint.name: [0] * STEPS for endpoint in measured}
    everything: dict[str, float] = defaultdict(float)
    for (endpoint, _, _), points in series:
        everything[endpoint.name] += sum(points.values())
    for (endpoint, _, _), points in _since_creation(clients, series, STEP, now):
        for at, calls in points.items():
            steps[endpoint.name][int((at - begin) / STEP)] += round(calls)
    return {
        endpoint.name: Traffic(
            begin,
            tuple(steps[endpoint.name]),
            endpoint.created_at,
            max(0, round(everything[endpoint.name]) - sum(steps[endpoint.name])),
        )
        for endpoint in measured
    }


def service(clients: Clients, endpoints: Sequence[Endpoint], now: datetime) -> dict[str, ServiceQuality]:
    """Return endpoint -> its service quality in the last 24 hours: one API call per 100 variants. Raises AwsError.

    The current hour is included, with the 24 before it; what is from before an endpoint's creation is left out.
    """
    begin = _floor(now, HOUR) - timedelta(hours=24)
    series = _points(clients, _queries(endpoints, SERVICE_METRICS), begin, begin + 25 * HOUR, HOUR)
    series = _since_creation(clients, series, HOUR, now)
    return {
        endpoint.name: _service([(query, points) for query, points in series if query[0] is endpoint])
        for endpoint in endpoints
        if endpoint.variants
    }


def endpoint_series(
    clients: Clients, endpoint: Endpoint, window: Window, now: datetime, *, variant: str = ""
) -> tuple[MetricSeries, ...]:
    """Return metrics of one endpoint over a window, since its creation: one call, or two. Raises AwsError.

    By name: "Invocations", "Errors 4xx", "Errors 5xx" (calls per step), "p50" and "p90" (ms), "CPUUtilization",
    "MemoryUtilization", "GPUUtilization", "GPUMemoryUtilization" (percent; CPU and GPU are summed over the cores and
    GPUs). Those without points are left out.

    variant: only this one; by default all: calls are summed, latencies averaged by calls, and utilization is the
             busiest variant's.
    """
    span, step = WINDOWS[window]
    begin = _floor(now, step) - span
    queries = _queries([endpoint], (*SERVICE_METRICS, *UTILIZATION))
    queries = [query for query in queries if variant in {"", query[1]}]
    points = _points(clients, queries, begin, begin + span + step, step)
    points = _since_creation(clients, points, step, now)
    series = (_series(metric, points, step) for metric in (*SERVICE_METRICS, *UTILIZATION))
    return tuple(curve for curve in series if len(curve))


def _queries(endpoints: Iterable[Endpoint], metrics: Iterable[Metric]) -> list[Query]:
    return [
        (endpoint, variant.name, metric)
        for endpoint in endpoints
        for variant in endpoint.variants
        for metric in metrics
    ]


def _points(
    clients: Clients, queries: Sequence[Query], begin: datetime, end: datetime, step: timedelta
) -> list[tuple[Query, Points]]:
    """Return each query with its points between begin and end."""
    series: list[tuple[Query, Points]] = []
    for start in range(0, len(queries), MAX_QUERIES):
        part = queries[start : start + MAX_QUERIES]
        metric_queries = [_metric_query(f"m{number}", query, step) for number, query in enumerate(part)]
        rows = metric_data(clients, metric_queries, begin, end)
        series += [
            (query, _scaled(query[2], rows[f"m{number}"], begin, end)) for number, query in enumerate(part)
        ]
    return series


def _since_creation(
    clients: Clients, series: Sequence[tuple[Query, Points]], step: timedelta, now: datetime
) -> list[tuple[Query, Points]]:
    """Return the series without what an earlier endpoint of the same name left in CloudWatch.

    The points of the step in which an endpoint was created are replaced by those of its minutes; where it was created
    longer ago than `RECENT`, that step stays as it is.
    """
    minutes = _minutes_since_creation(clients, series, step, now)
    kept = []
    for number, (query, points) in enumerate(series):
        created = query[0].created_at
        oldest = created if number in minutes else _floor(created, step)
        later = {at: value for at, value in points.items() if at >= oldest}
        kept.append((query, {**later, **minutes.get(number, {})}))
    return kept


def _minutes_since_creation(
    clients: Clients, series: Sequence[tuple[Query, Points]], step: timedelta, now: datetime
) -> dict[int, Points]:
    """Return a series' place -> its minutes from the creation to the end of that step: one call per such step."""
    steps: dict[datetime, list[int]] = defaultdict(list)
    for number, (query, points) in enumerate(series):
        created = query[0].created_at
        begin = _floor(created, step)
        if begin < created and begin in points and now - created < RECENT:
            steps[begin].append(number)
    minutes: dict[int, Points] = {}
    for begin, numbers in steps.items():
        queries = [series[number][0] for number in numbers]
        first = _floor(min(query[0].created_at for query in queries), MINUTE)
        rows = _points(clients, queries, first, begin + step, MINUTE)
        for number, (query, points) in zip(numbers, rows, strict=True):
            oldest = _floor(query[0].created_at, MINUTE)
            minutes[number] = {at: value for at, value in points.items() if at >= oldest}
    return minutes


def _metric_query(identity: str, query: Query, step: timedelta) -> dict[str, Any]:
    endpoint, variant, metric = query
    dimensions = [{"Name": "EndpointName", "Value": endpoint.name}, {"Name": "VariantName", "Value": variant}]
    metric_spec = {"Namespace": metric.namespace, "MetricName": metric.metric, "Dimensions": dimensions}
    seconds = int(step.total_seconds())
    return {"Id": identity, "MetricStat": {"Metric": metric_spec, "Period": seconds, "Stat": metric.stat}}


def _scaled(metric: Metric, row: Mapping[str, Sequence[Any]], begin: datetime, end: datetime) -> Points:
    pairs = zip(row["Timestamps"], row["Values"], strict=True)
    return {at.astimezone(UTC): float(value) * metric.scale for at, value in pairs if begin <= at < end}


def _service(series: Sequence[tuple[Query, Points]]) -> ServiceQuality:
    def total(name: str) -> int:
        return round(sum(sum(points.values()) for query, points in series if query[2].name == name))

    def mean(name: str) -> float | None:
        values = _weighted(name, series)
        weight = sum(calls for _, calls in values.values())
        return sum(value * calls for value, calls in values.values()) / weight if weight else None

    return ServiceQuality(
        total("Invocations"), mean("p50"), mean("p90"), total("Errors 4xx"), total("Errors 5xx")
    )


def _weighted(name: str, series: Sequence[tuple[Query, Points]]) -> dict[datetime, tuple[float, float]]:
    """Return time -> a latency and its number of calls; for several variants, the mean weighted by calls."""
    calls = {query[1]: points for query, points in series if query[2] is INVOCATIONS}
    sums: dict[datetime, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    for query, points in series:
        for at, value in points.items() if query[2].name == name else ():
            weight = max(1.0, calls[query[1]].get(at, 0.0))
            sums[at] = (sums[at][0] + value * weight, sums[at][1] + weight)
    return {at: (total / weight, weight) for at, (total, weight) in sums.items()}


def _series(metric: Metric, series: Sequence[tuple[Query, Points]], step: timedelta) -> MetricSeries:
    points: Points = {}
    if metric.unit == "ms":
        points = {at: value for at, (value, _) in _weighted(metric.name, series).items()}
    else:
        for query, part in series:
            for at, value in part.items() if query[2] is metric else ():
                if metric.unit:
                    points[at] = max(points.get(at, 0.0), value)
                else:
                    points[_floor(at, step)] = points.get(_floor(at, step), 0.0) + value
    times = np.array([at.replace(tzinfo=None) for at in sorted(points)], "datetime64[ms]")
    values = np.array([points[at] for at in sorted(points)], np.float64)
    return MetricSeries(metric.name, metric.unit, "CloudWatch", times, None, values)


def _floor(at: datetime, step: timedelta) -> datetime:
    """Round down to a step: CloudWatch's steps begin at multiples of their length."""
    return at - (at - EPOCH) % step
