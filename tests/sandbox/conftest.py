"""Fixtures of the sandbox's own tests."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sandbox.server import Sandbox
from tests.support.patience import WAITER, wait_until


@pytest.fixture
def sandbox(sandbox_server: Sandbox) -> Iterator[Sandbox]:
    """The shared sandbox, without faults before and after the test."""
    sandbox_server.faults.clear()
    yield sandbox_server
    sandbox_server.faults.clear()


@pytest.fixture
def client(sandbox: Sandbox, make_client: Callable[..., Any]) -> Callable[..., Any]:
    """client(service, **config) -> a boto3 client of the shared sandbox."""
    return lambda service, **config: make_client(sandbox, service, **config)


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    """eventually(probe) -> the first true value of `probe()`; fails the test after a minute."""
    return wait_until


ROLE = "arn:aws:iam::123456789012:role/SegdeckSandboxRole"
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"
DATA = "training-data"
Train = Callable[..., str]


def channel(name: str, uri: str = "") -> dict[str, Any]:
    """Return an entry of InputDataConfig."""
    source = {"S3DataType": "S3Prefix", "S3Uri": uri or f"s3://{DATA}/{name}"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def request(name: str, hyperparameters: dict[str, str], **members: Any) -> dict[str, Any]:
    """Return CreateTrainingJob's members for a small job; `members` replace some, None omits one."""
    whole = {
        "TrainingJobName": name,
        "HyperParameters": hyperparameters,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "InputDataConfig": [channel("train"), channel("train_annotation")],
        "OutputDataConfig": {"S3OutputPath": f"s3://{DATA}/out"},
        "ResourceConfig": {"InstanceType": "ml.p3.2xlarge", "InstanceCount": 1, "VolumeSizeInGB": 50},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        **members,
    }
    return {member: value for member, value in whole.items() if value is not None}


@pytest.fixture(scope="session")
def training_request(sandbox_server: Sandbox) -> Callable[..., dict[str, Any]]:
    """training_request(name, {hyperparameters}, **members) -> CreateTrainingJob's members; the data is in S3."""
    put_training_data(sandbox_server)
    return request


def put_training_data(sandbox: Any) -> None:
    """Put three objects of two channels with a common name prefix."""
    s3 = sandbox.loopback.client("s3")
    s3.create_bucket(Bucket=DATA)
    for key in ("train/0.jpg", "train/deep/1.jpg", "train_annotation/0.png"):
        s3.put_object(Bucket=DATA, Key=key, Body=key.encode())


@pytest.fixture
def train(client: Callable[..., Any], training_request: Callable[..., dict[str, Any]]) -> Iterator[Train]:
    """train(hyperparameters..., members={...}, wait=True) -> the name of a job; stopped after the test."""
    sagemaker = client("sagemaker")
    made: list[str] = []

    def make(
        name: str = "", *, members: dict[str, Any] | None = None, wait: bool = True, **hyperparameters: str
    ) -> str:
        made.append(name or f"job-{secrets.token_hex(4)}")
        sagemaker.create_training_job(**training_request(made[-1], hyperparameters, **(members or {})))
        if wait:
            waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
            waiter.wait(TrainingJobName=made[-1], WaiterConfig=WAITER)
        return made[-1]

    yield make
    for name in made:
        with contextlib.suppress(sagemaker.exceptions.ClientError):  # it has ended
            sagemaker.stop_training_job(TrainingJobName=name)


@pytest.fixture
def job(client: Callable[..., Any], eventually: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """job(name, *statuses) -> its description, once it has one of these TrainingJobStatus or SecondaryStatus."""
    sagemaker = client("sagemaker")

    def wait(name: str, *statuses: str) -> dict[str, Any]:
        def probe() -> dict[str, Any] | None:
            document: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=name)
            now = {document["TrainingJobStatus"], document["SecondaryStatus"]}
            return document if not statuses or now & set(statuses) else None

        document: dict[str, Any] = eventually(probe)
        return document

    return wait
