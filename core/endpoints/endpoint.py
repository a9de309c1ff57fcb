"""Endpoints as values, read from SageMaker API responses. No network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from core.errors import NotReadyError, UnexpectedAnswerError
from core.imaging.classes import Classes

IN_SERVICE = "InService"

CLASSES_TAG = "segdeck:classes"
"""Endpoint tag: the S3 URI of its `classes.json`."""

EXAMPLES_TAG = "segdeck:examples"
"""Endpoint tag: the S3 URI of an `examples.json`."""

JOB_TAG = "segdeck:job"
"""Model and endpoint tag: the training job that the artifact came from."""

STATUS_WORDS = {
    "Creating": "being created",
    "InService": "in service",
    "Updating": "being updated",
    "SystemUpdating": "being updated by AWS",
    "RollingBack": "being rolled back",
    "Deleting": "being deleted",
    "Failed": "in a failed state",
    "OutOfService": "out of service",
    "UpdateRollbackFailed": "in a failed state after a rollback",
}
"""EndpointStatus of botocore 1.44's service model. AWS may add more; an unknown one is shown as it is."""

FAILED = ("Failed", "OutOfService", "UpdateRollbackFailed")
CHANGING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
"""Statuses in which AWS accepts no other change."""

NOT_REQUESTED = ("EndpointConfigArn", "CreationTime", "ResponseMetadata")
"""Fields of DescribeEndpointConfig that CreateEndpointConfig does not accept (botocore 1.44)."""

MODEL_NOT_REQUESTED = ("ModelArn", "CreationTime", "DeploymentRecommendation", "ResponseMetadata")
"""Fields of DescribeModel that CreateModel does not accept (botocore 1.44)."""

REFUSING = ("Creating", "Deleting", "Failed", "OutOfService")
"""Statuses in which it accepts no requests. During an update or rollback, the old variants keep serving."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A production variant.

    instance_type:  such as "ml.g4dn.xlarge"; empty for a serverless one, and if the configuration was not read.
    count:          current instances; None if AWS does not report it.
    model:          the name of SageMaker's Model; empty if the configuration was not read.
    weight:         its share of the calls is this divided by the sum of all weights; None if AWS does not report it.
    desired_weight, desired_count: the target of a change; None if AWS does not report it.
    serverless:     whether it has no instances.
    """

    name: str
    instance_type: str
    count: int | None
    model: str
    weight: float | None = None
    desired_weight: float | None = None
    desired_count: int | None = None
    serverless: bool = False


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """An endpoint configuration. AWS never changes one, so it can be cached indefinitely.

    variants: with their initial counts and weights.
    request:  the CreateEndpointConfig request for the same configuration; do not modify its lists and mappings.
    """

    name: str
    arn: str
    created_at: datetime
    variants: tuple[Variant, ...]
    request: Mapping[str, Any]

    @property
    def models(self) -> tuple[str, ...]:
        """Return the names of the models, each once."""
        return tuple(dict.fromkeys(variant.model for variant in self.variants if variant.model))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint, as Search and DescribeEndpoint return it.

    status:                  SageMaker's value, such as "InService"; unknown ones are kept.
    created_at, modified_at: aware, UTC.
    failure_reason:          AWS's message; empty if nothing failed.
    config:                  the name of its configuration; empty if read from ListEndpoints.
    variants:                without instance types and models, which only the configuration has: see `with_config`.
    tags:                    returned by Search, but not by DescribeEndpoint.
    """

    name: str
    arn: str
    status: str
    created_at: datetime
    modified_at: datetime
    failure_reason: str = ""
    config: str = ""
    variants: tuple[Variant, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def in_service(self) -> bool:
        """Return whether it is up to date, and accepts requests."""
        return self.status == IN_SERVICE

    @property
    def changing(self) -> bool:
        """Return whether a change is in progress, so that it accepts no other."""
        return self.status in CHANGING

    @property
    def failed(self) -> bool:
        """Return whether it, or the rollback of its last update, has failed."""
        return self.status in FAILED

    @property
    def job(self) -> str:
        """Return the training job that its model came from, by its tag; empty if it has no such tag."""
        return self.tags.get(JOB_TAG, "")

    def variant(self, name: str) -> Variant | None:
        """Return a variant by name; None if there is none."""
        return next((variant for variant in self.variants if variant.name == name), None)


@dataclass(frozen=True, slots=True)
class EndpointList:
    """The account's endpoints, newest first.

    complete: False if there are more than were requested, or time ran out.
    notes:    sentences about what could not be read.
    """

    endpoints: tuple[Endpoint, ...]
    complete: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EndpointInfo:
    """One endpoint, with all that is needed for inference.

    status:         SageMaker's value, such as "InService".
    failure_reason: AWS's message; empty if nothing failed.
    variants:       in AWS's order; empty if the configuration may not be read.
    image:          the container image of the first variant; empty if it may not be read.
    model_uri:      the first variant's `model.tar.gz`; empty if unknown.
    aws_algorithm:  whether the image is AWS's own semantic segmentation; None if it may not be read.
    classes:        names and colors; None if the model has none.
    examples_uri:   the S3 URI of `examples.json`; None if there is none.
    notes:          sentences about what could not be read; they are not errors.
    config:         its configuration's name and creation time, which change with the model.
    job:            the training job in its tag; empty if there is none.
    classes_uri:    the class names' S3 URI in its tag; None if there is none.
    """

    name: str
    status: str
    failure_reason: str = ""
    variants: tuple[Variant, ...] = ()
    image: str = ""
    model_uri: str = ""
    aws_algorithm: bool | None = None
    classes: Classes | None = None
    examples_uri: str | None = None
    notes: tuple[str, ...] = ()
    config: str = ""
    job: str = ""
    classes_uri: str | None = None

    @property
    def in_service(self) -> bool:
        """Return whether it accepts requests."""
        return self.status == IN_SERVICE


def in_words(status: str) -> str:
    """Return an endpoint's status in words, such as "being created"."""
    return STATUS_WORDS.get(status, status)


