"""Metrics of training jobs: extracted from lines, read with BatchGetMetrics and CloudWatch."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from botocore.exceptions import ClientError

from sandbox.common.process_usage import ProcessUsage, group_usage
from sandbox.server import Sandbox
from sandbox.training.metrics import DEFINITIONS, JobMetrics, MetricFinder, Point

Client = Callable[..., Any]
ARN = "arn:aws:sagemaker:us-east-1:123456789012:training-job/{}"
MINUTE = 60_000


@pytest.mark.parametrize(
    ("line", "name", "iteration", "value"),
    [
        ("#quality_metric: host=algo-1, epoch=7, train cross_entropy <loss>=0.98", "train:loss", 7, 0.98),
        ("#quality_metric: host=algo-1, epoch=0, validation mIOU <score>=(0.48)", "validation:mIOU", 0, 0.48),
        (
            "#quality_metric: host=algo-1, epoch=3, validation pixel_accuracy <score>=1e-3",
            "validation:pixel_accuracy",
            3,
            0.001,
        ),
        (
            "#throughput_metric: host=algo-1, train throughput=31.2 records/second",
            "train:throughput",
            0,
            31.2,
        ),
    ],
)
def test_the_built_in_definitions_find_the_algorithms_lines(
    line: str, name: str, iteration: int, value: float
) -> None:
    """Each metric is found once, with the line's epoch, with or without a time stamp."""
    points = MetricFinder(DEFINITIONS).find(f"[11/22/2026 12:00:00 INFO 77] {line}", 5.5)
    assert points == [Point(name, iteration, 5500, value)]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "high", ""])
def test_values_that_are_not_finite_are_skipped(value: str) -> None:
    """NaN and infinity are skipped, as CloudWatch refuses them."""
    line = f"#quality_metric: host=algo-1, epoch=0, train cross_entropy <loss>={value}"
    assert MetricFinder(DEFINITIONS).find(line, 0) == []


def test_custom_definitions_count_values_without_an_epoch() -> None:
    """The iteration is the number of values so far; one line may have several metrics."""
    finder = MetricFinder([{"Name": "a", "Regex": r"a=(\d)"}, {"Name": "b", "Regex": r"b=(\d)"}])
    points = [
        point for line in ("a=1 b=2", "a=3", "nothing", "x" * 5000 + "a=9") for point in finder.find(line, 0)
    ]
    assert [(point.name, point.iteration, point.value) for point in points] == [
        ("a", 0, 1.0),
        ("b", 0, 2.0),
        ("a", 1, 3.0),
    ]


@pytest.fixture
def series(tmp_path: Path) -> Iterator[JobMetrics]:
    """loss of job "one": epochs 0 to 3, two values in epoch 1, 30 seconds apart."""
    metrics = JobMetrics(tmp_path / "metrics.sqlite", lambda arn: arn.endswith("/one"))
    values = ((0, 0, 4.0), (1, 30_000, 2.0), (1, 40_000, 3.0), (2, 60_000, 1.0), (3, 90_000, 0.5))
    metrics.add("one", [Point("loss", epoch, time, value) for epoch, time, value in values])
    yield metrics
    metrics.close()


def _ask(metrics: JobMetrics, **query: Any) -> dict[str, Any]:
    whole = {
        "MetricName": "loss",
        "ResourceArn": ARN.format("one"),
        "MetricStat": "Last",
        "Period": "IterationNumber",
        "XAxisType": "IterationNumber",
        **query,
    }
    result: dict[str, Any] = metrics.call("BatchGetMetrics", {"MetricQueries": [whole]})[
        "MetricQueryResults"
    ][0]
    return result


@pytest.mark.parametrize(
    ("query", "xs", "values"),
    [
        ({}, [0, 1, 2, 3], [4.0, 3.0, 1.0, 0.5]),
        ({"MetricStat": "Min"}, [0, 1, 2, 3], [4.0, 2.0, 1.0, 0.5]),
        ({"MetricStat": "Max"}, [0, 1, 2, 3], [4.0, 3.0, 1.0, 0.5]),
        ({"MetricStat": "Avg"}, [0, 1, 2, 3], [4.0, 2.5, 1.0, 0.5]),
        ({"MetricStat": "Count"}, [0, 1, 2, 3], [1, 2, 1, 1]),
        ({"MetricStat": "StdDev"}, [0, 1, 2, 3], [0.0, 0.5, 0.0, 0.0]),
        ({"Start": 1, "End": 2}, [1, 2], [3.0, 1.0]),
        ({"XAxisType": "Timestamp"}, [0, 40_000, 60_000, 90_000], [4.0, 3.0, 1.0, 0.5]),
        ({"XAxisType": "Timestamp", "Period": "OneMinute"}, [0, MINUTE], [3.0, 0.5]),
        ({"Period": "OneMinute"}, [1, 3], [3.0, 0.5]),
        ({"XAxisType": "Timestamp", "Period": "OneHour", "MetricStat": "Min"}, [0], [0.5]),
        ({"MetricName": "unknown"}, [], []),
    ],
)
def test_series_by_iteration_and_by_time(
    series: JobMetrics, query: dict[str, Any], xs: list[int], values: list[float]
) -> None:
    """Each statistic over each period; Start and End are inclusive, in the unit of the x axis."""
    result = _ask(series, **query)
    assert (result["Status"], result["XAxisValues"], result["MetricValues"]) == ("Complete", xs, values)


