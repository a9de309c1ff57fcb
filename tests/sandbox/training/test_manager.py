"""The lifecycle of training jobs, seen with boto3: statuses, files, logs, artifacts, every kind of end."""

from __future__ import annotations

import io
import itertools
import json
import os
import signal
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.common.limits import SandboxLimits
from sandbox.server import Sandbox

Client = Callable[..., Any]
Train = Callable[..., str]
Job = Callable[..., dict[str, Any]]
GROUP = "/aws/sagemaker/TrainingJobs"
BUCKET = "training-data"


def _passed(document: dict[str, Any]) -> list[str]:
    return [step["Status"] for step in document["SecondaryStatusTransitions"]]


def _lines(client: Client, name: str) -> list[str]:
    logs = client("logs")
    events = logs.filter_log_events(logGroupName=GROUP, logStreamNamePrefix=f"{name}/")["events"]
    return [event["message"] for event in events]


def _printed(client: Client, name: str) -> list[str]:
    """Return what a job's program has printed so far; the log group comes with the first line."""
    with suppress(ClientError):
        return _lines(client, name)
    return []


def _start(client: Client, eventually: Callable[..., Any], name: str) -> dict[str, Any]:
    """Return what the stub prints about itself in its first line."""
    line = eventually(lambda: next((x for x in _printed(client, name) if x.startswith('{"pid"')), None))
    report: dict[str, Any] = json.loads(line)
    return report


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_job_goes_through_its_statuses_to_its_artifact(client: Client, train: Train, job: Job) -> None:
    """Starting, Downloading, Training, Uploading and Completed have their times, and the artifact exists."""
    name = train(epochs="3")
    document = job(name)
    assert (document["TrainingJobStatus"], document["SecondaryStatus"]) == ("Completed", "Completed")
    assert _passed(document) == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    steps = document["SecondaryStatusTransitions"]
    assert all(first["EndTime"] == second["StartTime"] for first, second in itertools.pairwise(steps))
    assert steps[-1]["EndTime"] == document["TrainingEndTime"] == document["LastModifiedTime"]
    assert steps[1]["StartTime"] == document["TrainingStartTime"]
    assert document["BillableTimeInSeconds"] == document["TrainingTimeInSeconds"] >= 1
    uri = document["ModelArtifacts"]["S3ModelArtifacts"]
    assert uri == f"s3://{BUCKET}/out/{name}/output/model.tar.gz"
    body = client("s3").get_object(Bucket=BUCKET, Key=f"out/{name}/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        assert sorted(tar.getnames()) == ["hyperparams.json", "model_algo-1", "model_best.params"]


def test_the_defaults_of_aws_are_described(train: Train, job: Job) -> None:
    """DescribeTrainingJob has the defaults that the SDKs read, and no artifact before there is one."""
    name = train(wait=False, seconds="60")
    document = job(name, "Training")
    assert document["OutputDataConfig"]["KmsKeyId"] == ""
    assert "ModelArtifacts" not in document
    assert "BillableTimeInSeconds" not in document
    assert document["InputDataConfig"][0]["CompressionType"] == "None"
    names = [item["Name"] for item in document["AlgorithmSpecification"]["MetricDefinitions"]]
    assert names == ["train:loss", "train:throughput", "validation:mIOU", "validation:pixel_accuracy"]
    assert document["EnableManagedSpotTraining"] is False


def test_the_program_finds_the_files_of_a_container(
    client: Client, train: Train, eventually: Callable[..., Any]
) -> None:
    """Channels are in input/data under their keys; hyperparameters are text; no credentials are passed."""
    name = train(epochs="1", crop_size="240")
    report = _start(client, eventually, name)
    assert report["hyperparameters"] == {"epochs": "1", "crop_size": "240"}
    data = ["input/data/train/0.jpg", "input/data/train/deep/1.jpg", "input/data/train_annotation/0.png"]
    assert report["files"] == data
    assert report["environ"]["TRAINING_JOB_NAME"] == name
    assert report["environ"]["TRAINING_JOB_ARN"].endswith(f":training-job/{name}")
    assert not [variable for variable in report["environ"] if "SECRET" in variable or "TOKEN" in variable]
    streams = client("logs").describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=f"{name}/")
    assert streams["logStreams"][0]["logStreamName"].startswith(f"{name}/algo-1-1")


