"""Fixtures of the tests of transform jobs: a bucket, models with stub containers, and jobs."""

from __future__ import annotations

import contextlib
import itertools
import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.server import Sandbox

BUCKET = "transform-data"
ROLE = "arn:aws:iam::123456789012:role/SegdeckSandboxRole"
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"
_NUMBERS = itertools.count(1)
Archive = Callable[[Mapping[str, bytes]], bytes]


def put_model(sandbox: Sandbox, archive: bytes, role: str = ROLE) -> str:
    """Create a model from an archive; return its name."""
    name = f"transform-model-{next(_NUMBERS)}"
    s3 = sandbox.loopback.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key=f"models/{name}.tar.gz", Body=archive)
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/models/{name}.tar.gz"}
    sandbox.loopback.client("sagemaker").create_model(
        ModelName=name, PrimaryContainer=container, ExecutionRoleArn=role
    )
    return name


def request(name: str, model: str, prefix: str, **members: Any) -> dict[str, Any]:
    """Return CreateTransformJob's members for the images below s3://transform-data/PREFIX/."""
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{prefix}/"}
    whole = {
        "TransformJobName": name,
        "ModelName": model,
        "TransformInput": {"DataSource": {"S3DataSource": source}, "ContentType": "image/jpeg"},
        "TransformOutput": {"S3OutputPath": f"s3://{BUCKET}/out/{name}", "Accept": "image/png"},
        "TransformResources": {"InstanceType": "ml.g4dn.xlarge", "InstanceCount": 1},
        **members,
    }
    return {member: value for member, value in whole.items() if value is not None}


class Jobs:
    """What the tests do with transform jobs of one sandbox."""

    def __init__(
        self, sandbox: Sandbox, client: Callable[..., Any], wait: Callable[..., Any], archive: Archive
    ) -> None:
        self.sagemaker, self.logs = client("sagemaker"), client("logs")
        self.s3 = sandbox.loopback.client("s3")
        self.s3.create_bucket(Bucket=BUCKET)
        self._sandbox, self._wait, self._archive = sandbox, wait, archive
        self.made: list[str] = []

    def model(self, role: str = ROLE, files: Mapping[str, bytes] | None = None, **behavior: Any) -> str:
        """Return the name of a new model with a stub container, see tests/support/stub_container.py."""
        content = {**(files or {}), "behavior.json": json.dumps(behavior).encode()}
        return put_model(self._sandbox, self._archive(content), role)

    def images(self, *names: str, bad: tuple[str, ...] = ()) -> str:
        """Put images into S3; return the prefix that they are below. The bytes of bad ones hold "broken"."""
        prefix = f"in-{secrets.token_hex(4)}"
        for name in (*names, *bad):
            body = f"{'broken' if name in bad else 'image'} {name}".encode()
            self.s3.put_object(Bucket=BUCKET, Key=f"{prefix}/{name}", Body=body)
        return prefix

    def create(self, model: str, prefix: str, **members: Any) -> str:
        """Return the name of a new job; it is stopped after the test."""
        name = f"transform-{secrets.token_hex(4)}"
        self.sagemaker.create_transform_job(**request(name, model, prefix, **members))
        self.made.append(name)
        return name

    def finished(self, name: str) -> dict[str, Any]:
        """Return the description of a job once it has ended."""

        def probe() -> dict[str, Any] | None:
            document: dict[str, Any] = self.sagemaker.describe_transform_job(TransformJobName=name)
            return document if "TransformEndTime" in document else None

        document: dict[str, Any] = self._wait(probe, 60)
        return document

    def outputs(self, name: str) -> dict[str, bytes]:
        """Return the bytes of the output objects, by key below the output prefix."""
        prefix = f"out/{name}/"
        listed = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return {
            item["Key"].removeprefix(prefix): self.s3.get_object(Bucket=BUCKET, Key=item["Key"])[
                "Body"
            ].read()
            for item in listed
        }

    def lines(self, name: str, *, data: bool = True) -> list[str]:
        """Return the lines of the data logs without their times, or those of the containers."""
        group = {"logGroupName": "/aws/sagemaker/TransformJobs"}
        streams = self.logs.describe_log_streams(**group, logStreamNamePrefix=f"{name}/")["logStreams"]
        names = [stream["logStreamName"] for stream in streams]
        wanted = [stream for stream in names if stream.endswith("/data-log") == data]
        events = self.logs.filter_log_events(**group, logStreamNames=wanted)["events"]
        return [event["message"].partition("[sagemaker logs]: ")[2 if data else 0] for event in events]


@pytest.fixture
def jobs(
    sandbox: Sandbox, client: Callable[..., Any], eventually: Callable[..., Any], model_archive: Archive
) -> Iterator[Jobs]:
    """Transform jobs of the shared sandbox; those that still run are stopped after the test."""
    made = Jobs(sandbox, client, eventually, model_archive)
    yield made
    for name in made.made:
        with contextlib.suppress(ClientError):  # it has ended
            made.sagemaker.stop_transform_job(TransformJobName=name)
