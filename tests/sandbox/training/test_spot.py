"""Spot training in the sandbox: checkpoints in S3, interruptions, missing capacity, and what is billed."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.__main__ import main
from sandbox.common.limits import SandboxLimits
from sandbox.http.faults import Faults
from sandbox.rehearse import RefusedError, call
from sandbox.server import Sandbox
from sandbox.training import status
from tests.sandbox.conftest import DATA, put_training_data
from tests.sandbox.conftest import request as training

Job = Callable[..., dict[str, Any]]
GROUP = "/aws/sagemaker/TrainingJobs"
NUMBERS = itertools.count(1)
INTERRUPTED = ["Starting", "Downloading", "Training", "Interrupted", "Starting", "Downloading", "Training"]


@pytest.fixture(scope="module")
def spot(
    tmp_path_factory: pytest.TempPathFactory,
    stub_programs: dict[str, list[str]],
    stub_training_programs: dict[str, list[str]],
) -> Iterator[Sandbox]:
    """A sandbox that requests another spot instance soon after an interruption, in strict mode."""
    limits = SandboxLimits(spot_restart_seconds=0.2, training_jobs=8, strict=True)
    with Sandbox(
        tmp_path_factory.mktemp("spot"),
        programs=stub_programs,
        training_programs=stub_training_programs,
        limits=limits,
    ) as sandbox:
        put_training_data(sandbox)
        yield sandbox


@pytest.fixture
def rules(spot: Sandbox) -> Iterator[Faults]:
    """The rules on instances, removed after the test."""
    yield spot.faults
    spot.faults.clear()


def _start(spot: Sandbox, *, checkpoints: str | None = "", wait: int = 3600, **hyperparameters: str) -> str:
    """Start a spot job and return its name. checkpoints: a prefix; "" for one of its own; None for none."""
    name = f"spot-{next(NUMBERS)}"
    members: dict[str, Any] = {
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": min(wait, 3600), "MaxWaitTimeInSeconds": wait},
    }
    if checkpoints is not None:
        members["CheckpointConfig"] = {"S3Uri": f"s3://{DATA}/{checkpoints or name}/saved"}
    request = training(name, {"epochs": "4", **hyperparameters}, **members)
    spot.loopback.client("sagemaker").create_training_job(**request)
    return name


def _until(spot: Sandbox, eventually: Callable[..., Any], name: str, *states: str) -> dict[str, Any]:
    """Return a job's description once it has one of these statuses."""
    sagemaker = spot.loopback.client("sagemaker")

    def probe() -> dict[str, Any] | None:
        document: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=name)
        return document if {document["TrainingJobStatus"], document["SecondaryStatus"]} & {*states} else None

    document: dict[str, Any] = eventually(probe)
    return document


def _passed(document: dict[str, Any]) -> list[str]:
    """Return the statuses in order, without repetitions that differ in their message."""
    return [
        name for name, _ in itertools.groupby(document["SecondaryStatusTransitions"], lambda x: x["Status"])
    ]


def _epochs(spot: Sandbox, name: str) -> list[int]:
    """Return the epochs in a job's log, in order."""
    events = spot.loopback.client("logs").filter_log_events(
        logGroupName=GROUP, logStreamNamePrefix=f"{name}/"
    )["events"]
    found = (re.search(r"epoch=(\d+), validation mIOU", event["message"]) for event in events)
    return [int(match[1]) for match in found if match]


def _keys(spot: Sandbox, prefix: str) -> list[str]:
    listing = spot.loopback.client("s3").list_objects_v2(Bucket=DATA, Prefix=prefix)
    return [item["Key"].rpartition("/")[2] for item in listing.get("Contents", ())]


