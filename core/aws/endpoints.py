"""List endpoints, and read one with all that is needed for inference."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from core.aws.connection import Clients
from core.aws.errors import required
from core.aws.images import is_semantic_segmentation
from core.aws.storage import get_bytes
from core.endpoints.endpoint import (
    CLASSES_TAG,
    EXAMPLES_TAG,
    IN_SERVICE,
    JOB_TAG,
    Endpoint,
    EndpointConfig,
    EndpointInfo,
    EndpointList,
    classes_uri_for,
    config_from,
    container_of,
    endpoint_from,
    variants_of,
)
from core.errors import DeniedError, InputError, NotFoundError, RejectedError, TooLargeError
from core.imaging.classes import Classes

PAGE = 100
MAX_PAGES = 10
MAX_SECONDS = 20.0
MAX_CLASSES_BYTES = 1_000_000
READERS = 8
"""Configurations read in parallel."""

LISTING = "list the endpoints"
FROM_INDEX = "This is from SageMaker's search index, which can be a few seconds behind."
ReadPage = Callable[[Clients, dict[str, Any]], tuple[list[dict[str, Any]], str | None]]
"""Reads one page: its rows, and the token of the next."""

OPTIONAL = (DeniedError, NotFoundError, InputError, RejectedError, TooLargeError)
"""Errors of optional parts, such as class names and examples, which only cause a note."""


def all_endpoints(
    clients: Clients, *, max_pages: int = MAX_PAGES, max_seconds: float = MAX_SECONDS
) -> EndpointList:
    """Return the account's endpoints with status, variants and tags, newest first: one Search call per 100.

    Search finds a new endpoint some seconds after its creation. If Search is denied or rejected, ListEndpoints is
    used instead, without variants and tags, and with a note. Raises AwsError.
    """
    query = {"Resource": "Endpoint", "SortBy": "CreationTime", "SortOrder": "Descending", "MaxResults": PAGE}
    try:
        return _paged(clients, _search, query, max_pages=max_pages, max_seconds=max_seconds)
    except (DeniedError, RejectedError) as error:
        listed = list_endpoints(clients, max_pages=max_pages, max_seconds=max_seconds)
        return replace(listed, notes=(f"Variants, traffic and tags are unavailable. {error}",))


def list_endpoints(
    clients: Clients,
    *,
    status: str | None = None,
    name_contains: str | None = None,
    max_pages: int = MAX_PAGES,
    max_seconds: float = MAX_SECONDS,
) -> EndpointList:
    """Return the account's endpoints, newest first, without variants and tags. Raises AwsError."""
    query: dict[str, Any] = {"SortBy": "CreationTime", "SortOrder": "Descending", "MaxResults": PAGE}
    query |= {"StatusEquals": status} if status else {}
    query |= {"NameContains": name_contains} if name_contains else {}
    return _paged(clients, _list, query, max_pages=max_pages, max_seconds=max_seconds)


def listed_endpoints(clients: Clients) -> EndpointList:
    """Return the account's endpoints by ListEndpoints or, where that is denied, by Search. Raises AwsError."""
    try:
        return list_endpoints(clients)
    except DeniedError as error:
        listed = all_endpoints(clients)
        return replace(listed, notes=(f"{FROM_INDEX} {error}",))


def in_service(clients: Clients) -> list[Endpoint]:
    """Return the endpoints in service, newest first. Raises AwsError."""
    try:
        return list(list_endpoints(clients, status=IN_SERVICE).endpoints)
    except DeniedError:
        return [endpoint for endpoint in all_endpoints(clients).endpoints if endpoint.in_service]


