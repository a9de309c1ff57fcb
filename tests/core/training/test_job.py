"""Training jobs, from and to the dicts of the AWS API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import botocore.loaders
import botocore.model
import botocore.validate
import pytest

from core.errors import InputError, UnexpectedAnswerError
from core.training.channels import Channel, data_channels, folder
from core.training.hyperparameters import HYPERPARAMETERS
from core.training.job import (
    TrainingSpec,
    clone_spec,
    continue_spec,
    from_description,
    status_in_words,
    to_request,
)

SAGEMAKER = botocore.model.ServiceModel(
    botocore.loaders.Loader().load_service_model("sagemaker", "service-2")
)
CREATE = SAGEMAKER.operation_model("CreateTrainingJob").input_shape
T0 = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def answer(**changes: Any) -> dict[str, Any]:
    """Return DescribeTrainingJob's response for a completed job."""
    return {
        "TrainingJobName": "roads-7",
        "TrainingJobArn": "arn:aws:sagemaker:us-east-1:123456789012:training-job/roads-7",
        "TrainingJobStatus": "Completed",
        "SecondaryStatus": "Completed",
        "CreationTime": T0,
        "TrainingStartTime": T0 + timedelta(minutes=3),
        "TrainingEndTime": T0 + timedelta(minutes=33),
        "LastModifiedTime": T0 + timedelta(minutes=34),
        "ResourceConfig": {"InstanceType": "ml.g4dn.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 50},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200},
        "EnableManagedSpotTraining": True,
        "BillableTimeInSeconds": 540,
        "TrainingTimeInSeconds": 1800,
        "AlgorithmSpecification": {
            "TrainingImage": "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "validation:mIOU", "Regex": "mIOU=(.*)"}],
        },
        "HyperParameters": {
            "num_classes": "6",
            "num_training_samples": "96",
            "algorithm": "psp",
            "epochs": "12",
        },
        "InputDataConfig": [
            {
                "ChannelName": "train",
                "ContentType": "image/jpeg",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/d/train"}},
            }
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://b/out"},
        "ModelArtifacts": {"S3ModelArtifacts": "s3://b/out/roads-7/output/model.tar.gz"},
        "RoleArn": "arn:aws:iam::123456789012:role/Trainer",
        "FinalMetricDataList": [{"MetricName": "validation:mIOU", "Value": 0.75, "Timestamp": T0}],
        "SecondaryStatusTransitions": [
            {
                "Status": "Starting",
                "StartTime": T0,
                "EndTime": T0 + timedelta(seconds=90),
                "StatusMessage": "…",
            },
            {"Status": "Training", "StartTime": T0 + timedelta(seconds=90)},
        ],
        "Tags": [{"Key": "team", "Value": "maps"}, {"Key": "aws:x", "Value": "y"}],
    } | changes


def spec(**changes: Any) -> TrainingSpec:
    """Return a valid spec."""
    usual = TrainingSpec(
        name="roads-8",
        role_arn="arn:aws:iam::123456789012:role/Trainer",
        image="811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1",
        instance_type="ml.g4dn.xlarge",
        hyperparameters={"num_classes": "6", "num_training_samples": "96"},
        channels=data_channels("s3://bucket/datasets/aerial"),
        output_uri="s3://bucket/out",
    )
    return replace(usual, **changes)


def test_a_description_becomes_a_job() -> None:
    """Every field that AWS returns for a job is in the value."""
    job = from_description(answer())
    assert (job.name, job.status, job.created_at, job.started_at) == (
        "roads-7", "Completed", T0, T0 + timedelta(minutes=3),
    )  # fmt: skip
    assert (job.instance_type, job.instance_count, job.volume_gb, job.spot) == ("ml.g4dn.xlarge", 1, 50, True)
    assert (job.max_runtime_seconds, job.max_wait_seconds) == (3600, 7200)
    assert (job.billable_seconds, job.training_seconds) == (540, 1800)
    assert (job.algorithm, job.backbone, job.epochs) == ("psp", "resnet-50", 12)
    assert job.channels == (Channel("train", "s3://b/d/train", "image/jpeg"),)
    assert job.channel("train") == job.channels[0]
    assert job.channel("model") is None
    assert job.model_uri == "s3://b/out/roads-7/output/model.tar.gz"
    assert job.final_metrics == {"validation:mIOU": 0.75}
    assert job.metric_definitions[0].regex == "mIOU=(.*)"
    assert [step.status for step in job.transitions] == ["Starting", "Training"]
    assert job.transitions[0].seconds(T0) == 90
    assert job.transitions[1].seconds(T0 + timedelta(seconds=100)) == 10
    assert job.tags["team"] == "maps"
    assert job.failure_reason is None
    assert job.is_semantic_segmentation
    assert not job.running


@pytest.mark.parametrize("missing", sorted(set(answer()) - {"TrainingJobName", "CreationTime"}))
@pytest.mark.parametrize("drop", [lambda d, k: d.pop(k), lambda d, k: d.__setitem__(k, None)])
def test_fields_may_be_missing(missing: str, drop: Callable[[dict[str, Any], str], Any]) -> None:
    """Anything but the name and the creation time may be missing, or null."""
    partial = answer()
    drop(partial, missing)
    assert from_description(partial).name == "roads-7"


@pytest.mark.parametrize(
    "broken", [{}, {"TrainingJobName": "a"}, {"TrainingJobName": "", "CreationTime": T0}]
)
def test_an_empty_response_is_an_error(broken: dict[str, Any]) -> None:
    """A response without a name or a time, such as a truncated one, is an UnexpectedAnswerError."""
    with pytest.raises(UnexpectedAnswerError):
        from_description(broken)


def test_times_are_utc() -> None:
    """A time in another zone is converted to UTC; a time without a zone is UTC."""
    there = T0.astimezone(timezone(timedelta(hours=9)))
    assert from_description(answer(CreationTime=there)).created_at == T0
    assert from_description(answer(CreationTime=there)).created_at.tzinfo is UTC
    assert from_description(answer(CreationTime=T0.replace(tzinfo=None))).created_at == T0


@pytest.mark.parametrize(
    ("status", "ended", "running"),
    [
        ("InProgress", None, True), ("Stopping", None, True), ("Hibernating", None, True),
        ("Hibernating", T0, False), ("Completed", T0, False), ("Failed", None, False), ("Stopped", T0, False),
    ],
)  # fmt: skip
def test_a_job_runs_until_it_has_ended(status: str, ended: datetime | None, running: bool) -> None:
    """A job is running until its status or its end time says otherwise, also with an unknown status."""
    assert from_description(answer(TrainingJobStatus=status, TrainingEndTime=ended)).running is running


@pytest.mark.parametrize(
    ("status", "secondary", "words"),
    [
        ("InProgress", "Downloading", "downloading the data"),
        ("InProgress", "Dreaming", "running"),
        ("Odd", "Odd", "Odd"),
        ("Completed", "Completed", "completed"),
        ("Stopped", "MaxRuntimeExceeded", "stopped at its maximum run time"),
    ],
)
def test_a_status_has_words(status: str, secondary: str, words: str) -> None:
    """A status is shown in words; an unknown status is shown as it is."""
    job = from_description(answer(TrainingJobStatus=status, SecondaryStatus=secondary, TrainingEndTime=None))
    assert status_in_words(job) == words


@pytest.mark.parametrize(
    ("image", "ours"),
    [
        ("811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1", True),
        ("1.dkr.ecr.cn-north-1.amazonaws.com.cn/semantic-segmentation@sha256:00", True),
        ("semantic-segmentation", True),
        ("1.dkr.ecr.us-east-1.amazonaws.com/my-semantic-segmentation:1", False),
        ("1.dkr.ecr.us-east-1.amazonaws.com/xgboost:1", False),
        ("", False),
    ],
)
def test_the_algorithm_is_known_by_its_repository(image: str, ours: bool) -> None:
    """A job is semantic segmentation if its image is in the repository of that name."""
    job = from_description(answer(AlgorithmSpecification={"TrainingImage": image}))
    assert job.is_semantic_segmentation is ours


def test_quoted_hyperparameters_are_read() -> None:
    """Quoted values, as older SDKs send them, are read without the quotes; an invalid number of epochs is None."""
    job = from_description(answer(HyperParameters={"algorithm": '"deeplab"', "epochs": "many"}))
    assert (job.algorithm, job.epochs) == ("deeplab", None)


def test_seconds_are_counted_until_now_or_the_end() -> None:
    """The seconds of a running job count up to now, of one not started are 0, of an ended one are AWS's."""
    now = T0 + timedelta(minutes=10)
    running = {"TrainingJobStatus": "InProgress", "TrainingEndTime": None, "TrainingTimeInSeconds": None}
    assert from_description(answer(**running)).seconds(now) == 420
    assert from_description(answer(**running, TrainingStartTime=None)).seconds(now) == 0
    assert from_description(answer()).seconds(now) == 1800
    assert from_description(answer(TrainingTimeInSeconds=None)).seconds(now) == 1800


def valid(request: dict[str, Any]) -> str:
    """Return botocore's validation report for a CreateTrainingJob request; "" if it is valid."""
    return botocore.validate.ParamValidator().validate(request, CREATE).generate_report()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"spot": True, "max_wait_seconds": 90_000, "checkpoint_uri": "s3://bucket/checkpoints/"},
        {"tags": {"b": "2", "a": "1"}, "input_mode": "Pipe"},
        {"channels": (*data_channels("s3://b/d"), Channel("model", "s3://b/model.tar.gz"))},
    ],
)
def test_botocore_accepts_the_request(changes: dict[str, Any]) -> None:
    """A request passes botocore's validation of CreateTrainingJob."""
    assert valid(to_request(spec(**changes))) == ""


