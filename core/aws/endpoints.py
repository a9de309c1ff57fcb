"""Endpoints: the list, and one of them with all that is needed to segment with it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from core.aws.connection import Clients
from core.aws.errors import required
from core.aws.images import is_semantic_segmentation
from core.aws.storage import get_bytes
from core.classes import Classes
from core.endpoints import (
    CLASSES_TAG,
    EXAMPLES_TAG,
    IN_SERVICE,
    EndpointConfig,
    EndpointList,
    EndpointSummary,
    Fleet,
    Serving,
    classes_beside,
    container_of,
    variants_of,
)
from core.errors import DeniedError, InputError, NotFoundError, TooLargeError

PAGE = 100
MAX_PAGES = 10
MAX_SECONDS = 20.0
MAX_CLASSES_BYTES = 1_000_000

OPTIONAL = (DeniedError, NotFoundError, InputError, TooLargeError)
"""What may go wrong with names and examples without anybody minding more than a note."""


def list_endpoints(
    clients: Clients,
    *,
    status: str | None = None,
    name_contains: str | None = None,
    max_pages: int = MAX_PAGES,
    max_seconds: float = MAX_SECONDS,
) -> EndpointList:
    """The account's endpoints, newest first. Raises AwsError.

    A page of AWS's may be empty and still have a next one; so pages and seconds are bounded, not rows.
    """
    doing = "list the endpoints"
    query: dict[str, Any] = {"SortBy": "CreationTime", "SortOrder": "Descending", "MaxResults": PAGE}
    query |= {"StatusEquals": status} if status else {}
    query |= {"NameContains": name_contains} if name_contains else {}
    rows: list[EndpointSummary] = []
    until = time.monotonic() + max_seconds
    for _ in range(max_pages):
        with clients.calling(doing):
            answer = clients.sagemaker.list_endpoints(**query)
        rows += map(EndpointSummary.from_listing, required(answer, "Endpoints", doing))
        query["NextToken"] = answer.get("NextToken")
        if not query["NextToken"] or time.monotonic() > until:
            break
    return EndpointList(tuple(rows), complete=not query["NextToken"])


def in_service(clients: Clients) -> list[EndpointSummary]:
    """The endpoints that take requests, newest first. Raises AwsError."""
    return list(list_endpoints(clients, status=IN_SERVICE).endpoints)


def all_endpoints(clients: Clients, *, max_pages: int = MAX_PAGES, max_seconds: float = MAX_SECONDS) -> Fleet:
    """The account's endpoints with status, variants and tags, newest first: one Search call for each 100.

    Where Search is denied, ListEndpoints is asked: without variants and tags, and with a note. Raises AwsError.
    """
    raise NotImplementedError


def configs(
    clients: Clients, names: Iterable[str], *, notes: list[str] | None = None
) -> dict[str, EndpointConfig]:
    """Name -> endpoint configuration, one call each: they never change, so keep them and ask for new names only.

    notes: gets a sentence on those that are gone or may not be read; these are left out. Raises AwsError.
    """
    raise NotImplementedError


def describe_serving(clients: Clients, name: str) -> Serving:
    """One endpoint with its variants, class names and examples. Raises NotFoundError, AwsError.

    Everything but the endpoint itself is optional: what these credentials may not read is left out, with a note.
    """
    doing = f"look at the endpoint {name}"
    with clients.calling(doing):
        endpoint = clients.sagemaker.describe_endpoint(EndpointName=name)
    notes: list[str] = []
    config = _config(clients, endpoint, notes)
    variants = variants_of(endpoint, config)
    image, model_uri = _container(clients, variants[0].model if variants else "", notes)
    tags = _tags(clients, required(endpoint, "EndpointArn", doing), notes)
    return Serving(
        name=name,
        status=required(endpoint, "EndpointStatus", doing),
        failure_reason=endpoint.get("FailureReason", ""),
        variants=variants,
        image=image,
        model_uri=model_uri,
        aws_algorithm=is_semantic_segmentation(image) if image else None,
        classes=_classes(clients, tags.get(CLASSES_TAG), model_uri, notes),
        examples_uri=tags.get(EXAMPLES_TAG),
        notes=tuple(notes),
    )


def _config(clients: Clients, endpoint: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    name = endpoint.get("EndpointConfigName")
    if not name:
        return {}
    try:
        with clients.calling(f"look at the endpoint configuration {name}"):
            answer: dict[str, Any] = clients.sagemaker.describe_endpoint_config(EndpointConfigName=name)
    except OPTIONAL as error:
        notes.append(str(error))
        return {}
    return answer


def _container(clients: Clients, model: str, notes: list[str]) -> tuple[str, str]:
    """Image and artifact of a model."""
    if not model:
        return "", ""
    try:
        with clients.calling(f"look at the model {model}"):
            return container_of(clients.sagemaker.describe_model(ModelName=model))
    except OPTIONAL as error:
        notes.append(str(error))
        return "", ""


def _tags(clients: Clients, arn: str, notes: list[str]) -> dict[str, str]:
    doing = "read the endpoint's tags"
    try:
        with clients.calling(doing):
            answer = clients.sagemaker.list_tags(ResourceArn=arn, MaxResults=PAGE)
    except OPTIONAL as error:
        notes.append(str(error))
        return {}
    return {tag["Key"]: tag["Value"] for tag in required(answer, "Tags", doing)}


def _classes(clients: Clients, tagged: str | None, model_uri: str, notes: list[str]) -> Classes | None:
    """Names by the endpoint's tag, else from beside the artifact."""
    uri = tagged or classes_beside(model_uri)
    if uri is None:
        return None
    try:
        return Classes.from_json(get_bytes(clients, uri, max_bytes=MAX_CLASSES_BYTES))
    except NotFoundError as error:
        notes += [f"The class names are not there. {error}"] if tagged else []
    except OPTIONAL as error:
        notes.append(f"The class names cannot be read. {error}")
    return None