def not_ready(name: str, status: str, reason: str) -> NotReadyError | None:
    """Return why an endpoint accepts no requests; None if it accepts them (also during an update)."""
    if status not in REFUSING:
        return None
    return NotReadyError(
        f"The endpoint {name} is not in service: it is {in_words(status)}.",
        why=reason,
        todo="Wait until it is in service, then try again."
        if status == "Creating"
        else "Choose another endpoint.",
        code=status,
    )


def endpoint_from(record: Mapping[str, Any]) -> Endpoint:
    """Read DescribeEndpoint's response, a row of ListEndpoints, or `Endpoint` of a Search result.

    Raises UnexpectedAnswerError if name, status or creation time is missing; anything else may be missing.
    """
    name, created = required_field(record, "EndpointName"), required_field(record, "CreationTime")
    return Endpoint(
        name=name,
        arn=record.get("EndpointArn", ""),
        status=required_field(record, "EndpointStatus"),
        created_at=_utc(created),
        modified_at=_utc(record.get("LastModifiedTime") or created),
        failure_reason=record.get("FailureReason") or "",
        config=record.get("EndpointConfigName") or "",
        variants=tuple(map(_running, record.get("ProductionVariants") or [])),
        tags={row["Key"]: row.get("Value", "") for row in record.get("Tags") or [] if "Key" in row},
    )


def config_from(answer: Mapping[str, Any]) -> EndpointConfig:
    """Read DescribeEndpointConfig's response. Raises UnexpectedAnswerError if required fields are missing."""
    return EndpointConfig(
        name=required_field(answer, "EndpointConfigName"),
        arn=answer.get("EndpointConfigArn", ""),
        created_at=_utc(required_field(answer, "CreationTime")),
        variants=requested_variants({"ProductionVariants": required_field(answer, "ProductionVariants")}),
        request={key: value for key, value in answer.items() if key not in NOT_REQUESTED},
    )