def test_every_hyperparameter_is_sent() -> None:
    """A request contains every hyperparameter that has a default, so that a changed default has no effect."""
    sent = to_request(spec(hyperparameters={"num_classes": "6", "num_training_samples": "96", "epochs": "3"}))
    names = {row.name for row in HYPERPARAMETERS if row.default is not None or row.required}
    assert set(sent["HyperParameters"]) == names - {"lr_scheduler_step"}
    assert (sent["HyperParameters"]["epochs"], sent["HyperParameters"]["crop_size"]) == ("3", "240")
    assert all(isinstance(value, str) for value in sent["HyperParameters"].values())


def test_prefixes_end_with_a_slash() -> None:
    """`train` is sent as `train/`, so that it does not match `train_annotation/`; an object URI is unchanged."""
    channels = (Channel("train", "s3://b/d/train"), Channel("model", "s3://b/model.tar.gz"))
    sent = to_request(spec(channels=channels))["InputDataConfig"]
    uris = [row["DataSource"]["S3DataSource"]["S3Uri"] for row in sent]
    assert uris == ["s3://b/d/train/", "s3://b/model.tar.gz"]
    assert [folder(uri) for uri in ("s3://b", "s3://b/a/", "s3://b/m.json", "s3://b/v1.2")] == [
        "s3://b/", "s3://b/a/", "s3://b/m.json", "s3://b/v1.2/",
    ]  # fmt: skip