def test_an_interrupted_job_resumes_from_its_checkpoint(
    spot: Sandbox, rules: Faults, eventually: Callable[..., Any]
) -> None:
    """It passes AWS's statuses, repeats no epoch that was saved, and is billed for less than it trained."""
    rules.add("interrupt", resource="spot-.*", times=1, after_checkpoint=True)
    name = _start(spot, hold="1")
    document = _until(spot, eventually, name, "Completed", "Failed")
    assert _passed(document) == [*INTERRUPTED, "Uploading", "Completed"]
    assert _epochs(spot, name) == [0, 1, 2, 3]
    assert _keys(spot, f"{name}/saved/") == [f"epoch-{number:04}.json" for number in range(4)]
    steps = document["SecondaryStatusTransitions"]
    assert document["TrainingStartTime"] == steps[1]["StartTime"]
    assert all(first["EndTime"] == second["StartTime"] for first, second in itertools.pairwise(steps))
    on_instance = sum(
        (step["EndTime"] - step["StartTime"]).total_seconds()
        for step in steps
        if step["Status"] in {"Downloading", "Training", "Uploading"}
    )
    assert document["TrainingTimeInSeconds"] == max(1, math.ceil(on_instance))
    assert document["BillableTimeInSeconds"] == max(
        1, math.ceil(document["TrainingTimeInSeconds"] * status.SPOT_SHARE)
    )
    streams = spot.loopback.client("logs").describe_log_streams(
        logGroupName=GROUP, logStreamNamePrefix=f"{name}/"
    )
    assert len(streams["logStreams"]) in {1, 2}  # one if both instances started in the same second


def test_without_checkpoints_it_starts_over(
    spot: Sandbox, rules: Faults, eventually: Callable[..., Any]
) -> None:
    """Without a CheckpointConfig, the first epoch is trained again."""
    name = _start(spot, checkpoints=None, seconds="600")
    eventually(lambda: _epochs_or_none(spot, name) == [0])
    rules.add("interrupt", resource=name, times=1)
    eventually(lambda: _epochs(spot, name) == [0, 0])
    spot.loopback.client("sagemaker").stop_training_job(TrainingJobName=name)
    document = _until(spot, eventually, name, "Stopped", "Failed")
    assert _passed(document) == [*INTERRUPTED, "Stopping", "Uploading", "Stopped"]


def _epochs_or_none(spot: Sandbox, name: str) -> list[int]:
    try:
        return _epochs(spot, name)
    except ClientError:  # the log group comes with the first line
        return []


def test_another_job_resumes_from_the_same_prefix(spot: Sandbox, eventually: Callable[..., Any]) -> None:
    """Checkpoints of an earlier job under the same S3Uri are restored; what the program deletes is deleted in S3."""
    first = _start(spot, checkpoints="shared", epochs="2")
    _until(spot, eventually, first, "Completed")
    second = _start(spot, checkpoints="shared", epochs="3")
    _until(spot, eventually, second, "Completed")
    assert _epochs(spot, second) == [2]
    assert _keys(spot, "shared/saved/") == ["epoch-0000.json", "epoch-0001.json", "epoch-0002.json"]


def test_the_local_path_is_where_the_program_saves(spot: Sandbox, eventually: Callable[..., Any]) -> None:
    """LocalPath reaches the program in checkpointconfig.json, and is described; one outside of /opt/ml is refused."""
    sagemaker = spot.loopback.client("sagemaker")
    config = {"S3Uri": f"s3://{DATA}/elsewhere", "LocalPath": "/opt/ml/state/"}
    sagemaker.create_training_job(**training("local-path", {"epochs": "1"}, CheckpointConfig=config))
    document = _until(spot, eventually, "local-path", "Completed", "Failed")
    assert document["CheckpointConfig"] == config
    assert _keys(spot, "elsewhere/") == ["epoch-0000.json"]
    assert document["BillableTimeInSeconds"] == document["TrainingTimeInSeconds"]  # it is no spot job
    for path in ("/tmp/checkpoints", "/opt/ml", "/opt/ml/model", "/opt/ml/a/../model"):
        config["LocalPath"] = path
        with pytest.raises(ClientError, match=f"not in {path}"):
            sagemaker.create_training_job(**training("refused", {}, CheckpointConfig=config))
    with pytest.raises(ClientError, match=r'CheckpointConfig\.S3Uri is "s3://none-such/x", but the bucket'):
        sagemaker.create_training_job(
            **training("refused", {}, CheckpointConfig={"S3Uri": "s3://none-such/x"})
        )


