"""Curves and utilization, read from a server that responds like AWS."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from core import errors
from core.aws.metrics import curves, sparklines, utilization
from core.training.job import TrainingJob, from_description

BEGIN = datetime(2026, 11, 22, 12, tzinfo=UTC)
BATCH = "/BatchGetMetrics"


def job(name: str, *metrics: str, started: bool = True) -> TrainingJob:
    answer: dict[str, Any] = {
        "TrainingJobName": name,
        "TrainingJobArn": f"arn:aws:sagemaker:us-east-1:123456789012:training-job/{name}",
        "TrainingJobStatus": "Completed",
        "CreationTime": BEGIN,
        "AlgorithmSpecification": {
            "MetricDefinitions": [
                {"Name": metric, "Regex": rf"validation {metric.partition(':')[2]} <score>=(\S+)"}
                for metric in metrics
            ]
        },
    }
    times = {"TrainingStartTime": BEGIN, "TrainingEndTime": BEGIN + timedelta(minutes=9)}
    return from_description(answer | (times if started else {}))


def batch(server: Any, *series: list[float]) -> Any:
    rows = [
        {"Status": "Complete", "XAxisValues": list(range(len(one))), "MetricValues": one} for one in series
    ]
    return server.json({"MetricQueryResults": rows})


def cloudwatch(server: Any, *series: list[float]) -> Any:
    """Return points newest first, as CloudWatch does. botocore supports Smithy's JSON and CBOR; this is JSON."""
    rows = [
        {
            "Id": f"m{number}",
            "StatusCode": "Complete",
            "Timestamps": [BEGIN.timestamp() + 60 * place for place in reversed(range(len(one)))],
            "Values": list(reversed(one)),
        }
        for number, one in enumerate(series)
    ]
    return server.json({"MetricDataResults": rows})


def paths(server: Any) -> list[str]:
    return [name if name != "POST" else urlsplit(path).path for name, path in server.asked]


def test_many_jobs_are_one_call(canned_server: Any) -> None:
    """The curves of six jobs take one BatchGetMetrics call, and name their source."""
    canned_server.says(batch(canned_server, *[[0.1, 0.2]] * 12))
    found = curves(canned_server.clients(), [job(f"j{n}", "validation:mIOU", "train:loss") for n in range(6)])
    assert paths(canned_server) == [BATCH]
    assert [series.name for series in found["j5"]] == ["validation:mIOU", "train:loss"]
    assert found["j5"][0].source == "BatchGetMetrics"
    assert found["j5"][0].values.tolist() == [0.1, 0.2]


def test_a_table_of_a_hundred_jobs_is_one_call(canned_server: Any) -> None:
    """The sparklines of a hundred jobs take one call, and those of a hundred and one take two."""
    canned_server.says(batch(canned_server, *[[0.5]] * 100), batch(canned_server, [0.7]))
    jobs = [job(f"j{number}") for number in range(101)]
    found = sparklines(canned_server.clients(), jobs)
    assert len(canned_server.asked) == 2
    assert len(found) == 101
    assert found["j100"].values.tolist() == [0.7]


def test_a_job_that_never_started_is_not_asked_about(canned_server: Any) -> None:
    """A job that never started has no curves, and takes no call."""
    clients, waiting = canned_server.clients(), [job("a", started=False)]
    assert sparklines(clients, waiting) == {}
    assert curves(clients, waiting) == {"a": ()}
    assert utilization(clients, waiting[0]) == ()
    assert canned_server.asked == []


def test_cloudwatch_is_the_second_source(canned_server: Any) -> None:
    """If BatchGetMetrics is denied, CloudWatch is used, with one call and a note."""
    canned_server.says(
        canned_server.error(403, "AccessDeniedException", "not authorized"),
        cloudwatch(canned_server, [0.1, 0.3], [0.2]),
    )
    notes: list[str] = []
    jobs = [job("a", "validation:mIOU"), job("b", "validation:mIOU")]
    found = curves(canned_server.clients(), jobs, notes=notes)
    assert len(canned_server.asked) == 2
    assert (found["a"][0].source, found["a"][0].values.tolist()) == ("CloudWatch", [0.1, 0.3])
    assert found["b"][0].values.tolist() == [0.2]
    assert "not allowed" in notes[0]


def test_the_log_is_the_third_source(canned_server: Any) -> None:
    """If neither has a job's metrics, its own log is read with its own definitions."""
    line = "#quality_metric: host=algo-1, epoch=0, validation mIOU <score>=0.25"
    page = {"events": [{"timestamp": 1_790_000_000_000, "message": line}], "nextForwardToken": "f"}
    canned_server.says(
        batch(canned_server, []),
        batch(canned_server, []),
        cloudwatch(canned_server, []),
        canned_server.json({"logStreams": [{"logStreamName": "a/algo-1-1"}]}),
        canned_server.json(page),
        canned_server.json({**page, "events": []}),
    )
    found = curves(canned_server.clients(), [job("a", "validation:mIOU")])
    assert [(series.name, series.source) for series in found["a"]] == [("validation:mIOU", "log")]
    assert found["a"][0].values.tolist() == [0.25]


def test_a_log_that_may_not_be_read_hides_no_other_curves(canned_server: Any) -> None:
    """If one job's log is denied, the other jobs keep their curves, and a note says why."""
    canned_server.says(
        batch(canned_server, [0.1], []),
        batch(canned_server, []),
        cloudwatch(canned_server, []),
        canned_server.error(400, "AccessDeniedException", "not allowed"),
    )
    notes: list[str] = []
    jobs = [job("a", "validation:mIOU"), job("b", "validation:mIOU")]
    found = curves(canned_server.clients(), jobs, notes=notes)
    assert (found["a"][0].values.tolist(), found["b"]) == ([0.1], ())
    assert "not allowed" in notes[-1]


@pytest.mark.parametrize(
    ("code", "expected"),
    [("ThrottlingException", errors.ThrottledError), ("ExpiredTokenException", errors.CredentialsError)],
)
def test_throttling_does_not_lead_to_more_calls(canned_server: Any, code: str, expected: type) -> None:
    """If AWS throttles, or the credentials have expired, no other source is tried."""
    canned_server.says(canned_server.error(400, code, "no"))
    with pytest.raises(expected):
        curves(canned_server.clients(), [job("a", "validation:mIOU")])
    assert set(paths(canned_server)) == {BATCH}


def test_utilization_is_one_call(canned_server: Any) -> None:
    """CPU, memory and GPU take one call; what the instance does not have is left out."""
    canned_server.says(cloudwatch(canned_server, [10.0, 90.0], [40.0], [], []))
    found = utilization(canned_server.clients(), job("a"))
    assert [(series.name, series.unit) for series in found] == [
        ("CPUUtilization", "%"),
        ("MemoryUtilization", "%"),
    ]
    assert found[0].values.tolist() == [10.0, 90.0]
    assert len(canned_server.asked) == 1


def test_a_cut_answer_is_no_empty_curve(canned_server: Any) -> None:
    """A truncated response is not treated as missing metrics: the next source is used, with a note."""
    canned_server.says(
        canned_server.json({}), cloudwatch(canned_server, [0.5]), cloudwatch(canned_server, [0.5])
    )
    notes: list[str] = []
    found = curves(canned_server.clients(), [job("a", "validation:mIOU")], notes=notes)
    assert found["a"][0].source == "CloudWatch"
    assert "MetricQueryResults" in notes[0]
