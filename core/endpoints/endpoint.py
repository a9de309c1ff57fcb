"""Endpoints as values, read from the dicts of SageMaker's control plane. No network here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from core.errors import NotReadyError, UnexpectedAnswerError
from core.imaging.classes import Classes

IN_SERVICE = "InService"

CLASSES_TAG = "segdeck:classes"
"""A tag of the endpoint: the S3 URI of its `classes.json`."""

EXAMPLES_TAG = "segdeck:examples"
"""A tag of the endpoint: the S3 URI of an `examples.json`."""

JOB_TAG = "segdeck:job"
"""A tag of the model and the endpoint: the training job that the artifact came from."""

STATUS_WORDS = {
    "Creating": "being created",
    "InService": "in service",
    "Updating": "being updated",
    "SystemUpdating": "being updated by AWS",
    "RollingBack": "being rolled back",
    "Deleting": "being deleted",
    "Failed": "in a failed state",
    "OutOfService": "out of service",
    "UpdateRollbackFailed": "in a failed state, after a rollback",
}
"""EndpointStatus of botocore 1.44's service model. AWS may add more: an unknown one is shown as it is."""

FAILED = ("Failed", "OutOfService", "UpdateRollbackFailed")
CHANGING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
"""AWS changes nothing else about an endpoint while it is in one of these."""

NOT_ASKED_FOR = ("EndpointConfigArn", "CreationTime", "ResponseMetadata")
"""What DescribeEndpointConfig tells besides what CreateEndpointConfig takes (botocore 1.44)."""

REFUSING = ("Creating", "Deleting", "Failed", "OutOfService")
"""Statuses in which it takes no requests. While it is updated or rolled back, the old variants go on serving."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A production variant.

    instance_type:  such as "ml.g4dn.xlarge"; empty for a serverless one, and where the configuration was not read.
    count:          instances now; None where AWS does not say.
    model:          the name of SageMaker's Model; empty where the configuration was not read.
    weight:         its share of the calls is this over the sum of all weights; None where AWS does not say.
    desired_weight, desired_count: what it is on its way to; None where AWS does not say.
    serverless:     it has no instances.
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
    """An endpoint's configuration. AWS never changes one, so it may be kept for ever.

    variants: with their first counts and weights.
    request:  what CreateEndpointConfig would take to make the same; its lists and mappings are not to be changed.
    """

    name: str
    arn: str
    created_at: datetime
    variants: tuple[Variant, ...]
    request: Mapping[str, Any]

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models, each once."""
        return tuple(dict.fromkeys(variant.model for variant in self.variants if variant.model))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint, as Search and DescribeEndpoint tell of it.

    status:                  SageMaker's own word, such as "InService"; unknown ones are kept.
    created_at, modified_at: aware, UTC.
    failure_reason:          AWS's text; empty where nothing failed.
    config:                  the name of its configuration; empty in ListEndpoints' answer.
    variants:                instance types and models are in the configuration alone: see `with_config`.
    tags:                    Search tells them, DescribeEndpoint does not.
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
        """Whether it is as it was asked for, and takes requests."""
        return self.status == IN_SERVICE

    @property
    def changing(self) -> bool:
        """Whether AWS is at work on it, so that it takes no other change."""
        return self.status in CHANGING

    @property
    def failed(self) -> bool:
        """Whether it, or its last update's way back, has failed."""
        return self.status in FAILED

    @property
    def job(self) -> str:
        """The training job that its model came from, by its tag; empty where it does not say."""
        return self.tags.get(JOB_TAG, "")

    def variant(self, name: str) -> Variant | None:
        """A variant by its name."""
        return next((variant for variant in self.variants if variant.name == name), None)


@dataclass(frozen=True, slots=True)
class EndpointList:
    """The account's endpoints, newest first.

    complete: False where there were more than we asked for, or time ran out.
    notes:    sentences on what could not be read.
    """

    endpoints: tuple[Endpoint, ...]
    complete: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EndpointInfo:
    """One endpoint, with all that is needed to segment with it.

    status:         SageMaker's own word, such as "InService".
    failure_reason: AWS's text; empty where nothing failed.
    variants:       in AWS's order; empty where the configuration may not be read.
    image:          the container image of the first variant; empty where it may not be read.
    model_uri:      the first variant's `model.tar.gz`; empty likewise.
    aws_algorithm:  whether the image is AWS's own semantic segmentation; None where it may not be read.
    classes:        names and colours; None where the model brought none.
    examples_uri:   the S3 URI of `examples.json`; None where there is none.
    notes:          sentences on what could not be read; nothing stops because of them.
    config:         its configuration's name and time of creation: another one serves another model.
    job:            the training job that its tag names; empty where it names none.
    classes_uri:    the S3 URI that its tag gives for the class names; None where it gives none.
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
        """Whether it takes requests."""
        return self.status == IN_SERVICE


def in_words(status: str) -> str:
    """An endpoint's status in words, such as "being created"."""
    return STATUS_WORDS.get(status, status)