def test_the_log_is_whole_when_the_job_has_ended(client: Client, train: Train) -> None:
    """When a job is Completed, its last line is in the log."""
    lines = _lines(client, train(epochs="40", seconds="0"))
    assert lines[-1].endswith("completed 100 % of epochs")
    assert len([line for line in lines if "mIOU" in line]) == 40


def test_metrics_are_reported_while_it_runs(train: Train, job: Job, eventually: Callable[..., Any]) -> None:
    """FinalMetricDataList has the last value of each metric, and is updated while the job runs."""
    name = train(wait=False, seconds="60")

    def metrics() -> dict[str, float]:
        return {item["MetricName"]: item["Value"] for item in job(name).get("FinalMetricDataList", [])}

    eventually(lambda: len(metrics()) == 4)  # they arrive line by line
    assert metrics() == {
        "train:loss": 1.0,
        "train:throughput": 30.0,
        "validation:mIOU": pytest.approx(0.1),
        "validation:pixel_accuracy": pytest.approx(0.8),
    }


def test_output_data_is_uploaded_too(client: Client, train: Train) -> None:
    """The content of output/data becomes output.tar.gz, of a failed job, too; without content there is none."""
    with_data, without = train(epochs="1", data="figures.json"), train(epochs="1")
    keys = [item["Key"] for item in client("s3").list_objects_v2(Bucket=BUCKET, Prefix="out/")["Contents"]]
    assert f"out/{with_data}/output/output.tar.gz" in keys
    assert f"out/{without}/output/output.tar.gz" not in keys


def test_a_stopped_job_keeps_what_it_had(
    client: Client, train: Train, job: Job, eventually: Callable[..., Any]
) -> None:
    """StopTrainingJob leads to Stopping, SIGTERM, the partial model in S3, and Stopped."""
    name = train(wait=False, seconds="60")
    _start(client, eventually, name)  # the program listens to SIGTERM before it prints
    client("sagemaker").stop_training_job(TrainingJobName=name)
    assert job(name)["TrainingJobStatus"] in {"Stopping", "Stopped"}
    document = job(name, "Stopped")
    assert document["SecondaryStatus"] == "Stopped"
    assert _passed(document)[-4:] == ["Training", "Stopping", "Uploading", "Stopped"]
    client("s3").head_object(Bucket=BUCKET, Key=f"out/{name}/output/model.tar.gz")
    assert document["ModelArtifacts"]["S3ModelArtifacts"].endswith(f"{name}/output/model.tar.gz")


def test_a_job_stopped_while_it_downloads_never_trains(
    client: Client, sandbox: Sandbox, train: Train, job: Job, eventually: Callable[..., Any]
) -> None:
    """Stopping follows Downloading, and Stopped follows Stopping."""
    sandbox.faults.add("delay", operation=f"GET /{BUCKET}/train/0.jpg", seconds=600)
    name = train(wait=False)
    job(name, "Downloading")
    eventually(lambda: sandbox.faults.hits)  # the status comes before the first request of the download
    client("sagemaker").stop_training_job(TrainingJobName=name)
    job(name, "Stopping")
    sandbox.faults.clear()
    document = job(name, "Stopped")
    assert _passed(document) == ["Starting", "Downloading", "Stopping", "Stopped"]
    assert "ModelArtifacts" not in document


