"""Transform jobs as values: a job as AWS reports it, and the spec of a job to start. No network.

Limits and defaults: SageMaker API reference, CreateTransformJob.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from core.endpoints.spec import ARM_FAMILY, INSTANCE, processor, tag_rows
from core.errors import UnexpectedAnswerError
from core.training.hyperparameters import Problem
from core.wire.decode import PNG, RECORDIO

Kind = Literal["mask", "probabilities"]

ENDED = ("Completed", "Failed", "Stopped")
STATUS_WORDS = {
    "InProgress": "is running",
    "Completed": "has completed",
    "Failed": "has failed",
    "Stopping": "is stopping",
    "Stopped": "was stopped",
}
ACCEPTS: Mapping[Kind, str] = {"mask": PNG, "probabilities": RECORDIO}
JPEG = "image/jpeg"
"""The only input that the algorithm documents (developer guide, "Semantic Segmentation Algorithm")."""

NAME = re.compile(r"[a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62}", re.ASCII)
MAX_PAYLOAD_MB = 100
"""Of one object, and of all concurrent ones together."""

DEFAULT_PAYLOAD_MB = 6
MAX_TIMEOUT_SECONDS = 3600
MAX_RETRIES = 3
MAX_INSTANCES = 100
TIMEOUT_SECONDS, RETRIES = 120, 1
"""AWS's own defaults are 600 s and 3 retries: a container that hangs would bill for 40 minutes."""

MANIFEST = "ManifestFile"
PREFIX = "S3Prefix"
NOT_REQUESTED = (
    "TransformJobArn",
    "TransformJobStatus",
    "FailureReason",
    "CreationTime",
    "TransformStartTime",
    "TransformEndTime",
    "LabelingJobArn",
    "AutoMLJobArn",
    "ResponseMetadata",
)
"""Fields of DescribeTransformJob that CreateTransformJob does not accept."""

OWN = (
    "TransformJobName",
    "ModelName",
    "MaxConcurrentTransforms",
    "ModelClientConfig",
    "MaxPayloadInMB",
    "BatchStrategy",
    "TransformInput",
    "TransformOutput",
    "TransformResources",
    "Tags",
)
"""Fields of CreateTransformJob that a spec writes itself."""


@dataclass(frozen=True, slots=True)
class TransformJob:
    """One transform job. Times are aware, UTC.

    status:      AWS's value; unknown ones are kept.
    input_uri:   an S3 prefix, or a manifest: see input_type.
    accept:      the content type of the outputs; empty for the container's default, RecordIO-protobuf.
    request:     all that CreateTransformJob would need to start it again.
    summary:     whether only its name, status and times are known, as ListTransformJobs reports them.
    """

    name: str
    arn: str
    status: str
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    failure_reason: str = ""
    model: str = ""
    instance_type: str = ""
    instance_count: int = 0
    input_uri: str = ""
    input_type: str = ""
    output_uri: str = ""
    accept: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)
    summary: bool = False

    @property
    def running(self) -> bool:
        """Return whether it may still change; also true for unknown statuses."""
        return self.status not in ENDED

    @property
    def kind(self) -> Kind:
        """Return what its outputs are."""
        return "mask" if self.accept.partition(";")[0].strip().lower() == PNG else "probabilities"

    def seconds(self, now: datetime) -> float:
        """Return how long its instances have run, up to now if it has not ended; 0 before the start."""
        if self.started_at is None:
            return 0.0
        return max(0.0, ((self.ended_at or now) - self.started_at).total_seconds())


@dataclass(frozen=True, slots=True)
class BatchSpec:
    """A transform job to start. `check_spec` validates it.

    input_uri:    an S3 prefix that ends in /, or a manifest.
    manifest:     whether it is a manifest.
    output_uri:   an S3 prefix; the mask of a/x.jpg is written to a/x.jpg.out below it.
    concurrency:  requests to one instance at a time.
    payload_mb:   largest object, in MB of 1,048,576 bytes.
    kind:         masks as PNG, or probabilities as RecordIO-protobuf.
    timeout_seconds, retries: of one request to the container.
    output_kms_key, volume_kms_key: empty for the keys of the bucket and of AWS.
    carried:      other settings, of the job that this is a copy of.
    """

    name: str
    model: str
    input_uri: str
    output_uri: str
    instance_type: str
    manifest: bool = False
    instance_count: int = 1
    concurrency: int = 2
    payload_mb: int = DEFAULT_PAYLOAD_MB
    kind: Kind = "mask"
    timeout_seconds: int = TIMEOUT_SECONDS
    retries: int = RETRIES
    output_kms_key: str = ""
    volume_kms_key: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    carried: Mapping[str, Any] = field(default_factory=dict)