def not_ready(name: str, status: str, reason: str) -> NotReadyError | None:
    """Why an endpoint takes no requests; None where it takes them (also while it is being updated)."""
    if status not in REFUSING:
        return None
    return NotReadyError(
        f"The endpoint {name} is not in service: it is {in_words(status)}.",
        why=reason,
        todo="Wait until it is in service, then try again."
        if status == "Creating"
        else "Pick another endpoint.",
        code=status,
    )


def endpoint_from(record: Mapping[str, Any]) -> Endpoint:
    """From DescribeEndpoint's answer, one of ListEndpoints' rows, or `Endpoint` of one of Search's results.

    Raises UnexpectedAnswerError where it names no endpoint, status or time of creation; anything else may be missing.
    """
    name, created = answer_part(record, "EndpointName"), answer_part(record, "CreationTime")
    return Endpoint(
        name=name,
        arn=record.get("EndpointArn", ""),
        status=answer_part(record, "EndpointStatus"),
        created_at=_utc(created),
        modified_at=_utc(record.get("LastModifiedTime") or created),
        failure_reason=record.get("FailureReason") or "",
        config=record.get("EndpointConfigName") or "",
        variants=tuple(map(_running, record.get("ProductionVariants") or [])),
        tags={row["Key"]: row.get("Value", "") for row in record.get("Tags") or [] if "Key" in row},
    )


def config_from(answer: Mapping[str, Any]) -> EndpointConfig:
    """From DescribeEndpointConfig's answer. Raises UnexpectedAnswerError where it names no configuration."""
    return EndpointConfig(
        name=answer_part(answer, "EndpointConfigName"),
        arn=answer.get("EndpointConfigArn", ""),
        created_at=_utc(answer_part(answer, "CreationTime")),
        variants=requested_variants({"ProductionVariants": answer_part(answer, "ProductionVariants")}),
        request={key: value for key, value in answer.items() if key not in NOT_ASKED_FOR},
    )


def requested_variants(request: Mapping[str, Any]) -> tuple[Variant, ...]:
    """The variants of a request or an answer about an endpoint configuration, with their first weights and counts."""
    return tuple(map(_configured, request.get("ProductionVariants", [])))


def with_config(endpoint: Endpoint, config: EndpointConfig | None) -> Endpoint:
    """The endpoint with the instance types and models of its configuration; as it was where that is None."""
    if config is None:
        return endpoint
    running = {variant.name: variant for variant in endpoint.variants}
    return replace(
        endpoint,
        variants=tuple(_joined(running.get(variant.name), variant) for variant in config.variants),
    )


def answer_part(answer: Mapping[str, Any], key: str) -> Any:
    """`answer[key]`, for what tells of a thing at all. Raises UnexpectedAnswerError."""
    if not answer.get(key):
        raise UnexpectedAnswerError(
            f"SageMaker's answer lacks {key}.",
            why=f"It holds {', '.join(sorted(answer)) or 'nothing'}.",
            todo="Try again; a proxy may have cut the answer.",
        )
    return answer[key]


def variants_of(endpoint: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[Variant, ...]:
    """From the answers of DescribeEndpoint (how many run) and DescribeEndpointConfig (what runs)."""
    running = {row["VariantName"]: _running(row) for row in endpoint.get("ProductionVariants", [])}
    return tuple(_joined(running.get(variant.name), variant) for variant in requested_variants(config))


def container_of(model: Mapping[str, Any]) -> tuple[str, str]:
    """From the answer of DescribeModel: the image and the artifact of its first container, each "" if unknown."""
    container: Mapping[str, Any] = model.get("PrimaryContainer") or next(
        iter(model.get("Containers", [])), {}
    )
    source = container.get("ModelDataSource", {}).get("S3DataSource", {})
    return container.get("Image", ""), container.get("ModelDataUrl") or source.get("S3Uri", "")


def classes_beside(model_uri: str) -> str | None:
    """Where class names lie by our convention: `classes.json` beside `model.tar.gz`."""
    folder, slash, file = model_uri.rpartition("/")
    if not slash or not model_uri.startswith("s3://") or folder == "s3:/":
        return None
    return f"{folder}/classes.json" if file else f"{model_uri}classes.json"


def _running(row: Mapping[str, Any]) -> Variant:
    """From ProductionVariantSummary, which tells neither the instance type nor the model."""
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
    """From ProductionVariant."""
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
    """What runs, with what was asked for. Before an endpoint is in service it tells of no variants."""
    if running is None:
        return replace(requested, count=None, weight=None)
    return replace(
        running, instance_type=requested.instance_type, model=requested.model, serverless=requested.serverless
    )


def _utc(at: datetime) -> datetime:
    """botocore gives the machine's own zone, we keep UTC. A time without a zone is UTC already."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