def test_the_maximum_wait_ends_a_job_that_finds_no_capacity(
    spot: Sandbox, rules: Faults, eventually: Callable[..., Any]
) -> None:
    """After an interruption it waits in Starting, with AWS's message, then ends with MaxWaitTimeExceeded."""
    rules.add("interrupt", resource="spot-.*", times=1, capacity_seconds=600)
    name = _start(spot, wait=8, seconds="600")
    waiting = _until(spot, eventually, name, "Starting", "Stopped")
    document = _until(spot, eventually, name, "Stopped")
    assert _passed(document) == [*INTERRUPTED[:5], "Stopping", "MaxWaitTimeExceeded"]
    assert document["SecondaryStatusTransitions"][5]["StatusMessage"] == status.NO_CAPACITY
    assert "ModelArtifacts" not in document
    assert waiting["TrainingJobStatus"] == "InProgress"


def test_the_maximum_wait_stops_a_job_that_trains(spot: Sandbox, eventually: Callable[..., Any]) -> None:
    """The program gets SIGTERM and its model is kept, as at the maximum run time."""
    name = _start(spot, checkpoints=None, wait=2, epochs="1", seconds="600")
    document = _until(spot, eventually, name, "Stopped", "Completed")
    assert document["SecondaryStatus"] in {"MaxWaitTimeExceeded", "MaxRuntimeExceeded"}
    assert _passed(document)[-3:-1] == ["Stopping", "Uploading"]
    assert document["ModelArtifacts"]["S3ModelArtifacts"]


def test_a_job_can_be_stopped_while_it_waits_for_capacity(
    spot: Sandbox, rules: Faults, eventually: Callable[..., Any]
) -> None:
    """StopTrainingJob ends the wait, and without an instance nothing is billed."""
    rules.add("capacity", resource="ml.p3.2xlarge")
    name = _start(spot)
    eventually(lambda: ("capacity", "ml.p3.2xlarge") in rules.hits)
    spot.loopback.client("sagemaker").stop_training_job(TrainingJobName=name)
    document = _until(spot, eventually, name, "Stopped")
    assert _passed(document) == ["Starting", "Stopping", "Stopped"]
    assert "BillableTimeInSeconds" not in document


def test_missing_capacity(spot: Sandbox, rules: Faults, eventually: Callable[..., Any]) -> None:
    """On demand, a job and an endpoint fail with AWS's words; a spot job waits, and trains when there is capacity."""
    call(spot.address, "SetCapacity", {"InstanceType": "ml.p3.2xlarge", "Available": False})
    sagemaker, waiting = spot.loopback.client("sagemaker"), _start(spot)
    sagemaker.create_training_job(**training("on-demand", {}))
    failed = _until(spot, eventually, "on-demand", "Failed", "Completed")
    assert failed["FailureReason"].startswith(
        "CapacityError: Unable to provision requested ML compute capacity."
    )
    assert _passed(failed) == ["Starting", "Failed"]
    assert _until(spot, eventually, waiting, "Starting")["SecondaryStatus"] == "Starting"
    answer = call(spot.address, "SetCapacity", {"InstanceType": "ml.p3.2xlarge", "Available": True})
    assert answer == {"InstanceType": "ml.p3.2xlarge", "WasMissing": True}
    assert _passed(_until(spot, eventually, waiting, "Completed"))[:2] == ["Starting", "Downloading"]


def test_an_endpoint_without_capacity_fails(
    spot: Sandbox, rules: Faults, make_endpoint: Callable[..., str], eventually: Callable[..., Any]
) -> None:
    """It is Failed with AWS's words."""
    rules.add("capacity", resource="ml.g4dn.*")
    name, sagemaker = make_endpoint(spot, wait=False), spot.loopback.client("sagemaker")

    def failed() -> Any:
        document = sagemaker.describe_endpoint(EndpointName=name)
        return document if document["EndpointStatus"] == "Failed" else None

    assert "due to InsufficientInstanceCapacity error" in eventually(failed)["FailureReason"]