def test_an_unknown_job_spoils_its_own_query_only(series: JobMetrics) -> None:
    """Only that query has an error status."""
    result = _ask(series, ResourceArn=ARN.format("two"))
    assert (result["Status"], result["MetricValues"]) == ("ValidationError", [])
    assert result["Message"] == f"Could not find training job {ARN.format('two')}."


def test_a_forgotten_job_has_no_values(series: JobMetrics) -> None:
    """A new job of that name starts without values, in whatever case the name is."""
    series.forget("ONE")
    assert _ask(series)["MetricValues"] == []


def test_boto3_reads_the_curves_of_a_job(client: Client, train: Callable[..., str]) -> None:
    """BatchGetMetrics over the wire: one call, many metrics, in the order of the queries."""
    arn = client("sagemaker").describe_training_job(TrainingJobName=train(epochs="4", nan="1"))[
        "TrainingJobArn"
    ]
    fixed = {
        "ResourceArn": arn,
        "MetricStat": "Last",
        "Period": "IterationNumber",
        "XAxisType": "IterationNumber",
    }
    queries = [
        {**fixed, "MetricName": name} for name in ("validation:mIOU", "train:loss", "train:throughput")
    ]
    results = client("sagemaker-metrics").batch_get_metrics(MetricQueries=queries)["MetricQueryResults"]
    assert [result["XAxisValues"] for result in results] == [[0, 1, 2, 3], [1, 2, 3], [0, 1, 2, 3]]
    assert results[0]["MetricValues"] == [0.1, 0.2, 0.3, 0.4]
    assert results[1]["MetricValues"] == [0.5, 0.333333, 0.25]


def test_batch_get_metrics_validates_and_wants_a_signature(client: Client, sandbox: Sandbox) -> None:
    """More than a hundred queries are refused by the model; unsigned requests are refused."""
    query = {
        "ResourceArn": ARN.format("x"),
        "MetricName": "loss",
        "MetricStat": "Last",
        "Period": "OneHour",
        "XAxisType": "Timestamp",
    }
    metrics = client("sagemaker-metrics", parameter_validation=False)
    with pytest.raises(ClientError, match="length less than or equal to 100"):
        metrics.batch_get_metrics(MetricQueries=[query] * 101)
    request = urllib.request.Request(
        f"{sandbox.address.url}/BatchGetMetrics",
        json.dumps({"MetricQueries": [query]}).encode(),
        method="POST",
    )
    with pytest.raises(HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 403


def test_batch_put_metrics_is_not_offered(client: Client) -> None:
    """BatchPutMetrics is reported as unsupported."""
    data = [{"MetricName": "loss", "Timestamp": 0, "Value": 1.0}]
    with pytest.raises(ClientError, match="does not support"):
        client("sagemaker-metrics").batch_put_metrics(TrialComponentName="x", MetricData=data)


@pytest.mark.parametrize("dimension", [("TrainingJobName", "{}"), ("Host", "{}/algo-1")])
def test_cloudwatch_has_the_metrics_too(
    client: Client, train: Callable[..., str], dimension: tuple[str, str]
) -> None:
    """They are under the job's name, where the SDK looks, and under its host, as AWS documents."""
    name = train(epochs="2")
    now = datetime.now(UTC)
    answer = client("cloudwatch").get_metric_statistics(
        Namespace="/aws/sagemaker/TrainingJobs",
        MetricName="validation:mIOU",
        Dimensions=[{"Name": dimension[0], "Value": dimension[1].format(name)}],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(hours=1),
        Period=3600,
        Statistics=["Maximum", "SampleCount"],
    )
    points = answer["Datapoints"]
    assert sum(point["SampleCount"] for point in points) == 2
    assert max(point["Maximum"] for point in points) == 0.2


def test_deleting_a_job_deletes_its_curves(client: Client, train: Callable[..., str]) -> None:
    """BatchGetMetrics does not find the job afterwards."""
    name = train(epochs="1")
    arn = client("sagemaker").describe_training_job(TrainingJobName=name)["TrainingJobArn"]
    client("sagemaker").delete_training_job(TrainingJobName=name)
    query = {"ResourceArn": arn, "MetricName": "train:loss", "MetricStat": "Last", "Period": "OneHour"}
    answer = client("sagemaker-metrics").batch_get_metrics(
        MetricQueries=[{**query, "XAxisType": "Timestamp"}]
    )
    assert answer["MetricQueryResults"][0]["Status"] == "ValidationError"


def test_the_use_of_a_group_is_the_sum_of_its_processes(tmp_path: Path) -> None:
    """The fields utime, stime and rss of /proc/PID/stat are added, whatever the program's name contains."""
    for pid, group in ((10, 10), (11, 10), (12, 12)):
        (tmp_path / str(pid)).mkdir()
        fields = ["S", "1", str(group), *["0"] * 8, "150", "50", *["0"] * 8, "1000", "0"]
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (a name) with) {' '.join(fields)}")
    (tmp_path / "self").mkdir()
    use = group_usage(10, tmp_path)
    other = group_usage(12, tmp_path)
    assert use is not None
    assert other is not None
    assert use == ProcessUsage(2 * other.processor, 2 * other.memory)
    assert other.processor > 0
    assert group_usage(99, tmp_path) is None