def requested_variants(request: Mapping[str, Any]) -> tuple[Variant, ...]:
    """Read the variants of an endpoint configuration's request or response, with initial weights and counts."""
    return tuple(map(_configured, request.get("ProductionVariants", [])))


def with_config(endpoint: Endpoint, config: EndpointConfig | None) -> Endpoint:
    """Return the endpoint with the instance types and models of its configuration; unchanged if that is None."""
    if config is None:
        return endpoint
    running = {variant.name: variant for variant in endpoint.variants}
    return replace(
        endpoint,
        variants=tuple(_joined(running.get(variant.name), variant) for variant in config.variants),
    )


def required_field(answer: Mapping[str, Any], key: str) -> Any:
    """Return `answer[key]`, which must be there. Raises UnexpectedAnswerError."""
    if not answer.get(key):
        raise UnexpectedAnswerError(
            f"SageMaker's response lacks {key}.",
            why=f"It contains {', '.join(sorted(answer)) or 'no fields'}.",
            todo="Try again; a proxy may have truncated the response.",
        )
    return answer[key]


def variants_of(endpoint: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[Variant, ...]:
    """Read the variants from the responses of DescribeEndpoint (counts) and DescribeEndpointConfig (models)."""
    running = {row["VariantName"]: _running(row) for row in endpoint.get("ProductionVariants", [])}
    return tuple(_joined(running.get(variant.name), variant) for variant in requested_variants(config))


def container_of(model: Mapping[str, Any]) -> tuple[str, str]:
    """Read the image and the artifact of the first container from DescribeModel's response, each "" if unknown."""
    container: Mapping[str, Any] = model.get("PrimaryContainer") or next(
        iter(model.get("Containers", [])), {}
    )
    source = container.get("ModelDataSource", {}).get("S3DataSource", {})
    return container.get("Image", ""), container.get("ModelDataUrl") or source.get("S3Uri", "")


def classes_uri_for(model_uri: str) -> str | None:
    """Return the S3 URI of class names by Segdeck's convention: `classes.json` next to `model.tar.gz`."""
    folder, slash, file = model_uri.rpartition("/")
    if not slash or not model_uri.startswith("s3://") or folder == "s3:/":
        return None
    return f"{folder}/classes.json" if file else f"{model_uri}classes.json"


def _running(row: Mapping[str, Any]) -> Variant:
    """Read a ProductionVariantSummary, which has neither the instance type nor the model."""
    return Variant(
        name=row["VariantName"],
        instance_type="",
        count=row.get("CurrentInstanceCount"),
        model="",
        weight=row.get("CurrentWeight"),
        desired_weight=row.get("DesiredWeight"),
        desired_count=row.get("DesiredInstanceCount"),
        serverless="CurrentServerlessConfig" in row,
    )


def _configured(row: Mapping[str, Any]) -> Variant:
    """Read a ProductionVariant."""
    count, weight = row.get("InitialInstanceCount"), row.get("InitialVariantWeight")
    return Variant(
        name=row["VariantName"],
        instance_type=row.get("InstanceType", ""),
        count=count,
        model=row.get("ModelName", ""),
        weight=weight,
        desired_weight=weight,
        desired_count=count,
        serverless="ServerlessConfig" in row,
    )


def _joined(running: Variant | None, requested: Variant) -> Variant:
    """Merge the running and the requested variant. Before it is in service, an endpoint reports no variants."""
    if running is None:
        return replace(requested, count=None, weight=None)
    return replace(
        running, instance_type=requested.instance_type, model=requested.model, serverless=requested.serverless
    )


def _utc(at: datetime) -> datetime:
    """Convert to UTC: botocore returns local times. A time without a zone is already UTC."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