def test_the_time_limit_stops_a_job(train: Train, job: Job) -> None:
    """MaxRuntimeInSeconds leads to SIGTERM, a saved model, and Stopped with MaxRuntimeExceeded."""
    name = train(members={"StoppingCondition": {"MaxRuntimeInSeconds": 1}}, seconds="60")
    document = job(name)
    assert (document["TrainingJobStatus"], document["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert _passed(document)[2:] == ["Training", "Stopping", "Uploading", "MaxRuntimeExceeded"]
    assert document["ModelArtifacts"]["S3ModelArtifacts"]


@pytest.mark.parametrize(
    ("hyperparameters", "reason"),
    [
        (
            {"fail": "num_classes: 'x' is not an integer"},
            "ClientError: num_classes: 'x' is not an integer, exit code: 2",
        ),
        ({"fail": "it broke", "code": "1"}, "AlgorithmError: it broke, exit code: 1"),
        ({"fail": "ClientError: twice"}, "ClientError: twice, exit code: 2"),
        ({"kill": "1", "epochs": "1"}, "AlgorithmError: , exit code: 137"),
        ({"fail": "long " * 400}, f"ClientError: {'long ' * 199}long, exit code: 2"),
    ],
)
def test_a_failed_program_gives_awss_failure_reason(
    train: Train, job: Job, hyperparameters: dict[str, str], reason: str
) -> None:
    """The reason is output/failure with the exit code; 2 is a ClientError, a signal is 128 plus its number."""
    name = train(wait=False, **hyperparameters)
    document = job(name, "Failed", "Completed")
    assert document["FailureReason"][:900] == reason[:900]
    assert len(document["FailureReason"]) <= 1024
    assert document["FailureReason"].endswith(reason.rpartition(", ")[2])
    assert "ModelArtifacts" not in document
    assert _passed(document)[-2:] == ["Uploading", "Failed"]
    assert document["BillableTimeInSeconds"] >= 1


def test_missing_data_fails_the_job(train: Train, job: Job) -> None:
    """A prefix without objects, or a missing bucket, is the reason, and no program was started."""
    reasons = []
    for uri in (f"s3://{BUCKET}/nothing/", "s3://no-such-bucket/train"):
        source = {"S3DataType": "S3Prefix", "S3Uri": uri}
        members = {"InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}]}
        document = job(train(wait=False, members=members), "Failed")
        reasons.append(document["FailureReason"])
        assert _passed(document) == ["Starting", "Downloading", "Failed"]
    assert reasons[0].startswith(f'ClientError: No S3 objects found under S3 URL "s3://{BUCKET}/nothing/"')
    assert reasons[1].startswith("ClientError: Data download failed:NoSuchBucket (404): ")


def test_an_unknown_image_fails_the_job(train: Train, job: Job) -> None:
    """The reason names the image and the available ones."""
    image = {"TrainingImage": "123.dkr.ecr.us-east-1.amazonaws.com/other:1", "TrainingInputMode": "File"}
    document = job(train(wait=False, members={"AlgorithmSpecification": image}), "Failed")
    assert document["FailureReason"].startswith(
        "ClientError: No program on this machine stands for the image"
    )
    assert "MetricDefinitions" not in document["AlgorithmSpecification"]


def test_an_artifact_that_cannot_be_uploaded_fails_the_job(
    client: Client, train: Train, job: Job, eventually: Callable[..., Any]
) -> None:
    """Completed means that the model is in S3."""
    client("s3").create_bucket(Bucket="deleted-later")
    members = {"OutputDataConfig": {"S3OutputPath": "s3://deleted-later/out"}}
    name = train(wait=False, epochs="1", seconds="60", members=members)
    _start(client, eventually, name)  # the program listens to SIGTERM before it prints
    client("s3").delete_bucket(Bucket="deleted-later")
    client("sagemaker").stop_training_job(TrainingJobName=name)
    document = job(name, "Failed", "Completed", "Stopped")
    assert document["FailureReason"].startswith("ClientError: Artifact upload failed: ")
    assert "NoSuchBucket" in document["FailureReason"]


def test_children_of_a_program_end_with_it(
    client: Client, train: Train, job: Job, eventually: Callable[..., Any]
) -> None:
    """A child that ignores signals is gone when the job has ended."""
    name = train(epochs="1", child="1")
    pid = next(int(line.split()[1]) for line in _lines(client, name) if line.startswith("child "))
    eventually(lambda: _gone(pid))
    assert job(name)["TrainingJobStatus"] == "Completed"


@pytest.fixture
def small(
    tmp_path: Path,
    stub_training_programs: dict[str, list[str]],
    training_request: Callable[..., dict[str, Any]],
) -> Callable[[], Sandbox]:
    """small() -> a sandbox on one folder that trains one job at a time, and waits for none; not started."""

    def make() -> Sandbox:
        limits = SandboxLimits(
            training_jobs=1, training_stop_seconds=0.3, stop_seconds=0.3, utilization_seconds=0.2
        )
        return Sandbox(tmp_path, training_programs=stub_training_programs, limits=limits)

    return make


def _create(
    sandbox: Sandbox, training_request: Callable[..., dict[str, Any]], name: str, **members: Any
) -> None:
    hyperparameters = members.pop("hyperparameters", {"seconds": "60"})
    sagemaker = sandbox.loopback.client("sagemaker")
    sandbox.loopback.client("s3").create_bucket(Bucket=BUCKET)
    sagemaker.create_training_job(**training_request(name, hyperparameters, InputDataConfig=None, **members))


def _until(sandbox: Sandbox, eventually: Callable[..., Any], name: str, *statuses: str) -> dict[str, Any]:
    sagemaker = sandbox.loopback.client("sagemaker")

    def probe() -> dict[str, Any] | None:
        document: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=name)
        return (
            document if {document["TrainingJobStatus"], document["SecondaryStatus"]} & set(statuses) else None
        )

    document: dict[str, Any] = eventually(probe)
    return document


def test_jobs_above_the_limit_wait_for_their_turn(
    small: Callable[[], Sandbox],
    training_request: Callable[..., dict[str, Any]],
    eventually: Callable[..., Any],
) -> None:
    """They wait in Starting, with the reason, in the order of creation; a stopped one leaves the queue."""
    with small() as sandbox:
        sagemaker = sandbox.loopback.client("sagemaker")
        sandbox.loopback.client("s3").create_bucket(Bucket=BUCKET)
        for name in ("first", "second", "third", "fourth"):
            _create(sandbox, training_request, name)
        _until(sandbox, eventually, "first", "Training")
        waiting = _until(sandbox, eventually, "third", "Starting")
        steps = eventually(
            lambda: _until(sandbox, eventually, "third", "Starting")["SecondaryStatusTransitions"][1:]
        )
        assert steps[0]["StatusMessage"] == "Waiting in the queue: this machine trains 1 at a time."
        assert "TrainingStartTime" not in waiting
        sagemaker.stop_training_job(TrainingJobName="second")
        stopped = _until(sandbox, eventually, "second", "Stopped")
        assert _passed(stopped)[-2:] == ["Stopping", "Stopped"]
        assert "BillableTimeInSeconds" not in stopped
        sagemaker.stop_training_job(TrainingJobName="first")
        _until(sandbox, eventually, "third", "Training")
        assert _until(sandbox, eventually, "fourth", "Starting")["TrainingJobStatus"] == "InProgress"


def test_a_spot_job_waits_no_longer_than_it_may(
    small: Callable[[], Sandbox],
    training_request: Callable[..., dict[str, Any]],
    eventually: Callable[..., Any],
) -> None:
    """MaxWaitTimeInSeconds ends the waiting with Stopped and MaxWaitTimeExceeded."""
    with small() as sandbox:
        _create(sandbox, training_request, "first")
        _until(sandbox, eventually, "first", "Training")
        limits = {"MaxRuntimeInSeconds": 1, "MaxWaitTimeInSeconds": 1}
        _create(sandbox, training_request, "spot", StoppingCondition=limits, EnableManagedSpotTraining=True)
        document = _until(sandbox, eventually, "spot", "Stopped")
        assert document["SecondaryStatus"] == "MaxWaitTimeExceeded"


def test_a_program_that_ignores_sigterm_is_killed(
    small: Callable[[], Sandbox],
    training_request: Callable[..., dict[str, Any]],
    eventually: Callable[..., Any],
) -> None:
    """After the grace period it gets SIGKILL, and the job is Stopped."""
    with small() as sandbox:
        _create(sandbox, training_request, "deaf", hyperparameters={"stubborn": "1", "epochs": "1"})
        _until(sandbox, eventually, "deaf", "Training")
        logs = sandbox.loopback.client("logs")
        eventually(lambda: logs.describe_log_groups()["logGroups"])
        sandbox.loopback.client("sagemaker").stop_training_job(TrainingJobName="deaf")
        document = _until(sandbox, eventually, "deaf", "Stopped")
        assert "ModelArtifacts" not in document


def test_a_restart_fails_running_jobs_and_queues_waiting_ones(
    small: Callable[[], Sandbox],
    training_request: Callable[..., dict[str, Any]],
    eventually: Callable[..., Any],
) -> None:
    """After a restart a job that ran has Failed, one that waited is trained, and no process remains."""
    with small() as sandbox:
        sandbox.loopback.client("s3").create_bucket(Bucket=BUCKET)
        stubborn = {"stubborn": "1", "seconds": "60", "child": "1"}
        _create(sandbox, training_request, "running", hyperparameters=stubborn)
        _until(sandbox, eventually, "running", "Training")
        _create(sandbox, training_request, "waiting", hyperparameters={"epochs": "1"})
        logs = sandbox.loopback.client("logs")
        eventually(lambda: logs.describe_log_groups()["logGroups"])

        def messages() -> list[str]:
            return [event["message"] for event in logs.filter_log_events(logGroupName=GROUP)["events"]]

        eventually(lambda: len(messages()) >= 2)
        child, report = messages()[:2]
        pids = [int(child.removeprefix("child ")), json.loads(report)["pid"]]
    eventually(lambda: all(map(_gone, pids)))
    with small() as sandbox:
        document = _until(sandbox, eventually, "running", "Failed")
        assert (
            document["FailureReason"]
            == "InternalServerError: the sandbox was restarted while this job was running"
        )
        assert document["TrainingEndTime"] > document["TrainingStartTime"]
        assert _until(sandbox, eventually, "waiting", "Completed")["ModelArtifacts"]


def test_a_killed_program_fails_its_job_only(
    client: Client, train: Train, job: Job, eventually: Callable[..., Any]
) -> None:
    """SIGKILL from outside gives Failed with exit code 137, as after an out-of-memory kill."""
    name = train(wait=False, seconds="60")
    os.kill(_start(client, eventually, name)["pid"], signal.SIGKILL)
    assert job(name, "Failed")["FailureReason"] == "AlgorithmError: , exit code: 137"


def test_use_of_the_machine_is_published(
    small: Callable[[], Sandbox],
    training_request: Callable[..., dict[str, Any]],
    eventually: Callable[..., Any],
) -> None:
    """CPUUtilization and MemoryUtilization, in percent, under the job's host."""
    with small() as sandbox:
        _create(sandbox, training_request, "busy")
        cloudwatch = sandbox.loopback.client("cloudwatch")

        def names() -> set[str]:
            dimension = {"Name": "Host", "Value": "busy/algo-1"}
            metrics = cloudwatch.list_metrics(Namespace=GROUP, Dimensions=[dimension])["Metrics"]
            return {item["MetricName"] for item in metrics if "Utilization" in item["MetricName"]}

        eventually(lambda: names() == {"CPUUtilization", "MemoryUtilization"})