def configs(
    clients: Clients, names: Iterable[str], *, notes: list[str] | None = None
) -> dict[str, EndpointConfig]:
    """Return name -> endpoint configuration, one call each: they never change, so cache them and read only new names.

    notes: gets a sentence about deleted or unreadable ones, which are left out. Raises AwsError.
    """
    notes = [] if notes is None else notes
    wanted = list(dict.fromkeys(name for name in names if name))
    with ThreadPoolExecutor(min(READERS, len(wanted) or 1)) as pool:
        many = len(wanted) > READERS
        answers = pool.map(lambda name: read_config(clients, name, notes, many=many), wanted)
        pairs = zip(wanted, answers, strict=True)
        return {name: config_from(answer) for name, answer in pairs if answer is not None}


def describe_endpoint(clients: Clients, name: str) -> Endpoint:
    """Return one endpoint without instance types, models and tags. Raises NotFoundError, AwsError."""
    with clients.calling(f"describe the endpoint {name}"):
        return endpoint_from(clients.sagemaker.describe_endpoint(EndpointName=name))


def read_endpoint(clients: Clients, name: str) -> tuple[Endpoint, tuple[str, ...]]:
    """Return the same and notes. Where DescribeEndpoint is denied, the lists are searched, and a note says so.

    To see whether a change is done, use `describe_endpoint`: the lists lag. Raises NotFoundError, AwsError.
    """
    notes: list[str] = []
    return endpoint_from(_description(clients, name, notes)), tuple(notes)


def _description(clients: Clients, name: str, notes: list[str]) -> dict[str, Any]:
    """Return what DescribeEndpoint reports, or as much of that as a list does."""
    try:
        with clients.calling(f"describe the endpoint {name}"):
            answer: dict[str, Any] = clients.sagemaker.describe_endpoint(EndpointName=name)
    except DeniedError as error:
        row = _listed_row(clients, name)
        if row is None:
            raise
        notes.append(f"{FROM_INDEX} {error}")
        return row
    return answer


def _listed_row(clients: Clients, name: str) -> dict[str, Any] | None:
    """Return an endpoint's row in Search or ListEndpoints; None where neither has it, or both are denied."""
    filters = [{"Name": "EndpointName", "Operator": "Equals", "Value": name}]
    search = {"Resource": "Endpoint", "SearchExpression": {"Filters": filters}, "MaxResults": PAGE}
    reads: tuple[tuple[ReadPage, dict[str, Any]], ...] = (
        (_search, search),
        (_list, {"NameContains": name, "MaxResults": PAGE}),
    )
    for read, query in reads:
        try:
            with clients.calling(LISTING):
                rows, _ = read(clients, query)
        except (DeniedError, RejectedError):
            continue  # the caller raises the first error, which names the operation that is needed
        row = next((row for row in rows if row.get("EndpointName") == name), None)
        if row is not None:
            return row
    return None


def endpoint_info(clients: Clients, name: str) -> EndpointInfo:
    """Return one endpoint with its variants, class names and examples. Raises NotFoundError, AwsError.

    Everything but the endpoint itself is optional: what may not be read is left out, with a note.
    """
    return with_class_names(clients, endpoint_info_without_classes(clients, name))


def with_class_names(clients: Clients, endpoint: EndpointInfo) -> EndpointInfo:
    """Return the endpoint with its class names, which are read from S3. Raises AwsError."""
    notes = list(endpoint.notes)
    classes = read_classes(clients, endpoint.classes_uri, endpoint.model_uri, notes)
    return replace(endpoint, classes=classes, notes=tuple(notes))


def endpoint_info_without_classes(clients: Clients, name: str) -> EndpointInfo:
    """Return one endpoint without its class names: it calls SageMaker, but not S3. Raises as above."""
    doing = f"describe the endpoint {name}"
    notes: list[str] = []
    endpoint = _description(clients, name, notes)
    config_name = endpoint.get("EndpointConfigName", "")
    config = read_config(clients, config_name, notes) or {}
    variants = variants_of(endpoint, config)
    image, model_uri = _container(clients, variants[0].model if variants else "", notes)
    tags = read_tags(clients, required(endpoint, "EndpointArn", doing), notes)
    return EndpointInfo(
        name=name,
        status=required(endpoint, "EndpointStatus", doing),
        failure_reason=endpoint.get("FailureReason", ""),
        variants=variants,
        image=image,
        model_uri=model_uri,
        aws_algorithm=is_semantic_segmentation(image) if image else None,
        examples_uri=tags.get(EXAMPLES_TAG),
        notes=tuple(notes),
        config=f"{config_name} {config.get('CreationTime', '')}".strip(),
        job=tags.get(JOB_TAG, ""),
        classes_uri=tags.get(CLASSES_TAG),
    )


