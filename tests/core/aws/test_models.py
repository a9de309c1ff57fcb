"""Models and their class names, read from a server that responds like AWS."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from core import errors
from core.aws.class_names import class_uri_with_data, class_uris_of_job, find_classes
from core.aws.models import describe_model, model_with_job, newest_models
from core.training.channels import data_channels
from core.training.job import TrainingJob, from_description

ARN = "arn:aws:sagemaker:us-east-1:123456789012:model/roads"
NAMES = json.dumps({"classes": [{"name": "water"}, {"name": "land"}]}).encode()
MODEL = {
    "ModelName": "roads",
    "ModelArn": ARN,
    "ExecutionRoleArn": "arn:aws:iam::123456789012:role/Server",
    "PrimaryContainer": {
        "Image": "1.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1",
        "ModelDataUrl": "s3://b/roads/model.tar.gz",
        "Environment": {"A": "1"},
    },
}
DENIED = (400, "AccessDeniedException", "not authorized to perform: sagemaker:Some")
MISSING = (404, "NoSuchKey", "The specified key does not exist.")


def job(**changes: Any) -> TrainingJob:
    at = datetime.fromtimestamp(1_790_000_000, UTC)
    described = {
        "TrainingJobName": "roads-7",
        "TrainingJobArn": "arn:aws:sagemaker:us-east-1:123456789012:training-job/roads-7",
        "TrainingJobStatus": "Completed",
        "CreationTime": at,
        "LastModifiedTime": at,
        "ModelArtifacts": {"S3ModelArtifacts": "s3://b/out/roads-7/output/model.tar.gz"},
    }
    return replace(from_description(described), channels=data_channels("s3://b/data/"), **changes)


def test_the_newest_models_by_one_call(canned_server: Any) -> None:
    """One call returns the newest hundred names; a response without them is not an empty list."""
    canned_server.says(
        canned_server.json({"Models": [{"ModelName": "b"}, {"ModelName": "a"}], "NextToken": "more"})
    )
    assert newest_models(canned_server.clients()) == ("b", "a")
    assert [name for name, _ in canned_server.asked] == ["ListModels"]
    for answer in ({}, {"Models": [{"ModelArn": "b"}]}):
        canned_server.says(canned_server.json(answer))
        with pytest.raises(errors.UnexpectedAnswerError):
            newest_models(canned_server.clients())


def test_a_model_tells_what_it_serves(canned_server: Any) -> None:
    """Image, artifact, role and environment are those of its container, also if it is one of several."""
    canned_server.says(canned_server.json(MODEL))
    found = describe_model(canned_server.clients(), "roads")
    assert (found.model_uri, found.role_arn) == ("s3://b/roads/model.tar.gz", MODEL["ExecutionRoleArn"])
    assert found.environment == {"A": "1"}
    several = {key: value for key, value in MODEL.items() if key != "PrimaryContainer"}
    canned_server.says(canned_server.json(several | {"Containers": [MODEL["PrimaryContainer"]]}))
    assert replace(describe_model(canned_server.clients(), "roads"), request=found.request) == found


def test_a_model_has_the_request_that_created_it(canned_server: Any) -> None:
    """Everything that CreateModel accepts is read, such as the VPC and network isolation, and nothing else."""
    settings = {
        "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["s-1"]},
        "EnableNetworkIsolation": True,
    }
    canned_server.says(canned_server.json(MODEL | settings))
    accepted = {key: value for key, value in MODEL.items() if key != "ModelArn"}
    assert describe_model(canned_server.clients(), "roads").request == accepted | settings


def test_a_model_with_its_job(canned_server: Any) -> None:
    """The job is that of the model's tag; if the tags may not be read, the model has no job."""
    tags = canned_server.json({"Tags": [{"Key": "segdeck:job", "Value": "roads-7"}]})
    canned_server.says(canned_server.json(MODEL), tags)
    model = model_with_job(canned_server.clients(), "roads")
    assert (model.job, model.tags) == ("roads-7", {"segdeck:job": "roads-7"})
    canned_server.says(canned_server.json(MODEL), canned_server.error(*DENIED))
    assert model_with_job(canned_server.clients(), "roads").job == ""


def test_where_a_job_has_its_class_names() -> None:
    """First by its tag, then next to its artifact, then with its data; each URI once."""
    beside, data = "s3://b/out/roads-7/output/classes.json", "s3://b/data/classes.json"
    assert class_uris_of_job(job()) == (beside, data)
    assert class_uris_of_job(job(tags={"segdeck:classes": "s3://b/own.json"})) == (
        "s3://b/own.json",
        beside,
        data,
    )
    assert class_uris_of_job(job(tags={"segdeck:classes": beside})) == (beside, data)
    assert class_uri_with_data(job()) == data
    assert class_uris_of_job(job(model_uri=None)) == (data,)


def test_the_first_place_that_has_them(canned_server: Any) -> None:
    """A URI without class names is skipped silently; an unreadable one gets a note."""
    canned_server.says(canned_server.error(*MISSING), canned_server.mask(NAMES))
    found = find_classes(canned_server.clients(), ("s3://b/a.json", "s3://b/b.json"))
    assert (found.classes and found.classes.names, found.uri, found.notes) == (
        ("water", "land"),
        "s3://b/b.json",
        (),
    )
    canned_server.says(canned_server.mask(b"{"), canned_server.mask(NAMES))
    found = find_classes(canned_server.clients(), ("s3://b/a.json", "s3://b/b.json"))
    assert found.uri == "s3://b/b.json"
    assert "s3://b/a.json cannot be read" in found.notes[0]


def test_no_class_names_at_all(canned_server: Any) -> None:
    """No class names at all is not an error; a failing AWS is."""
    canned_server.says(canned_server.error(*MISSING))
    assert find_classes(canned_server.clients(), ("s3://b/a.json",)).classes is None
    assert find_classes(canned_server.clients(), ()).uri == ""
    canned_server.says(canned_server.error(503, "SlowDown", "Please reduce your request rate."))
    with pytest.raises(errors.AwsError):
        find_classes(canned_server.clients(), ("s3://b/a.json",))
