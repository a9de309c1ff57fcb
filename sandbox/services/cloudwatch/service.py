"""CloudWatch metrics in SQLite: they survive a restart and kill -9.

Supports PutMetricData, GetMetricData, GetMetricStatistics and ListMetrics, over JSON, the protocol of boto3, and over
CBOR, that of version 2 of the AWS CLI. Metric math and SEARCH are refused. Alarms are not supported: DescribeAlarms
returns none.

A point is a value with its count, or a statistic set. Points are grouped into periods that start at whole multiples
of the period since 1970; see `sandbox.services.cloudwatch.statistics` for the statistics.

Points are kept as they are for 15 days, and aggregated per hour for 455 days; AWS keeps them as long, in three steps.
Source: CloudWatch API reference, and user guide, "Metrics retention".
"""

from __future__ import annotations

import gzip
import io
import json
import math
import re
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from sandbox.common.database import Database
from sandbox.http import cbor
from sandbox.http.protocol import (
    OPERATION,
    ApiError,
    Params,
    Reply,
    bytes_reply,
    call_json,
    dialect,
    error_reply,
    operation_model,
    target_operation,
    unknown_operation,
    validate,
)
from sandbox.services.cloudwatch.statistics import PLAIN, Bucket, invalid, points_of

_SCHEMA = """
create table if not exists metric(
    id integer primary key, namespace text not null, name text not null, dimensions text not null,
    last integer not null, unique(namespace, name, dimensions));
create table if not exists point(
    metric integer not null, time integer not null, unit text not null,
    count real not null, sum real not null, low real not null, high real not null);
create index if not exists point_time on point(metric, time);
"""
_OF_METRIC = """
from point where metric = (select id from metric where namespace = ?2 and name = ?3 and dimensions = ?4)
and time >= ?5 and time < ?6 and (?7 is null or unit = ?7)
"""
_POINTS = f"select time / ?1 * ?1, unit, count, sum, low, high {_OF_METRIC} order by time"
_TOTALS = "sum(count), sum(sum), min(low), max(high)"
_SUMS = f"select time / ?1 * ?1, unit, {_TOTALS} {_OF_METRIC} group by 1, 2 order by 1"
TAKEN_SECONDS = 14 * 86_400  # maximum age of a new datum, and of the last datum of a listed metric
WHOLE_SECONDS = 15 * 86_400
KEPT_SECONDS = 455 * 86_400
_FUTURE_SECONDS = 2 * 3600
_ACTIVE_SECONDS = 3 * 3600
_MAX_POINTS = 100_800  # of one GetMetricData response
_MAX_STATISTICS = 1440  # data points of one GetMetricStatistics response
_PAGE = 500  # metrics of one ListMetrics response
_MAX_BODY = 16 << 20
_CBOR_PATH = re.compile(r"/service/[^/]+/operation/([^/]+)")