def status_in_words(job: TransformJob) -> str:
    """Return a job's status as a verb phrase, such as "is running"."""
    return STATUS_WORDS.get(job.status, f"is {job.status}")


def from_description(answer: Mapping[str, Any]) -> TransformJob:
    """Read DescribeTransformJob's response. Raises UnexpectedAnswerError without a name or a creation time."""
    data = answer.get("TransformInput") or {}
    output, resources = answer.get("TransformOutput") or {}, answer.get("TransformResources") or {}
    source = (data.get("DataSource") or {}).get("S3DataSource") or {}
    name, created = _identity(answer)
    return TransformJob(
        name=name,
        arn=answer.get("TransformJobArn", ""),
        status=answer.get("TransformJobStatus") or "Unknown",
        created_at=created,
        started_at=_utc(answer.get("TransformStartTime")),
        ended_at=_utc(answer.get("TransformEndTime")),
        failure_reason=answer.get("FailureReason") or "",
        model=answer.get("ModelName", ""),
        instance_type=resources.get("InstanceType", ""),
        instance_count=resources.get("InstanceCount") or 1,
        input_uri=source.get("S3Uri", ""),
        input_type=source.get("S3DataType", ""),
        output_uri=output.get("S3OutputPath", ""),
        accept=output.get("Accept") or "",
        request={key: value for key, value in answer.items() if key not in NOT_REQUESTED},
    )


def from_summary(row: Mapping[str, Any]) -> TransformJob:
    """Read a row of ListTransformJobs. Raises UnexpectedAnswerError without a name or a creation time."""
    name, created = _identity(row)
    return TransformJob(
        name=name,
        arn=row.get("TransformJobArn", ""),
        status=row.get("TransformJobStatus") or "Unknown",
        created_at=created,
        ended_at=_utc(row.get("TransformEndTime")),
        failure_reason=row.get("FailureReason") or "",
        summary=True,
    )


def to_request(spec: BatchSpec) -> dict[str, Any]:
    """Return the parameters of CreateTransformJob. Nothing is left to AWS's defaults."""
    return {
        "TransformJobName": spec.name,
        "ModelName": spec.model,
        "MaxConcurrentTransforms": spec.concurrency,
        "ModelClientConfig": {
            "InvocationsTimeoutInSeconds": spec.timeout_seconds,
            "InvocationsMaxRetries": spec.retries,
        },
        "MaxPayloadInMB": spec.payload_mb,
        "BatchStrategy": "SingleRecord",
        "TransformInput": {
            "DataSource": {
                "S3DataSource": {"S3DataType": MANIFEST if spec.manifest else PREFIX, "S3Uri": spec.input_uri}
            },
            "ContentType": JPEG,
            "CompressionType": "None",
            "SplitType": "None",
        },
        "TransformOutput": {
            "S3OutputPath": spec.output_uri,
            "Accept": ACCEPTS[spec.kind],
            "AssembleWith": "None",
            **({"KmsKeyId": spec.output_kms_key} if spec.output_kms_key else {}),
        },
        "TransformResources": {
            **spec.carried.get("TransformResources", {}),
            "InstanceType": spec.instance_type,
            "InstanceCount": spec.instance_count,
            **({"VolumeKmsKeyId": spec.volume_kms_key} if spec.volume_kms_key else {}),
        },
        **{key: value for key, value in spec.carried.items() if key != "TransformResources"},
        "Tags": tag_rows(spec.tags),
    }