def _search(clients: Clients, query: dict[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
    answer = clients.lists.search(**query)
    rows = required(answer, "Results", LISTING)
    return [row["Endpoint"] for row in rows if row.get("Endpoint")], answer.get("NextToken")


def _list(clients: Clients, query: dict[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
    answer = clients.lists.list_endpoints(**query)
    return required(answer, "Endpoints", LISTING), answer.get("NextToken")


def _paged(
    clients: Clients, read_page: ReadPage, query: dict[str, Any], *, max_pages: int, max_seconds: float
) -> EndpointList:
    """Read all pages, limited by pages and seconds, not rows: an AWS page may be empty and still have a next one.

    An endpoint that moved between two pages is listed once.
    """
    endpoints: dict[str, Endpoint] = {}
    until = time.monotonic() + max_seconds
    token = None
    for _ in range(max_pages):
        with clients.calling(LISTING):
            rows, token = read_page(clients, query | ({"NextToken": token} if token else {}))
        for endpoint in map(endpoint_from, rows):
            endpoints.setdefault(endpoint.name, endpoint)
        if not token or time.monotonic() > until:
            break
    return EndpointList(tuple(endpoints.values()), complete=not token)


def read_config(
    clients: Clients, name: str, notes: list[str], *, many: bool = False
) -> dict[str, Any] | None:
    """Return DescribeEndpointConfig's response; None, with a note, if it is deleted or may not be read.

    many: whether many are read, so that the client that slows down is used.
    """
    if not name:
        return None
    try:
        with clients.calling(f"describe the endpoint configuration {name}"):
            client = clients.lists if many else clients.sagemaker
            answer: dict[str, Any] = client.describe_endpoint_config(EndpointConfigName=name)
    except OPTIONAL as error:
        notes.append(str(error))
        return None
    return answer


def _container(clients: Clients, model: str, notes: list[str]) -> tuple[str, str]:
    """Return the image and the artifact of a model."""
    if not model:
        return "", ""
    try:
        with clients.calling(f"describe the model {model}"):
            return container_of(clients.sagemaker.describe_model(ModelName=model))
    except OPTIONAL as error:
        notes.append(str(error))
        return "", ""


def read_tags(clients: Clients, arn: str, notes: list[str], owner: str = "endpoint") -> dict[str, str]:
    """Return the tags of an endpoint; none, with a note, if they may not be read. owner: what else has them."""
    doing = f"read the {owner}'s tags"
    try:
        with clients.calling(doing):
            answer = clients.sagemaker.list_tags(ResourceArn=arn, MaxResults=PAGE)
    except OPTIONAL as error:
        notes.append(str(error))
        return {}
    return {tag["Key"]: tag["Value"] for tag in required(answer, "Tags", doing)}


def read_classes(clients: Clients, tagged: str | None, model_uri: str, notes: list[str]) -> Classes | None:
    """Read class names by the endpoint's tag, otherwise next to the artifact."""
    uri = tagged or classes_uri_for(model_uri)
    if uri is None:
        return None
    try:
        return Classes.from_json(get_bytes(clients, uri, max_bytes=MAX_CLASSES_BYTES))
    except NotFoundError as error:
        notes += [f"The class names were not found. {error}"] if tagged else []
    except OPTIONAL as error:
        notes.append(f"The class names cannot be read. {error}")
    return None
