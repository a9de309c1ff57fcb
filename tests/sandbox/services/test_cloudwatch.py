"""The sandbox's CloudWatch: statistics, percentiles, periods."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from sandbox.http.server import Listener, bind
from sandbox.services.cloudwatch.service import KEPT_SECONDS, TAKEN_SECONDS, WHOLE_SECONDS, CloudWatch

NOW = 1_800_000_000  # a whole multiple of 3600
HOUR = 3600
DIMENSIONS = [{"Name": "EndpointName", "Value": "e"}, {"Name": "VariantName", "Value": "v"}]


@pytest.fixture
def cloudwatch(tmp_path: Path) -> Iterator[Any]:
    service, sock = CloudWatch(tmp_path / "m.sqlite", clock=lambda: NOW), bind("127.0.0.1", 0)
    listener = Listener(service, sock)
    threading.Thread(target=listener.serve_forever, args=[0.02], daemon=True).start()
    yield boto3.client(
        "cloudwatch",
        endpoint_url=f"http://127.0.0.1:{sock.getsockname()[1]}",
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}),
    )
    listener.stop()
    service.close()


def _at(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(NOW + seconds, dt.UTC)


def _put(cloudwatch: Any, *points: tuple[float, float], name: str = "m", **more: Any) -> None:
    """Put (seconds from NOW, value) pairs."""
    data = [
        {"MetricName": name, "Dimensions": DIMENSIONS, "Timestamp": _at(at), "Value": value, **more}
        for at, value in points
    ]
    cloudwatch.put_metric_data(Namespace="N", MetricData=data)


def _query(stat: str, period: int = 60, name: str = "m", **more: Any) -> dict[str, Any]:
    metric = {"Namespace": "N", "MetricName": name, "Dimensions": DIMENSIONS}
    return {"Id": "q", "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}} | more


def _data(
    cloudwatch: Any, *queries: dict[str, Any], start: float = -HOUR, end: float = HOUR, **more: Any
) -> Any:
    return cloudwatch.get_metric_data(
        MetricDataQueries=list(queries), StartTime=_at(start), EndTime=_at(end), **more
    )["MetricDataResults"]


def _code(call: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call()
    return str(raised.value.response["Error"]["Code"])


@pytest.mark.parametrize(
    ("stat", "wanted"),
    [
        ("Average", 5.5),
        ("Sum", 55.0),
        ("Minimum", 1.0),
        ("Maximum", 10.0),
        ("SampleCount", 10.0),
        ("p0", 1.0),
        ("p50", 5.0),
        ("p90", 9.0),
        ("p99.9", 10.0),
        ("p100", 10.0),
    ],
)
def test_statistic(cloudwatch: Any, stat: str, wanted: float) -> None:
    """Each statistic of the values 1 to 10 in one period is CloudWatch's."""
    _put(cloudwatch, *[(n, float(n)) for n in range(10, 0, -1)])
    (result,) = _data(cloudwatch, _query(stat))
    assert (result["Values"], result["Timestamps"], result["Label"]) == ([wanted], [_at(0)], "m")


def test_values_with_counts(cloudwatch: Any) -> None:
    """A value with a count weighs as many samples, in percentiles, too."""
    cloudwatch.put_metric_data(
        Namespace="N",
        MetricData=[
            {
                "MetricName": "m",
                "Dimensions": DIMENSIONS,
                "Timestamp": _at(0),
                "Values": [5.0, 1.0],
                "Counts": [1.0, 99.0],
            }
        ],
    )
    values = [
        _data(cloudwatch, _query(stat))[0]["Values"][0] for stat in ("SampleCount", "Sum", "p99", "p100")
    ]
    assert values == [100.0, 104.0, 1.0, 5.0]


def test_statistic_set(cloudwatch: Any) -> None:
    """A statistic set counts in the plain statistics, and its period has no percentiles, as in AWS."""
    whole = {"SampleCount": 4.0, "Sum": 10.0, "Minimum": 1.0, "Maximum": 4.0}
    datum = {"MetricName": "m", "Dimensions": DIMENSIONS, "Timestamp": _at(0), "StatisticValues": whole}
    cloudwatch.put_metric_data(Namespace="N", MetricData=[datum])
    _put(cloudwatch, (1, 90.0), (60, 7.0))
    assert _data(cloudwatch, _query("Average"), ScanBy="TimestampAscending")[0]["Values"] == [20.0, 7.0]
    assert _data(cloudwatch, _query("p50"))[0]["Values"] == [7.0]


