"""Invoke an endpoint with one image."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from core.aws.connection import Clients
from core.aws.errors import Todos, required
from core.endpoints.endpoint import not_ready
from core.errors import (
    AwsError,
    CutOffError,
    NoReplyError,
    NotFoundError,
    NotReadyError,
    ThrottledError,
    TimedOutError,
    TooLargeError,
    UnexpectedAnswerError,
)
from core.inference.invoke import EndpointResponse, Invoke

MAX_REQUEST = 6_291_456
"""Bytes of a request: `BodyBlob` of SageMaker Runtime's service model. botocore does not check it."""

TODOS: Todos = {
    TimedOutError: "AWS gives a model 60 seconds. Send a smaller image, or use an endpoint with a faster instance "
    "type. Segdeck did not retry automatically: each call runs the model and is billed.",
    CutOffError: "The model has run, so this call may be billed, and each further call is billed again.",
}

MAY_HAVE_RUN = (
    "The model may have run, so this call may be billed. Segdeck did not repeat it: each call is billed."
)
"""Added if the response was lost, or cannot be read."""


def invoker(clients: Clients, endpoint: str) -> Invoke:
    """Return the `Invoke` for `core.inference.invoke.segment`. It never retries: each call is billed."""

    def invoke(body: bytes, content_type: str, accept: str) -> EndpointResponse:
        _check_size(body)
        try:
            return _invoke(clients, endpoint, body, content_type, accept)
        except NotFoundError as error:
            reason = _not_ready_reason(clients, endpoint)
            if reason is None:
                raise
            raise reason from error

    return invoke


def _invoke(clients: Clients, endpoint: str, body: bytes, content_type: str, accept: str) -> EndpointResponse:
    """Invoke the endpoint. Raises AwsError. The stream checks its declared length, and is read completely."""
    doing = f"invoke the endpoint {endpoint}"
    with _billing_noted(), clients.calling(doing, todos=TODOS):
        started = time.perf_counter()
        answer = clients.runtime.invoke_endpoint(
            EndpointName=endpoint, Body=body, ContentType=content_type, Accept=accept
        )
        content: bytes = required(answer, "Body", doing).read()
        seconds = time.perf_counter() - started
        if not content:
            raise UnexpectedAnswerError(
                f"Could not {doing}: its response is empty.",
                todo=f"Check the container's log. {MAY_HAVE_RUN}",
            )
    return EndpointResponse(content, answer.get("ContentType", ""), seconds)


@contextmanager
def _billing_noted() -> Iterator[None]:
    """Add to every error after which the model may have run that this call may be billed."""
    try:
        yield
    except AwsError as error:
        lost = isinstance(error, CutOffError | NoReplyError | TimedOutError | UnexpectedAnswerError)
        failed = error.http_status >= 500 and not isinstance(error, ThrottledError)
        error.unclear = lost or failed
        if error.unclear and "billed" not in error.todo:
            error.todo = MAY_HAVE_RUN
        raise


def _check_size(body: bytes) -> None:
    if len(body) > MAX_REQUEST:
        raise TooLargeError(
            f"The image is {len(body):,} bytes as JPEG; SageMaker accepts at most {MAX_REQUEST:,}.",
            todo="Reduce the input size, or use batch transform.",
        )


def _not_ready_reason(clients: Clients, endpoint: str) -> NotReadyError | None:
    """Return why an endpoint is not in service; SageMaker reports it as "not found" until then."""
    try:
        with clients.calling(f"describe the endpoint {endpoint}"):
            description: dict[str, Any] = clients.sagemaker.describe_endpoint(EndpointName=endpoint)
    except AwsError:
        return None  # the error of the call itself is more useful
    return not_ready(endpoint, description.get("EndpointStatus", ""), description.get("FailureReason", ""))