def test_channels_have_content_types() -> None:
    """Images are image/jpeg, masks image/png, and a model has AWS's own type and uses File mode."""
    channels = (Channel("model", "s3://b/model.tar.gz"), *data_channels("s3://b/d/"))
    sent = to_request(spec(channels=channels, input_mode="Pipe"))["InputDataConfig"]
    assert [(row["ChannelName"], row["ContentType"], row.get("InputMode")) for row in sent] == [
        ("train", "image/jpeg", None),
        ("validation", "image/jpeg", None),
        ("train_annotation", "image/png", None),
        ("validation_annotation", "image/png", None),
        ("model", "application/x-sagemaker-model", "File"),
    ]


def test_only_a_spot_job_waits() -> None:
    """MaxWaitTimeInSeconds is sent only for spot jobs, and defaults to the maximum run time."""
    assert to_request(spec(max_wait_seconds=9))["StoppingCondition"] == {"MaxRuntimeInSeconds": 86_400}
    waits = to_request(spec(spot=True))["StoppingCondition"]
    assert waits == {"MaxRuntimeInSeconds": 86_400, "MaxWaitTimeInSeconds": 86_400}


def test_a_request_does_not_depend_on_order() -> None:
    """The same spec gives the same request, in whatever order its parts were given."""
    one = spec(tags={"a": "1", "b": "2"})
    turned = replace(
        one,
        tags={"b": "2", "a": "1"},
        channels=one.channels[::-1],
        hyperparameters=dict(reversed(one.hyperparameters.items())),
    )
    assert str(to_request(turned)) == str(to_request(one))


def test_a_clone_has_the_same_settings() -> None:
    """A clone has the job's settings under a new name, without AWS's tags and a tuning job's extras."""
    hyper = {"num_classes": "6", "_tuning_objective_metric": "validation:mIOU"}
    clone = clone_spec(from_description(answer(HyperParameters=hyper)), "roads-9")
    assert (clone.name, clone.instance_type, clone.max_wait_seconds) == ("roads-9", "ml.g4dn.xlarge", 7200)
    assert clone.hyperparameters == {"num_classes": "6"}
    assert clone.tags == {"team": "maps"}
    again = from_description(to_request(clone) | {"CreationTime": T0})
    assert clone_spec(again, "roads-9").channels[0].uri == "s3://b/d/train/"


def test_an_incremental_job_reads_the_earlier_model() -> None:
    """An incremental job reads the earlier model, and sets explicitly what that job left to defaults."""
    job = from_description(answer())
    again = continue_spec(job, "roads-9")
    assert again.channel("model") == Channel(
        "model", "s3://b/out/roads-7/output/model.tar.gz", "application/x-sagemaker-model", "File"
    )
    assert (again.hyperparameters["backbone"], again.hyperparameters["crop_size"]) == ("resnet-50", "240")
    assert len(continue_spec(replace(job, channels=again.channels)).channels) == len(again.channels)


def test_a_job_without_a_model_cannot_be_continued() -> None:
    """A job without a model cannot be continued; the error says why."""
    job = from_description(answer(ModelArtifacts={}, TrainingJobStatus="Failed"))
    with pytest.raises(InputError, match="It is failed"):
        continue_spec(job)
