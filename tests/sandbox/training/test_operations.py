"""The operations on training jobs: refusals, listing, deletion and tags."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.server import Sandbox

Client = Callable[..., Any]
Train = Callable[..., str]
Request = Callable[..., dict[str, Any]]
STATUSES = ("Completed", "Failed", "Stopped")


def _code(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    error_body = error.value.response["Error"]
    return error_body["Code"], error_body["Message"]


def test_a_name_is_given_once(client: Client, training_request: Request, train: Train) -> None:
    """The same name in another case is ResourceInUse, in AWS's words with the ARN; the first job is unchanged."""
    name = train(epochs="1")
    sagemaker = client("sagemaker")
    with pytest.raises(ClientError) as caught:
        sagemaker.create_training_job(**training_request(name.upper(), {"epochs": "9"}))
    code, message = _code(caught)
    assert code == "ResourceInUse"
    assert message == (
        "Training job names must be unique within an AWS account and region, and a training job with this name "
        f"already exists (arn:aws:sagemaker:us-east-1:123456789012:training-job/{name})"
    )
    assert sagemaker.describe_training_job(TrainingJobName=name)["HyperParameters"] == {"epochs": "1"}


def manifest(**changes: Any) -> dict[str, Any]:
    """Return the member InputDataConfig with a channel on an augmented manifest, with these changes."""
    source = {"S3DataType": "AugmentedManifestFile", "S3Uri": "s3://b/m", "AttributeNames": ["source-ref"]}
    source = {name: changes.get(name, value) for name, value in source.items()}
    channel = {"ChannelName": "train", "InputMode": "Pipe", "RecordWrapperType": "RecordIO"}
    channel = {name: changes.get(name, value) for name, value in channel.items()}
    return {"InputDataConfig": [{**channel, "DataSource": {"S3DataSource": source}}]}


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"TrainingJobName": "bad_name!"}, "'trainingJobName' failed to satisfy constraint"),
        ({"RoleArn": "arn:aws:iam::1:user/me-myself-and-i"}, "'roleArn' failed to satisfy constraint"),
        ({"ResourceConfig": None}, "ResourceConfig.InstanceType is required."),
        (
            {"ResourceConfig": {"InstanceType": "ml.p3.2xlarge", "InstanceCount": 2, "VolumeSizeInGB": 5}},
            "The sandbox trains on one instance, not on 2.",
        ),
        ({"EnableManagedSpotTraining": True}, "Invalid MaxWaitTimeInSeconds. It must be present"),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 9, "MaxWaitTimeInSeconds": 9}},
            "It requires EnableManagedSpotTraining.",
        ),
        ({"CheckpointConfig": {"S3Uri": "s3://x/y", "LocalPath": "/tmp/y"}}, "not in /tmp/y"),
        ({"AlgorithmSpecification": {"TrainingInputMode": "File"}}, "must specify AlgorithmSpecification"),
        (
            {
                "AlgorithmSpecification": {
                    "TrainingImage": "semantic-segmentation:1",
                    "TrainingInputMode": "Pipe",
                }
            },
            "Pipe mode for an AugmentedManifestFile only: set the mode of channel train to File",
        ),
        (manifest(InputMode="File"), "AugmentedManifestFile can only be used in Pipe input mode"),
        (manifest(AttributeNames=[]), "Channel train reads an AugmentedManifestFile, which requires"),
        (manifest(S3DataType="S3Prefix", InputMode="File"), "AttributeNames of channel train applies to"),
        (manifest(S3DataType="S3Prefix", InputMode="File"), "RecordWrapperType of channel train applies to"),
        (
            {
                "AlgorithmSpecification": {
                    "TrainingImage": "semantic-segmentation:1",
                    "TrainingInputMode": "File",
                    "MetricDefinitions": [{"Name": "a", "Regex": "("}, {"Name": "b", "Regex": "x"}],
                }
            },
            "metric b needs a group",
        ),
        (
            {"OutputDataConfig": {"S3OutputPath": "s3://x/y", "CompressionType": "NONE"}},
            "a model.tar.gz only",
        ),
    ],
)
def test_an_invalid_job_is_refused(
    client: Client, training_request: Request, members: dict[str, Any], words: str
) -> None:
    """ValidationException names the member; no job is created."""
    whole = training_request("refused", {}, **members)
    with pytest.raises(ClientError) as caught:
        client("sagemaker").create_training_job(**whole)
    code, message = _code(caught)
    assert code == "ValidationException"
    assert words in message
    with pytest.raises(ClientError, match="Requested resource not found"):
        client("sagemaker").describe_training_job(TrainingJobName="refused")


def test_an_ended_job_cannot_be_stopped_and_a_running_one_not_deleted(client: Client, train: Train) -> None:
    """Both are refused in AWS's words; a deleted job's name is free again."""
    done, running, sagemaker = train(epochs="1"), train(wait=False, seconds="60"), client("sagemaker")
    with pytest.raises(ClientError) as caught:
        sagemaker.stop_training_job(TrainingJobName=done)
    refused = "The request was rejected because the training job is in status {}."
    assert _code(caught) == ("ValidationException", refused.format("Completed"))
    with pytest.raises(ClientError) as caught:
        sagemaker.delete_training_job(TrainingJobName=running)
    assert _code(caught) == ("ValidationException", refused.format("InProgress"))
    sagemaker.delete_training_job(TrainingJobName=done)
    with pytest.raises(ClientError, match="Requested resource not found"):
        sagemaker.describe_training_job(TrainingJobName=done)
    train(done, epochs="1")