@pytest.mark.parametrize("period", [60, 300, 3600])
def test_periods_are_aligned(cloudwatch: Any, period: int) -> None:
    """Periods start at whole multiples, whatever StartTime is, and the first one is complete."""
    moments = range(-1800, 1800, 60)
    _put(cloudwatch, *[(at + 7, 1.0) for at in moments])
    (result,) = _data(cloudwatch, _query("Sum", period), start=-1733, end=1801, ScanBy="TimestampAscending")
    starts = sorted(
        {(NOW + at) // period * period for at in moments if NOW + at >= (NOW - 1733) // period * period}
    )
    assert [int(at.timestamp()) for at in result["Timestamps"]] == starts
    assert sum(result["Values"]) == sum(1 for at in moments if NOW + at >= starts[0])


def test_order_label_and_what_is_returned(cloudwatch: Any) -> None:
    """Newest first by default; a given label is kept; ReturnData=False omits a result."""
    _put(cloudwatch, (-120, 1.0), (0, 3.0), (-60, 2.0))
    hidden, shown = _query("Sum", Id="a", ReturnData=False), _query("Sum", Id="b", Label="latency")
    (result,) = _data(cloudwatch, hidden, shown)
    assert (result["Id"], result["Label"], result["Values"]) == ("b", "latency", [3.0, 2.0, 1.0])


def test_paging(cloudwatch: Any) -> None:
    """MaxDatapoints limits a response, and tokens lead through all queries' points once."""
    _put(cloudwatch, *[(-60 * n, float(n)) for n in range(7)])
    _put(cloudwatch, *[(-60 * n, 10.0 + n) for n in range(4)], name="other")
    queries = [_query("Sum", Id="a"), _query("Sum", name="none", Id="b"), _query("Sum", name="other", Id="c")]
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries, StartTime=_at(-HOUR), EndTime=_at(HOUR), PaginationConfig={"PageSize": 3}
    )
    series: dict[str, list[float]] = {}
    for page in pages:
        assert sum(len(result["Values"]) for result in page["MetricDataResults"]) <= 3
        for result in page["MetricDataResults"]:
            series.setdefault(result["Id"], []).extend(result["Values"])
    assert series == {"a": [0.0, 1, 2, 3, 4, 5, 6], "b": [], "c": [10.0, 11, 12, 13]}


def test_get_metric_statistics(cloudwatch: Any) -> None:
    """GetMetricStatistics returns plain and extended statistics with the unit, and filters by unit."""
    _put(cloudwatch, (0, 1.0), (1, 3.0), Unit="Microseconds")
    _put(cloudwatch, (2, 100.0), Unit="Count")
    request = {
        "Namespace": "N",
        "MetricName": "m",
        "Dimensions": DIMENSIONS[::-1],
        "StartTime": _at(-HOUR),
        "EndTime": _at(HOUR),
        "Period": 300,
    }
    plain = cloudwatch.get_metric_statistics(
        **request, Statistics=["Average", "SampleCount"], Unit="Microseconds"
    )
    assert plain["Datapoints"] == [
        {"Timestamp": _at(0), "Average": 2.0, "SampleCount": 2.0, "Unit": "Microseconds"}
    ]
    more = cloudwatch.get_metric_statistics(**request, ExtendedStatistics=["p50", "p90"])["Datapoints"]
    assert [point["ExtendedStatistics"] for point in more] == [
        {"p50": 100.0, "p90": 100.0},
        {"p50": 1.0, "p90": 3.0},
    ]


def test_five_hundred_queries(cloudwatch: Any) -> None:
    """One GetMetricData accepts 500 queries and returns the points of each, percentiles included."""
    queries = []
    for number in range(500):
        metric = {"Namespace": "N", "MetricName": f"n{number % 250}", "Dimensions": DIMENSIONS}
        stat = {"Metric": metric, "Period": 21_600, "Stat": "Sum" if number < 250 else "p90"}
        queries.append({"Id": f"q{number}", "MetricStat": stat})
    for number in range(250):
        _put(cloudwatch, *[(-day * 86_400, 1.0 + number) for day in range(13)], name=f"n{number}")
    results = _data(cloudwatch, *queries, start=-30 * 86_400)
    assert [result["Id"] for result in results] == [f"q{number}" for number in range(500)]
    assert [result["Values"] for result in results] == 2 * [[1.0 + number] * 13 for number in range(250)]


def test_large_put_is_compressed(cloudwatch: Any) -> None:
    """A PutMetricData that boto3 compresses arrives whole."""
    _put(cloudwatch, *[(0, float(n)) for n in range(1000)])
    assert _data(cloudwatch, _query("SampleCount"))[0]["Values"] == [1000.0]


def test_list_metrics(cloudwatch: Any) -> None:
    """Metrics are listed by namespace, name and dimensions, with or without a value, across pages."""
    for name in ("a", "b"):
        _put(cloudwatch, (0, 1.0), name=name)
    names = [{"MetricName": f"n{n}", "Value": 1.0} for n in range(600)]
    cloudwatch.put_metric_data(Namespace="Other", MetricData=names)

    def listed(**filters: Any) -> list[str]:
        pages = cloudwatch.get_paginator("list_metrics").paginate(**filters)
        return [metric["MetricName"] for page in pages for metric in page["Metrics"]]

    assert listed(Namespace="N") == ["a", "b"]
    assert listed(Dimensions=[{"Name": "EndpointName"}]) == ["a", "b"]
    assert listed(MetricName="b", Dimensions=DIMENSIONS[:1]) == ["b"]
    assert listed(Dimensions=[{"Name": "EndpointName", "Value": "other"}]) == []
    assert len(set(listed(Namespace="Other"))) == 600


