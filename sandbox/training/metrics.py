"""The metrics of training jobs: extracted from the log, stored with their iteration, read by BatchGetMetrics.

A metric is defined by a job's MetricDefinitions: a name, and a regular expression whose first group is the value.
The iteration is the epoch in the line, else the number of values so far. Source: SageMaker Metrics Service API
reference, "BatchGetMetrics"; SageMaker API reference, "MetricDefinition".
"""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.common.database import Database, Row
from sandbox.common.store import Document
from sandbox.http.protocol import ApiError, Params, unknown_operation

# The definitions of the built-in algorithm, as AWS adds some too; AWS's own are not published.
_QUALITY = r"#quality_metric: host=\S+, epoch=\d+, {} <\w+>=\(?([^\s()]+)"
DEFINITIONS = (
    {"Name": "train:loss", "Regex": _QUALITY.format("train cross_entropy")},
    {
        "Name": "train:throughput",
        "Regex": r"#throughput_metric: host=\S+, train throughput=\(?([^\s()]+)\)? records/second",
    },
    {"Name": "validation:mIOU", "Regex": _QUALITY.format("validation mIOU")},
    {"Name": "validation:pixel_accuracy", "Regex": _QUALITY.format("validation pixel_accuracy")},
)
MAX_LINE = 4000  # characters of a line that are searched
_EPOCH = re.compile(r"\bepoch=([0-9]{1,9})\b")
_SCHEMA = """
create table if not exists metric(
    id integer primary key, job text not null collate nocase, name text not null, unique(job, name));
create table if not exists point(
    metric integer not null, iteration integer not null, time integer not null, value real not null);
create index if not exists point_metric on point(metric);
"""
_SECONDS = {"OneMinute": 60, "FiveMinute": 300, "OneHour": 3600}
_STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "Min": min,
    "Max": max,
    "Avg": statistics.fmean,
    "Count": len,
    "StdDev": statistics.pstdev,
    "Last": lambda values: values[-1],
}


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a metric. time: milliseconds since 1970; value: finite."""

    name: str
    iteration: int
    time: int
    value: float


class MetricFinder:
    """Extracts the metrics of one job from its log lines."""

    def __init__(self, definitions: Iterable[Document]) -> None:
        self._rules = [(item["Name"], re.compile(item["Regex"])) for item in definitions]
        self._counts: Counter[str] = Counter()

    def find(self, line: str, now: float) -> list[Point]:
        """Return the points in one line; values that are not finite numbers are skipped, as in CloudWatch."""
        points = []
        for name, rule in self._rules:
            match = rule.search(line[:MAX_LINE])
            value = _number(match[1]) if match is not None and rule.groups else None
            if value is not None:
                epoch = _EPOCH.search(line)
                iteration = int(epoch[1]) if epoch is not None else self._counts[name]
                self._counts[name] += 1
                points.append(Point(name, iteration, int(now * 1000), value))
        return points


def _number(text: str | None) -> float | None:
    """Parse a finite number; return None for anything else."""
    try:
        value = float((text or "").strip("(),"))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def final(points: Iterable[Point]) -> list[Document]:
    """Return FinalMetricDataList: the last value of each metric."""
    last = {point.name: point for point in points}
    return [
        {"MetricName": point.name, "Value": point.value, "Timestamp": point.time / 1000}
        for point in last.values()
    ]


class JobMetrics:
    """Every point of every job, in SQLite, and the service sagemaker-metrics on top. Thread-safe."""

    def __init__(self, path: Path, has_job: Callable[[str], bool]) -> None:
        """Open the database. has_job: whether an ARN is that of a training job."""
        self._has_job = has_job
        self._db = Database(path, _SCHEMA)

    def add(self, job: str, points: Sequence[Point]) -> None:
        """Store points of a job."""
        with self._db.transaction():
            for name in {point.name for point in points}:
                self._db.change("insert or ignore into metric(job, name) values (?, ?)", job, name)
            self._db.change_many(
                "insert into point select id, ?, ?, ? from metric where job = ? and name = ?",
                [(point.iteration, point.time, point.value, job, point.name) for point in points],
            )

    def forget(self, job: str) -> None:
        """Delete the points of a job."""
        with self._db.transaction():
            self._db.change("delete from point where metric in (select id from metric where job = ?)", job)
            self._db.change("delete from metric where job = ?", job)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def call(self, operation: str, params: Params) -> Params:
        """Run one operation of sagemaker-metrics and return its result. Raises ApiError."""
        if operation != "BatchGetMetrics":
            raise unknown_operation("sagemaker-metrics", operation)
        return {"MetricQueryResults": [self._answer(query) for query in params["MetricQueries"]]}

    def _answer(self, query: Params) -> Params:
        """Return the result of one query; an invalid one gets the status ValidationError, as in AWS."""
        try:
            pairs = self._series(query)
        except ApiError as problem:
            failed = {"Status": "ValidationError", "Message": problem.message}
            return {**failed, "XAxisValues": [], "MetricValues": []}
        return {
            "Status": "Complete",
            "XAxisValues": [x for x, _ in pairs],
            "MetricValues": [value for _, value in pairs],
        }

    def _series(self, query: Params) -> list[tuple[int, float]]:
        """Return (x, value) sorted by x. x, Start and End: an iteration, or milliseconds since 1970."""
        arn = query["ResourceArn"]
        if not self._has_job(arn):
            raise ApiError("ValidationException", f"Could not find training job {arn}.")
        by_iteration = query["XAxisType"] == "IterationNumber"
        groups: dict[int, list[tuple[int, int, float]]] = {}
        for iteration, time, value in self._points(arn.rpartition("/")[2], query["MetricName"]):
            key = iteration
            if query["Period"] != "IterationNumber":
                step = _SECONDS[query["Period"]] * 1000
                key = time // step * step
            groups.setdefault(key, []).append((iteration, time, value))
        pairs = []
        for key, points in sorted(groups.items()):
            x = max(iteration if by_iteration else time for iteration, time, _ in points)
            if not by_iteration and query["Period"] != "IterationNumber":
                x = key  # a period is identified by its start
            if query.get("Start", x) <= x <= query.get("End", x):
                pairs.append((x, _STATISTICS[query["MetricStat"]]([point[2] for point in points])))
        return pairs

    def _points(self, job: str, name: str) -> list[Row]:
        """Return (iteration, time in ms, value) in the order of arrival."""
        return self._db.rows(
            "select iteration, time, value from point"
            " where metric = (select id from metric where job = ? and name = ?) order by rowid",
            *(job, name),
        )
