"""Endpoints as values, read from the dicts of SageMaker's control plane. No network here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.classes import Classes
from core.errors import NotReadyError

IN_SERVICE = "InService"

CLASSES_TAG = "segdeck:classes"
"""A tag of the endpoint: the S3 URI of its `classes.json`."""

EXAMPLES_TAG = "segdeck:examples"
"""A tag of the endpoint: the S3 URI of an `examples.json`."""

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

REFUSING = ("Creating", "Deleting", "Failed", "OutOfService")
"""Statuses in which it takes no requests. While it is updated or rolled back, the old variants go on serving."""


@dataclass(frozen=True, slots=True)
class EndpointSummary:
    """One line of the list.

    created_at, modified_at: aware, UTC.
    """

    name: str
    status: str
    created_at: datetime
    modified_at: datetime

    @property
    def in_service(self) -> bool:
        """Whether it takes requests."""
        return self.status == IN_SERVICE

    @classmethod
    def from_listing(cls, row: Mapping[str, Any]) -> EndpointSummary:
        """From one of `Endpoints` of ListEndpoints."""
        return cls(row["EndpointName"], row["EndpointStatus"], row["CreationTime"], row["LastModifiedTime"])


@dataclass(frozen=True, slots=True)
class EndpointList:
    """What ListEndpoints found.

    complete: False where there were more than we asked for, or time ran out.
    """

    endpoints: tuple[EndpointSummary, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Variant:
    """A production variant.

    instance_type: such as "ml.g4dn.xlarge"; empty for a serverless one.
    count:         instances now; None where AWS does not say.
    model:         the name of SageMaker's Model.
    """

    name: str
    instance_type: str
    count: int | None
    model: str


@dataclass(frozen=True, slots=True)
class Serving:
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


def variants_of(endpoint: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[Variant, ...]:
    """From the answers of DescribeEndpoint (how many run) and DescribeEndpointConfig (what runs)."""
    running = {row["VariantName"]: row for row in endpoint.get("ProductionVariants", [])}
    return tuple(
        Variant(
            name=row["VariantName"],
            instance_type=row.get("InstanceType", ""),
            count=running.get(row["VariantName"], {}).get("CurrentInstanceCount"),
            model=row.get("ModelName", ""),
        )
        for row in config.get("ProductionVariants", [])
    )


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