def test_a_missing_job_is_not_found(client: Client) -> None:
    """Describe, stop, delete and update give the same error."""
    sagemaker = client("sagemaker")
    for call in ("describe", "stop", "delete", "update"):
        with pytest.raises(ClientError) as caught:
            getattr(sagemaker, f"{call}_training_job")(TrainingJobName="nowhere")
        assert _code(caught) == ("ValidationException", "Requested resource not found.")


def test_update_is_refused_with_a_reason(client: Client, train: Train) -> None:
    """The sandbox has neither a profiler nor warm pools to update."""
    with pytest.raises(ClientError, match="the profiler and warm pools only"):
        client("sagemaker").update_training_job(TrainingJobName=train(epochs="1"))


def test_tags_are_kept_and_changed(client: Client, train: Train) -> None:
    """Tags of the creation, added and deleted ones are returned by ListTags and found by Search."""
    name, sagemaker = (
        train(epochs="1", members={"Tags": [{"Key": "team", "Value": "sea"}]}),
        client("sagemaker"),
    )
    arn = sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobArn"]
    sagemaker.add_tags(
        ResourceArn=arn, Tags=[{"Key": "team", "Value": "land"}, {"Key": "note", "Value": "x"}]
    )
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["note"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "land"}]
    filters = [{"Name": "Tags.team", "Value": "land"}, {"Name": "TrainingJobName", "Value": name}]
    answer = sagemaker.search(Resource="TrainingJob", SearchExpression={"Filters": filters})
    assert answer["Results"][0]["TrainingJob"]["Tags"] == [{"Key": "team", "Value": "land"}]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox with 25 ended jobs in 25 minutes, job-00 the oldest, with rotating statuses."""
    folder: Path = tmp_path_factory.mktemp("shelf")
    with Sandbox(folder) as sandbox:
        for number in range(25):
            put_job(sandbox, f"job-{number:02}", number, STATUSES[number % 3])
        yield sandbox


def put_job(sandbox: Sandbox, name: str, minute: int, status: str) -> None:
    """Store a job as if it had ended, without running it."""
    at = datetime(2026, 11, 1, tzinfo=UTC).timestamp() + 60 * minute
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:training-job/{name}"
    times = {"CreationTime": at, "LastModifiedTime": at + 30, "TrainingEndTime": at + 30}
    sandbox._store.insert(
        "training-job",
        name,
        {"TrainingJobName": name, "TrainingJobArn": arn, "TrainingJobStatus": status, **times},
    )


def _names(answer: dict[str, Any]) -> list[str]:
    return [item["TrainingJobName"] for item in answer["TrainingJobSummaries"]]


def test_a_list_has_ten_the_newest_first(shelf: Sandbox, make_client: Client) -> None:
    """The default page; the next ones follow without gaps, even when a job is created in between."""
    sagemaker = make_client(shelf, "sagemaker")
    first = sagemaker.list_training_jobs()
    assert _names(first) == [f"job-{number:02}" for number in range(24, 14, -1)]
    put_job(shelf, "newcomer", 99, "Completed")
    second = sagemaker.list_training_jobs(NextToken=first["NextToken"])
    assert _names(second) == [f"job-{number:02}" for number in range(14, 4, -1)]
    shelf._store.delete("training-job", "newcomer")
    third = sagemaker.list_training_jobs(NextToken=second["NextToken"])
    assert (_names(third)[-1], "NextToken" in third) == ("job-00", False)


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"NameContains": "-2"}, ["job-24", "job-23", "job-22", "job-21", "job-20"]),
        ({"SortBy": "Name", "SortOrder": "Ascending", "MaxResults": 2}, ["job-00", "job-01"]),
        ({"SortBy": "Status", "SortOrder": "Ascending", "MaxResults": 1}, ["job-00"]),
        ({"StatusEquals": "Failed", "MaxResults": 3}, ["job-22"]),  # of the newest three
        ({"StatusEquals": "Failed"}, [f"job-{number:02}" for number in range(22, 0, -3)]),
        ({"CreationTimeAfter": datetime(2026, 11, 1, 0, 23, tzinfo=UTC)}, ["job-24", "job-23"]),
        ({"CreationTimeBefore": datetime(2026, 11, 1, 0, 2, tzinfo=UTC)}, ["job-01", "job-00"]),
        ({"LastModifiedTimeAfter": datetime(2026, 11, 1, 0, 24, 10, tzinfo=UTC)}, ["job-24"]),
        ({"WarmPoolStatusEquals": "Available"}, []),
    ],
)
def test_a_list_is_filtered_and_sorted_as_awss(
    shelf: Sandbox, make_client: Client, filters: dict[str, Any], names: list[str]
) -> None:
    """Filters apply before paging; only StatusEquals with MaxResults applies to the page, as AWS documents."""
    assert _names(make_client(shelf, "sagemaker").list_training_jobs(**filters)) == names


def test_a_foreign_token_is_refused(shelf: Sandbox, make_client: Client) -> None:
    """A token of another order, or any other text, is refused."""
    sagemaker = make_client(shelf, "sagemaker")
    token = sagemaker.list_training_jobs()["NextToken"]
    for filters in ({"NextToken": token, "SortBy": "Name"}, {"NextToken": "bm9uZQ=="}):
        with pytest.raises(ClientError, match="Invalid pagination token"):
            sagemaker.list_training_jobs(**filters)