def test_a_checkpoint_that_cannot_be_copied_fails_the_job(
    spot: Sandbox, rules: Faults, eventually: Callable[..., Any]
) -> None:
    """A job whose checkpoints are not in S3 would lose everything at an interruption."""
    rules.add("error", service="s3", operation=f"PUT /{DATA}/.*/saved/.*", code="AccessDenied", status=403)
    name = _start(spot, seconds="60")
    document = _until(spot, eventually, name, "Failed", "Completed")
    assert document["FailureReason"].startswith("ClientError: Checkpoint upload failed: ")
    assert "AccessDenied" in document["FailureReason"]


def test_only_spot_jobs_that_run_are_interrupted(spot: Sandbox, eventually: Callable[..., Any]) -> None:
    """Anything else is refused with the reason."""
    sagemaker = spot.loopback.client("sagemaker")
    sagemaker.create_training_job(**training("plain", {"seconds": "60"}))
    for name, reason in (
        ("plain", "it does not use spot capacity"),
        ("none-such", "There is no training job none-such."),
    ):
        with pytest.raises(RefusedError, match=reason):
            call(spot.address, "InterruptTrainingJob", {"TrainingJobName": name})
    sagemaker.stop_training_job(TrainingJobName="plain")
    _until(spot, eventually, "plain", "Stopped")
    with pytest.raises(RefusedError, match="it is Stopped"):
        call(spot.address, "InterruptTrainingJob", {"TrainingJobName": "plain"})
    for params in ({}, {"TrainingJobName": 3}, {"TrainingJobName": "plain", "AfterCheckpoint": "yes"}):
        with pytest.raises(RefusedError):
            call(spot.address, "InterruptTrainingJob", params)
    with pytest.raises(RefusedError, match="The sandbox has no DropTables"):
        call(spot.address, "DropTables", {})


def test_the_commands_act_on_the_running_sandbox(
    spot: Sandbox, rules: Faults, eventually: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """`interrupt` and `capacity` report what happens now; a refusal and a missing sandbox exit with 1."""
    spot.announce()
    data = ["--data", str(spot._state_dir.folder)]
    name = _start(spot, hold="0")
    assert main([*data, "interrupt", name, "--after-checkpoint"]) == 0
    assert "is interrupted once it trains and has a checkpoint in S3" in capsys.readouterr().out
    assert "Interrupted" in _passed(_until(spot, eventually, name, "Completed"))
    assert main(["capacity", "ml.g5.xlarge", "none", "--seconds", "9", *data]) == 0
    assert capsys.readouterr().out.startswith("No ml.g5.xlarge can be launched, for 9 s.")
    assert main(["capacity", "ml.g5.xlarge", "available", *data]) == 0
    assert main(["interrupt", name, *data]) == 1
    assert "cannot be interrupted: it is Completed" in capsys.readouterr().err
    spot.withdraw()
    assert main(["interrupt", name, *data]) == 1
    assert "No sandbox is running" in capsys.readouterr().err


def test_an_assumed_role_may_not_rehearse(spot: Sandbox) -> None:
    """The sandbox's own operations need its own key: no policy of a role allows them."""
    iam, trust = (
        spot.loopback.client("iam"),
        (
            '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", '
            '"Principal": {"AWS": "*"}}]}'
        ),
    )
    arn = iam.create_role(RoleName="Admin", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    policy = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
    iam.put_role_policy(RoleName="Admin", PolicyName="all", PolicyDocument=policy)
    keys = spot.loopback.client("sts").assume_role(RoleArn=arn, RoleSessionName="rehearsal")["Credentials"]
    with pytest.raises(RefusedError, match="not authorized"):
        call(
            spot.address,
            "SetCapacity",
            {"InstanceType": "ml.g5.xlarge", "Available": False},
            (keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"]),
        )


def test_listing_jobs_is_throttled_in_strict_mode(spot: Sandbox, make_client: Callable[..., Any]) -> None:
    """More than two ListTrainingJobs per second are refused with ThrottlingException; other operations are not."""
    sagemaker = make_client(spot, "sagemaker")

    def list_often() -> None:
        for _ in range(1000):
            sagemaker.list_training_jobs()

    with pytest.raises(ClientError) as caught:
        list_often()
    assert caught.value.response["Error"] == {"Code": "ThrottlingException", "Message": "Rate exceeded"}
    for _ in range(5):
        sagemaker.list_models()