class CloudWatch:
    """The service, thread-safe. path: the SQLite file; clock: seconds since 1970."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._db = Database(path, _SCHEMA)
        self._age()
        self._operations: dict[str, Callable[[Params], Params | None]] = {
            "PutMetricData": self._put,
            "GetMetricData": self._get_data,
            "GetMetricStatistics": self._get_statistics,
            "ListMetrics": self._list,
            "DescribeAlarms": lambda _: {"MetricAlarms": [], "CompositeAlarms": []},
            "DescribeAlarmsForMetric": lambda _: {"MetricAlarms": []},
        }

    def _age(self) -> None:
        """Aggregate old points per hour and delete the oldest, by AWS's retention."""
        now = self._clock()
        cut, oldest = int(now - WHOLE_SECONDS) // 3600 * 3600, now - KEPT_SECONDS
        with self._db.transaction():
            aged = self._db.rows(
                "select metric, time / 3600 * 3600, unit, sum(count), sum(sum), min(low), max(high) from point "
                "where time >= ? and time < ? group by 1, 2, 3",
                *(oldest, cut),
            )
            self._db.change("delete from point where time < ?", cut)
            self._db.change_many("insert into point values (?, ?, ?, ?, ?, ?, ?)", aged)
            self._db.change("delete from metric where last < ?", oldest)

    def call(self, operation: str, params: Params) -> Params:
        """Run one operation and return its result; times are seconds since 1970. Raises ApiError."""
        run = self._operations.get(operation)
        if run is None:
            raise unknown_operation("cloudwatch", operation)
        return run(params) or {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            reply = self._reply(environ)
        except ApiError as error:
            reply = error_reply(error, dialect(environ, "monitoring"))
        start_response(reply.status_line(), reply.headers)
        return reply.body

    def _reply(self, environ: dict[str, Any]) -> Reply:
        """Answer one request in its protocol. Raises ApiError."""
        path = _CBOR_PATH.fullmatch(environ["PATH_INFO"])
        if environ.get("HTTP_SMITHY_PROTOCOL") == cbor.PROTOCOL and path is not None:
            return self._reply_in_cbor(path[1], _body(environ))
        target = target_operation(environ)
        if not target:
            raise invalid("The sandbox's CloudWatch supports only the protocols JSON and CBOR, not Query.")
        operation = environ.get(OPERATION, target)
        body = _body(environ)
        return call_json("cloudwatch", operation, body, lambda params: self.call(operation, params))

    def _reply_in_cbor(self, operation: str, body: bytes) -> Reply:
        """Answer one request of smithy-rpc-v2-cbor. Raises ApiError."""
        model, params = operation_model("cloudwatch", operation), cbor.decode(body)
        if not isinstance(params, dict):
            raise ApiError("SerializationException", "Start of structure or map found where not expected.")
        validate(model, params)
        encoded = cbor.encode(model.output_shape, self.call(operation, params))
        return bytes_reply(encoded, cbor.CONTENT_TYPE, headers=[("smithy-protocol", cbor.PROTOCOL)])

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    # Writing

    def _put(self, params: Params) -> None:
        """Answer PutMetricData."""
        if params.get("EntityMetricData"):
            raise invalid("The sandbox does not support EntityMetricData: use MetricData.")
        now = self._clock()
        for datum in params.get("MetricData", []):
            if not now - TAKEN_SECONDS <= datum.get("Timestamp", now) <= now + _FUTURE_SECONDS:
                raise invalid(
                    "A Timestamp must be within the past two weeks and no more than two hours in the future."
                )
        self.keep(params["Namespace"], params.get("MetricData", []))

    def keep(self, namespace: str, metric_data: Sequence[Params]) -> None:
        """Store data of any age, such as imported metrics. Raises ApiError for invalid data."""
        now = self._clock()
        data = [(datum, points_of(datum), _moment(datum, now)) for datum in metric_data]
        with self._db.transaction():
            for datum, points, at in data:
                metric = self._metric(namespace, datum, at)
                rows = [(metric, at, datum.get("Unit", "None"), *point) for point in points]
                self._db.change_many("insert into point values (?, ?, ?, ?, ?, ?, ?)", rows)

    def _metric(self, namespace: str, datum: Params, at: int) -> int:
        """Return the id of a datum's metric, created when it is new."""
        row = (namespace, datum["MetricName"], _dimensions(datum), at)
        self._db.change(
            "insert into metric(namespace, name, dimensions, last) values (?, ?, ?, ?) "
            "on conflict(namespace, name, dimensions) do update set last = max(last, excluded.last)",
            *row,
        )
        sql = "select id from metric where namespace = ? and name = ? and dimensions = ?"
        number: int = self._db.rows(sql, *row[:3])[0][0]
        return number

    # Reading

    def _get_data(self, params: Params) -> Params:
        """Answer GetMetricData."""
        queries = params["MetricDataQueries"]
        if len({query["Id"] for query in queries}) < len(queries):
            raise invalid("The values for parameter id in MetricDataQueries are not unique.")
        ascending = params.get("ScanBy") == "TimestampAscending"
        results = [self._result(query, params, ascending=ascending) for query in queries]
        shown = [
            result for query, result in zip(queries, results, strict=True) if query.get("ReturnData", True)
        ]
        return _page(shown, _offset(params), min(params.get("MaxDatapoints", _MAX_POINTS), _MAX_POINTS))

    def _result(self, query: Params, params: Params, *, ascending: bool) -> Params:
        """Return one query's result with all its points."""
        metric_stat = query.get("MetricStat")
        if metric_stat is None or query.get("Expression"):
            raise invalid(
                f"The sandbox does not support metric math or SEARCH: found {query.get('Expression')!r}."
            )
        whole = metric_stat["Stat"] not in PLAIN
        buckets = self._buckets(
            metric_stat["Metric"], params, metric_stat["Period"], metric_stat.get("Unit"), whole=whole
        )
        merged: dict[int, float] = {}
        for (at, _), bucket in buckets.items():
            value = bucket.statistic(metric_stat["Stat"])
            if value is not None:
                merged.setdefault(at, value)
        times = sorted(merged, reverse=not ascending)
        return {
            "Id": query["Id"],
            "Label": query.get("Label") or metric_stat["Metric"].get("MetricName", query["Id"]),
            "Timestamps": times,
            "Values": [merged[at] for at in times],
            "StatusCode": "Complete",
        }

    def _get_statistics(self, params: Params) -> Params:
        """Answer GetMetricStatistics."""
        plain, extended = params.get("Statistics", []), params.get("ExtendedStatistics", [])
        if not plain and not extended:
            raise ApiError("MissingParameter", "Must specify either Statistics or ExtendedStatistics")
        count = math.ceil((params["EndTime"] - params["StartTime"]) / params["Period"])
        if count > _MAX_STATISTICS:
            raise ApiError(
                "InvalidParameterCombination",
                f"You have requested up to {count:,} datapoints, which exceeds the limit of {_MAX_STATISTICS:,}. "
                "You may reduce the datapoints requested by increasing Period, or decreasing the time range.",
            )
        whole = bool(extended)
        buckets = self._buckets(params, params, params["Period"], params.get("Unit"), whole=whole)
        points = []
        for (at, unit), bucket in sorted(buckets.items()):
            percentiles = {name: bucket.statistic(name) for name in extended}
            known = {name: value for name, value in percentiles.items() if value is not None}
            point = {"Timestamp": at, "Unit": unit} | {name: bucket.statistic(name) for name in plain}
            points.append(point | ({"ExtendedStatistics": known} if known else {}))
        return {"Label": params["MetricName"], "Datapoints": points}

    def _buckets(
        self, metric: Params, span: Params, period: int, unit: str | None, *, whole: bool
    ) -> dict[tuple[int, str], Bucket]:
        """Return the samples from StartTime (rounded down to a period) to EndTime, by (start of the period, unit).

        whole: with each point's value, for percentiles; otherwise SQLite aggregates them, which is much faster.
        """
        if period not in {1, 5, 10, 20, 30} and period % 60:
            raise invalid("The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60.")
        if span["StartTime"] >= span["EndTime"]:
            raise invalid("The parameter StartTime must be less than the parameter EndTime.")
        rows = self._db.rows(
            _POINTS if whole else _SUMS,
            period,
            *(metric.get("Namespace", ""), metric.get("MetricName", ""), _dimensions(metric)),
            *(span["StartTime"] // period * period, span["EndTime"], unit),
        )
        buckets: dict[tuple[int, str], Bucket] = {}
        for at, its_unit, *point in rows:
            buckets.setdefault((at, its_unit), Bucket()).add(*point)
        return buckets

    def _list(self, params: Params) -> Params:
        """Answer ListMetrics."""
        oldest = self._clock() - (_ACTIVE_SECONDS if params.get("RecentlyActive") else TAKEN_SECONDS)
        rows = self._db.rows(
            "select namespace, name, dimensions from metric where (? is null or namespace = ?) "
            "and (? is null or name = ?) and last >= ? order by namespace, name, dimensions",
            *(
                params.get("Namespace"),
                params.get("Namespace"),
                params.get("MetricName"),
                params.get("MetricName"),
            ),
            oldest,
        )
        wanted = params.get("Dimensions", [])
        matching = [row for row in rows if _has(json.loads(row[2]), wanted)]
        offset = _offset(params)
        metrics = [
            {
                "Namespace": namespace,
                "MetricName": name,
                "Dimensions": [{"Name": n, "Value": v} for n, v in json.loads(dimensions)],
            }
            for namespace, name, dimensions in matching[offset : offset + _PAGE]
        ]
        more = {"NextToken": str(offset + _PAGE)} if len(matching) > offset + _PAGE else {}
        return {"Metrics": metrics} | more


def _moment(datum: Params, now: float) -> int:
    """Return a datum's time in seconds, rounded down to the minute unless it is of high resolution."""
    at = datum.get("Timestamp", now)
    return int(at) if datum.get("StorageResolution") == 1 else int(at) // 60 * 60


def _dimensions(params: Params) -> str:
    """Return dimensions as one text, independent of their order."""
    return json.dumps(sorted([item["Name"], item["Value"]] for item in params.get("Dimensions", [])))


def _has(pairs: list[list[str]], wanted: list[Params]) -> bool:
    """Return whether dimensions have all the requested names and, where given, values."""
    have = dict(pairs)
    return all(item["Name"] in have and item.get("Value") in {None, have[item["Name"]]} for item in wanted)


def _page(results: list[Params], skipped: int, room: int) -> Params:
    """Return part of the results: `room` points from number `skipped` on, counted across all results."""
    shown: list[Params] = []
    number = 0
    for result in results:
        start = max(skipped - number, 0)
        stop = min(skipped + room - number, len(result["Values"]))
        if start < stop or (not result["Values"] and not skipped):
            part = {name: result[name][start:stop] for name in ("Timestamps", "Values")}
            partial = {"StatusCode": "PartialData"} if stop < len(result["Values"]) else {}
            shown.append(result | part | partial)
        number += len(result["Values"])
    more = {"NextToken": str(skipped + room)} if number > skipped + room else {}
    return {"MetricDataResults": shown} | more


def _offset(params: Params) -> int:
    """Return the position in a NextToken. Raises ApiError."""
    token = params.get("NextToken", "0")
    if not re.fullmatch(r"[0-9]{1,9}", token):
        raise ApiError("InvalidNextToken", "The next token specified is invalid.")
    return int(token)


def _body(environ: dict[str, Any]) -> bytes:
    """Return the request's body, decompressed: boto3 compresses PutMetricData above 10 KB. Raises ApiError."""
    body: bytes = environ["wsgi.input"].read()
    if environ.get("HTTP_CONTENT_ENCODING", "") != "gzip":
        return body
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
            plain = file.read(_MAX_BODY + 1)
    except (OSError, EOFError) as error:
        raise ApiError("SerializationException", "The body does not match its Content-Encoding.") from error
    if len(plain) > _MAX_BODY:
        raise ApiError("RequestEntityTooLargeException", f"The body exceeds {_MAX_BODY} bytes.", 413)
    return plain