def clone_spec(job: TransformJob, name: str, tags: Mapping[str, str] | None = None) -> BatchSpec:
    """Return the spec of the same job under a new name. tags: of the job, which DescribeTransformJob leaves out."""
    request = job.request
    resources, output = request.get("TransformResources") or {}, request.get("TransformOutput") or {}
    client = request.get("ModelClientConfig") or {}
    kept = ("InstanceType", "InstanceCount", "VolumeKmsKeyId")
    machine = {key: value for key, value in resources.items() if key not in kept}
    carried = {key: value for key, value in request.items() if key not in OWN and value}
    return BatchSpec(
        name=name,
        model=job.model,
        input_uri=job.input_uri,
        output_uri=job.output_uri,
        instance_type=job.instance_type,
        manifest=job.input_type == MANIFEST,
        instance_count=job.instance_count,
        concurrency=request.get("MaxConcurrentTransforms") or 1,
        payload_mb=request.get("MaxPayloadInMB") or DEFAULT_PAYLOAD_MB,
        kind=job.kind,
        timeout_seconds=client.get("InvocationsTimeoutInSeconds", TIMEOUT_SECONDS),
        retries=client.get("InvocationsMaxRetries", RETRIES),
        output_kms_key=output.get("KmsKeyId") or "",
        volume_kms_key=resources.get("VolumeKmsKeyId") or "",
        tags={key: text for key, text in (tags or {}).items() if not key.startswith("aws:")},
        carried=carried | ({"TransformResources": machine} if machine else {}),
    )


def check_spec(spec: BatchSpec) -> list[Problem]:
    """Return what is wrong with a spec; errors are what AWS rejects."""
    checks = (
        (
            "name",
            NAME.fullmatch(spec.name),
            f"The job's name is {spec.name!r}; use 1 to 63 letters, digits and hyphens.",
        ),
        ("model", spec.model, "No model is chosen."),
        (
            "input_uri",
            re.fullmatch(r"s3://[^/]+(/.*)?", spec.input_uri),
            f"The input is {spec.input_uri!r}; use an S3 URI such as s3://bucket/images/.",
        ),
        (
            "output_uri",
            re.fullmatch(r"s3://[^/]+(/.*)?", spec.output_uri),
            f"The output is {spec.output_uri!r}; use an S3 URI such as s3://bucket/masks/.",
        ),
        (
            "instance_type",
            INSTANCE.fullmatch(spec.instance_type),
            f"The instance type is {spec.instance_type!r}; use one such as ml.g4dn.xlarge.",
        ),
        _range("instance_count", "instance count", spec.instance_count, 1, MAX_INSTANCES),
        _range("concurrency", "number of concurrent requests", spec.concurrency, 1, MAX_PAYLOAD_MB),
        _range("payload_mb", "payload limit in MB", spec.payload_mb, 1, MAX_PAYLOAD_MB),
        _range("timeout_seconds", "timeout in seconds", spec.timeout_seconds, 1, MAX_TIMEOUT_SECONDS),
        _range("retries", "number of retries", spec.retries, 0, MAX_RETRIES),
        (
            "concurrency",
            spec.concurrency * spec.payload_mb <= MAX_PAYLOAD_MB,
            f"{spec.concurrency} concurrent requests of {spec.payload_mb} MB exceed AWS's limit of 100 MB together.",
        ),
    )
    problems = [Problem(field, text) for field, valid, text in checks if not valid]
    return [*problems, *_instance_warnings(spec)]


def _range(field: str, what: str, value: int, low: int, high: int) -> tuple[str, bool, str]:
    return field, low <= value <= high, f"The {what} is {value}; set it to {low} to {high}."


def _instance_warnings(spec: BatchSpec) -> list[Problem]:
    match = INSTANCE.fullmatch(spec.instance_type)
    if match is None:
        return []
    if ARM_FAMILY.fullmatch(match["family"]):
        text = f"{spec.instance_type} has an ARM processor, but the algorithm's image is for x86: it would not start."
        return [Problem("instance_type", text, "warning")]
    if processor(spec.instance_type) == "CPU":
        text = (
            f"{spec.instance_type} has no GPU. Users report batch transform jobs of this algorithm that hang on CPU "
            "instances (sagemaker-python-sdk #2084). A GPU instance such as ml.g4dn.xlarge is faster and safer."
        )
        return [Problem("instance_type", text, "warning")]
    return []


def _identity(answer: Mapping[str, Any]) -> tuple[str, datetime]:
    name, created = answer.get("TransformJobName"), _utc(answer.get("CreationTime"))
    if not name or created is None:
        raise UnexpectedAnswerError(
            f"SageMaker's response for {name or 'a transform job'} lacks its name or creation time.",
            why=f"It contains {', '.join(sorted(answer)) or 'no fields'}.",
            todo="Try again; a proxy may have truncated the response.",
        )
    return name, created


def _utc(at: datetime | None) -> datetime | None:
    """Convert to UTC: botocore returns local times."""
    if at is None:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