@pytest.mark.parametrize(
    "query",
    [
        {"Id": "q", "Expression": "SUM(METRICS())"},
        _query("tm90"),
        _query("p101"),
        _query("Average", period=7),
    ],
)
def test_refused(cloudwatch: Any, query: dict[str, Any]) -> None:
    """Metric math, other statistics and invalid periods are refused with a message."""
    _put(cloudwatch, (0, 1.0))
    assert _code(lambda: _data(cloudwatch, query)) == "InvalidParameterValue"


@pytest.mark.parametrize("at", [-TAKEN_SECONDS - 60, 2 * HOUR + 60])
def test_time_out_of_span(cloudwatch: Any, at: float) -> None:
    """A point older than two weeks or more than two hours ahead is refused."""
    assert _code(lambda: _put(cloudwatch, (at, 1.0))) == "InvalidParameterValue"


def test_no_alarms(cloudwatch: Any) -> None:
    """Listing alarms returns none, and creating one is refused."""
    assert cloudwatch.describe_alarms()["MetricAlarms"] == []
    alarm = {"AlarmName": "a", "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold"}
    assert _code(lambda: cloudwatch.put_metric_alarm(**alarm)) == "UnknownOperationException"


def _series(service: CloudWatch, stat: str, period: int, start: float) -> list[float]:
    metric = {"Namespace": "N", "MetricName": "m", "Dimensions": DIMENSIONS}
    query = {"Id": "q", "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}}
    span = {"StartTime": start, "EndTime": NOW + HOUR, "ScanBy": "TimestampAscending"}
    (result,) = service.call("GetMetricData", {"MetricDataQueries": [query], **span})["MetricDataResults"]
    values: list[float] = result["Values"]
    return values


def test_points_grow_old(tmp_path: Path) -> None:
    """At a start, points older than 15 days are aggregated per hour, those older than 455 days are deleted."""
    path = tmp_path / "m.sqlite"
    first = CloudWatch(path, clock=lambda: NOW)
    ages = (KEPT_SECONDS + HOUR, WHOLE_SECONDS + 120, WHOLE_SECONDS + 60, 120, 60)
    first.keep(
        "N",
        [
            {"MetricName": "m", "Dimensions": DIMENSIONS, "Timestamp": NOW - age, "Value": float(number)}
            for number, age in enumerate(ages)
        ],
    )
    assert _series(first, "Sum", 60, NOW - 2 * KEPT_SECONDS) == [0.0, 1.0, 2.0, 3.0, 4.0]
    first.close()
    for _ in range(2):
        again = CloudWatch(path, clock=lambda: NOW)
        assert _series(again, "Sum", 60, NOW - 2 * KEPT_SECONDS) == [3.0, 3.0, 4.0]
        assert _series(again, "SampleCount", 60, NOW - 2 * KEPT_SECONDS) == [2.0, 1.0, 1.0]
        assert _series(again, "p50", 60, NOW - 2 * KEPT_SECONDS) == [3.0, 4.0]
        again.close()


def test_a_metric_without_a_point_for_two_weeks_is_not_listed(tmp_path: Path) -> None:
    """As in AWS, its points can still be read by name."""
    service = CloudWatch(tmp_path / "m.sqlite", clock=lambda: NOW)
    old = {"MetricName": "m", "Dimensions": DIMENSIONS, "Timestamp": NOW - TAKEN_SECONDS - 60, "Value": 1.0}
    service.keep("N", [old, {**old, "MetricName": "young", "Timestamp": NOW}])
    assert [metric["MetricName"] for metric in service.call("ListMetrics", {})["Metrics"]] == ["young"]
    assert _series(service, "Sum", 86_400, NOW - 30 * 86_400) == [1.0]
    service.close()


def test_cbor(cloudwatch: Any) -> None:
    """GetMetricData over CBOR, as version 2 of the AWS CLI sends it, gives what it gives over JSON."""
    _put(cloudwatch, (0, 3.0))
    model = cloudwatch.meta.service_model.operation_model("GetMetricData")
    params = {"MetricDataQueries": [_query("Average")], "StartTime": _at(-HOUR), "EndTime": _at(HOUR)}
    request = create_serializer("smithy-rpc-v2-cbor").serialize_to_request(params, model)
    headers = {
        **request["headers"],
        "Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/monitoring/aws4_request",
    }
    answer = urllib3.request(
        "POST", f"{cloudwatch.meta.endpoint_url}{request['url_path']}", body=request["body"], headers=headers
    )
    whole = {"status_code": answer.status, "headers": answer.headers, "body": answer.data}
    parsed = create_parser("smithy-rpc-v2-cbor").parse(whole, model.output_shape)
    assert parsed["MetricDataResults"] == cloudwatch.get_metric_data(**params)["MetricDataResults"]
    assert parsed["MetricDataResults"][0]["Values"] == [3.0]
