"""Transform jobs as values: what a request holds, what a copy keeps, what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest

from core.batch.job import BatchSpec, check_spec, clone_spec, from_description, from_summary, to_request
from core.errors import UnexpectedAnswerError
from tests.support.shapes import filled

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
SPEC = BatchSpec("night", "roads", "s3://data/in/", "s3://data/out/", "ml.g4dn.xlarge")


def shape(operation: str) -> Any:
    model = botocore.session.get_session().get_service_model("sagemaker")
    return model.operation_model(operation)


def description(**members: Any) -> dict[str, Any]:
    """Return what DescribeTransformJob answers for `SPEC`."""
    return {
        **to_request(SPEC),
        "TransformJobStatus": "InProgress",
        "CreationTime": NOW,
        "TransformStartTime": NOW,
        **members,
    }


def test_a_request_leaves_nothing_to_default() -> None:
    """A request names every setting of the algorithm's input and output."""
    request = to_request(SPEC)
    assert request["TransformInput"] == {
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://data/in/"}},
        "ContentType": "image/jpeg",
        "CompressionType": "None",
        "SplitType": "None",
    }
    assert request["TransformOutput"]["Accept"] == "image/png"
    assert request["ModelClientConfig"] == {"InvocationsTimeoutInSeconds": 120, "InvocationsMaxRetries": 1}


def test_probabilities_are_recordio() -> None:
    """A job for probabilities accepts RecordIO-protobuf, and is read back as one."""
    request = to_request(replace(SPEC, kind="probabilities"))
    assert request["TransformOutput"]["Accept"] == "application/x-recordio-protobuf"
    assert from_description(description(**request)).kind == "probabilities"


def test_a_copy_has_every_setting_of_the_original() -> None:
    """Every member that CreateTransformJob accepts is the same in a copy, except its name and AWS's own tags."""
    create = shape("CreateTransformJob").input_shape
    original = filled(create) | {"TransformJobName": "old"}
    original["TransformInput"] = to_request(SPEC)["TransformInput"]
    original["TransformOutput"] |= {"Accept": "image/png", "AssembleWith": "None"}
    original["BatchStrategy"] = "SingleRecord"
    answer = {
        **original,
        "TransformJobStatus": "Completed",
        "TransformJobArn": "arn:aws:sagemaker:x:1:transform-job/old",
        "CreationTime": NOW,
    }
    tags = {row["Key"]: row["Value"] for row in original["Tags"]}
    copy = to_request(clone_spec(from_description(answer), "new", {**tags, "aws:owner": "x"}))
    assert copy == original | {"TransformJobName": "new"}


@pytest.mark.parametrize(
    ("changes", "field", "text"),
    [
        ({"name": "a b"}, "name", "letters, digits and hyphens"),
        ({"model": ""}, "model", "No model"),
        ({"input_uri": "in/"}, "input_uri", "'in/'"),
        ({"output_uri": ""}, "output_uri", "S3 URI"),
        ({"instance_type": "g4dn"}, "instance_type", "'g4dn'"),
        ({"instance_count": 0}, "instance_count", "1 to 100"),
        ({"payload_mb": 0}, "payload_mb", "1 to 100"),
        ({"concurrency": 20, "payload_mb": 6}, "concurrency", "100 MB together"),
        ({"timeout_seconds": 3601}, "timeout_seconds", "1 to 3600"),
        ({"retries": 4}, "retries", "0 to 3"),
    ],
)
def test_what_aws_rejects_is_an_error(changes: dict[str, Any], field: str, text: str) -> None:
    """A value that AWS rejects is reported for its field, with what is allowed."""
    problems = [problem for problem in check_spec(replace(SPEC, **changes)) if problem.is_error]
    assert [problem.name for problem in problems] == [field]
    assert text in problems[0].message


def test_a_valid_spec_has_no_problems() -> None:
    """A job on a GPU instance has neither errors nor warnings."""
    assert check_spec(SPEC) == []


@pytest.mark.parametrize(("instance", "text"), [("ml.c5.xlarge", "no GPU"), ("ml.c7g.xlarge", "ARM")])
def test_instances_that_are_likely_to_fail_are_warnings(instance: str, text: str) -> None:
    """CPU and ARM instances are accepted with a warning."""
    (problem,) = check_spec(replace(SPEC, instance_type=instance))
    assert problem.severity == "warning"
    assert text in problem.message


def test_a_job_is_read_as_aws_describes_it() -> None:
    """Times, status and duration of a job are those of its description."""
    ended = NOW.replace(hour=13)
    job = from_description(
        description(TransformJobStatus="Failed", TransformEndTime=ended, FailureReason="x")
    )
    assert (job.running, job.status, job.failure_reason, job.seconds(NOW)) == (False, "Failed", "x", 3600)


def test_a_truncated_answer_is_an_error() -> None:
    """A description without a creation time raises UnexpectedAnswerError, and so does a row of the list."""
    answer = {"TransformJobName": "night"}
    for read in (from_description, from_summary):
        with pytest.raises(UnexpectedAnswerError, match="night"):
            read(answer)
