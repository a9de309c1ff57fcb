"""Seed a new sandbox: a role, a bucket, and the demo endpoints with their images.

Everything is created through the AWS API, as any client would. Each resource is created once per data folder (a file
there records it): a demo endpoint that was deleted does not come back at the next start.
"""

from __future__ import annotations

import contextlib
import json
import mimetypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.common.clients import Loopback

ROLE = "SegdeckSandboxRole"
POLICY = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
BUCKET = "segdeck-sandbox"
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"
INSTANCE_TYPE = "ml.g4dn.xlarge"
MARKER = "seeded.json"
DEMO_FOLDER = Path(__file__).resolve().parents[1] / "demo"
CLASSES_TAG, EXAMPLES_TAG = "segdeck:classes", "segdeck:examples"
_BUCKET_POLICY = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Action": ["s3:ListBucket", "s3:GetObject", "s3:PutObject"],
        "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"],
    },
}
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


@dataclass(frozen=True, slots=True)
class DemoEndpoint:
    """A folder below `demo/` and the endpoint that serves its model."""

    folder: str
    endpoint: str


DEMOS = (
    DemoEndpoint("coastlines", "coastlines"),
    DemoEndpoint("aerial", "aerial-land-cover"),
)  # the newest is listed first


def seed(
    loopback: Loopback, data_dir: Path, report: Callable[[str], None], *, demos: Path | None = DEMO_FOLDER
) -> list[str]:
    """Create what was not created yet; return the names of the new endpoints.

    demos: the folder of the demos; None leaves them out.
    """
    done = read_marker(data_dir / MARKER)
    if "account" not in done:
        role_arn = _role(loopback.client("iam"))
        _bucket(loopback.client("s3"))
        done["account"] = role_arn
        write_marker(data_dir / MARKER, done)
    created = []
    for demo in DEMOS if demos is not None else ():
        if demo.folder in done or demos is None:
            continue
        folder = demos / demo.folder
        if not (folder / "model.tar.gz").is_file():
            report(f"The demo {demo.folder} is left out: {folder} has no model.tar.gz.")
            continue
        _upload(loopback.client("s3"), folder, demo)
        _endpoint(loopback.client("sagemaker"), folder, demo, done["account"])
        done[demo.folder] = demo.endpoint
        write_marker(data_dir / MARKER, done)
        created.append(demo.endpoint)
    return created


def _role(iam: Any) -> str:
    """Create the execution role; return its ARN."""
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(
            RoleName=ROLE,
            AssumeRolePolicyDocument=json.dumps(_TRUST),
            Description="Execution role of all resources in the sandbox",
        )
    # As for roles in AWS; the SageMaker SDK 3 checks it with IAM before it trains.
    iam.attach_role_policy(RoleName=ROLE, PolicyArn=POLICY)
    # That policy covers only buckets with "sagemaker" in their name.
    iam.put_role_policy(RoleName=ROLE, PolicyName="SandboxBucket", PolicyDocument=json.dumps(_BUCKET_POLICY))
    arn: str = iam.get_role(RoleName=ROLE)["Role"]["Arn"]
    return arn


def _bucket(s3: Any) -> None:
    """Create the bucket."""
    with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=BUCKET)


def _upload(s3: Any, folder: Path, demo: DemoEndpoint) -> None:
    """Upload a demo's model, class names and example images."""
    files = {f"models/{demo.folder}/{name}": folder / name for name in ("model.tar.gz", "classes.json")}
    examples = sorted(path for path in (folder / "examples").glob("*") if path.is_file())
    files |= {f"examples/{demo.folder}/{path.name}": path for path in examples}
    for key, path in files.items():
        if path.is_file():
            kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            s3.upload_file(str(path), BUCKET, key, ExtraArgs={"ContentType": kind})


def _endpoint(sagemaker: Any, folder: Path, demo: DemoEndpoint, role_arn: str) -> None:
    """Create model, configuration and endpoint of one name; those of an interrupted start are kept."""
    name, model_uri = demo.endpoint, f"s3://{BUCKET}/models/{demo.folder}"
    container = {"Image": IMAGE, "ModelDataUrl": f"{model_uri}/model.tar.gz"}
    tags = [{"Key": CLASSES_TAG, "Value": f"{model_uri}/classes.json"}]
    if (folder / "examples" / "examples.json").is_file():
        tags.append({"Key": EXAMPLES_TAG, "Value": f"s3://{BUCKET}/examples/{demo.folder}/examples.json"})
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": name,
        "InstanceType": INSTANCE_TYPE,
        "InitialInstanceCount": 1,
    }
    _once(
        sagemaker,
        sagemaker.create_model,
        ModelName=name,
        PrimaryContainer=container,
        ExecutionRoleArn=role_arn,
    )
    _once(sagemaker, sagemaker.create_endpoint_config, EndpointConfigName=name, ProductionVariants=[variant])
    _once(sagemaker, sagemaker.create_endpoint, EndpointName=name, EndpointConfigName=name, Tags=tags)


def _once(sagemaker: Any, create: Callable[..., Any], **members: Any) -> None:
    """Create a resource unless it exists."""
    try:
        create(**members)
    except sagemaker.exceptions.ClientError as error:
        if "already existing" not in error.response["Error"]["Message"]:
            raise


def read_marker(path: Path) -> dict[str, str]:
    """Return what was created so far, by name."""
    done: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return done


def write_marker(path: Path, done: dict[str, str]) -> None:
    """Record what was created."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(done))
    new.replace(path)
