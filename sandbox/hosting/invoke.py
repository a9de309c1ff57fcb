"""InvokeEndpoint: pass one request to a model's process and stream its response, with AWS's codes and texts.

Source: SageMaker Runtime API reference, "InvokeEndpoint".
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import urllib3

from sandbox.common.limits import SandboxLimits, SandboxLocation
from sandbox.hosting.capture import CapturedInvocation, DataCapture
from sandbox.hosting.fleet import Lease
from sandbox.hosting.lifecycle import Endpoints
from sandbox.hosting.metrics import Metrics
from sandbox.hosting.replica import Replica
from sandbox.http.protocol import ApiError, Environ, Reply

PIECE = 1 << 18  # bytes of a response held at a time
MAX_MESSAGE = 4096  # bytes of a container's error text that are passed on
_TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency metrics for"
    " each container in Amazon CloudWatch, resolve the issue, and try again."
)
# WSGI's name of a request header -> the container's.
_PASSED = {
    "CONTENT_TYPE": "Content-Type",
    "HTTP_ACCEPT": "Accept",
    "HTTP_X_AMZN_SAGEMAKER_CUSTOM_ATTRIBUTES": "X-Amzn-SageMaker-Custom-Attributes",
    "HTTP_X_AMZN_SAGEMAKER_INFERENCE_ID": "X-Amzn-SageMaker-Inference-Id",
    "HTTP_X_AMZN_SAGEMAKER_TARGET_MODEL": "X-Amzn-SageMaker-Target-Model",
}
_RETURNED = ("Content-Type", "Content-Length", "X-Amzn-SageMaker-Custom-Attributes")
Recorder = Callable[[int], None]


class ContainerError(Exception):
    """The container failed or refused.

    status:  its HTTP status; 0 without a response.
    instead: text that replaces the quoted message.
    called:  whether the request was sent to it.
    """

    def __init__(self, status: int, message: str, instead: str = "", *, called: bool = True) -> None:
        super().__init__(message)
        self.status, self.message, self.instead, self.called = status, message, instead, called


class Runtime:
    """Answers POST /endpoints/NAME/invocations."""

    def __init__(
        self,
        endpoints: Endpoints,
        metrics: Metrics,
        location: SandboxLocation,
        limits: SandboxLimits,
        capture: DataCapture,
    ) -> None:
        self._endpoints, self._metrics, self._capture = endpoints, metrics, capture
        self._region, self._account, self._limits = location.region, location.account, limits

    def invoke(self, environ: Environ, name: str, body: bytes | None) -> Reply:
        """Invoke an endpoint. body: None when it exceeded the limit (it was not kept).

        Raises ApiError: ValidationError for an endpoint that does not answer, ModelError when the container fails or
        refuses.
        """
        started = time.perf_counter()
        lease = self._route(name, environ.get("HTTP_X_AMZN_SAGEMAKER_TARGET_VARIANT"))
        replica = lease.replica
        variant = replica.variant["VariantName"]
        sent = time.perf_counter()

        def done(status: int, *, called: bool = True) -> None:
            model_us = (time.perf_counter() - sent) * 1e6 if called else None
            lease.release()
            self._metrics.record(
                name,
                variant,
                status=status,
                instances=lease.instances,
                model_us=model_us,
                overhead_us=(sent - started) * 1e6,
            )

        try:
            answer = self._post(replica, environ, body)
        except ContainerError as problem:
            done(problem.status, called=problem.called)
            raise self._model_error(replica, problem) from problem
        except BaseException:
            lease.release()
            raise
        captured = self._sample(name, variant, environ, body)
        if captured is not None:
            captured.response_type = answer.headers.get("Content-Type", "")
        headers = [("x-amzn-RequestId", str(uuid.uuid4())), ("x-Amzn-Invoked-Production-Variant", variant)]
        headers += [(header, answer.headers[header]) for header in _RETURNED if header in answer.headers]
        return Reply(answer.status, headers, _Stream(answer, done, captured, self._capture.write))

    def _sample(
        self, name: str, variant: str, environ: Environ, body: bytes | None
    ) -> CapturedInvocation | None:
        """Return the invocation when it is to be captured."""
        config = self._endpoints.capture(name)
        return self._capture.sample(config, name, variant, _passed(environ), body or b"")

    def _route(self, name: str, variant: str | None) -> Lease:
        """Return a replica; invoking is case-sensitive, and only endpoints in service are found. Raises ApiError."""
        lease = self._endpoints.choose(name, variant)
        if lease is None:
            what = f"Variant {variant} of endpoint" if variant else "Endpoint"
            raise ApiError("ValidationError", f"{what} {name} of account {self._account} not found.")
        return lease

    def _post(self, replica: Replica, environ: Environ, body: bytes | None) -> Any:
        """Return the container's unread response. Raises ContainerError."""
        if body is None:
            raise ContainerError(413, "", "and could not load the entire response body", called=False)
        headers = _passed(environ)
        process = replica.process
        if process is None:
            raise ContainerError(503, "The model's process is not running.", called=False)
        try:
            answer = process.post(body, headers, self._limits.invocation_seconds)
        except urllib3.exceptions.ReadTimeoutError as problem:
            raise ContainerError(0, _TIMED_OUT) from problem
        except urllib3.exceptions.HTTPError as problem:
            raise ContainerError(503, "The model's process broke the connection.") from problem
        if answer.status >= 300:
            message = answer.read(MAX_MESSAGE).decode("utf-8", "replace").strip()
            answer.close()
            raise ContainerError(answer.status, message)
        return answer

    def _model_error(self, replica: Replica, problem: ContainerError) -> ApiError:
        """Return ModelError: HTTP 424 with the container's own status and text, and the link to its log."""
        status, message = problem.status, problem.message
        console = f"https://{self._region}.console.aws.amazon.com/cloudwatch/home?region={self._region}"
        link = f"{console}#logEventViewer:group={replica.log_group} in account {self._account}"
        side = "client" if 400 <= status < 500 else "server"
        quoted = problem.instead or f'with message "{message}"'
        text = f"Received {side} error ({status}) from primary {quoted}. See {link} for more information."
        arn = f"arn:aws:logs:{self._region}:{self._account}:log-group:{replica.log_group}"
        stream = f"{arn}:log-stream:{replica.log_stream}"
        extra = {"OriginalStatusCode": status, "OriginalMessage": message, "LogStreamArn": stream}
        return ApiError("ModelError", text, 424, **extra)


def _passed(environ: Environ) -> dict[str, str]:
    """Return the request headers that are passed to the container."""
    return {name: str(environ[key]) for key, name in _PASSED.items() if environ.get(key)}


class _Stream:
    """The container's response in pieces; closing it, read or not, records the invocation.

    captured: the invocation to pass to `write` at the end; None when it is not captured.
    """

    def __init__(
        self,
        answer: Any,
        record: Recorder,
        captured: CapturedInvocation | None,
        write: Callable[[CapturedInvocation], None],
    ) -> None:
        self._answer, self._record = answer, record
        self._captured, self._write = captured, write
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
        try:
            for piece in self._answer.stream(PIECE, decode_content=False):
                if self._captured is not None:
                    self._captured.response.append(piece)
                yield piece
        except urllib3.exceptions.HTTPError as problem:
            # The head is already sent: only a truncated body can report the failure to the client.
            raise ConnectionError(f"the model's process aborted its response: {problem}") from problem

    def close(self) -> None:
        """Record the invocation, once."""
        if self._open:
            self._open = False
            self._record(self._answer.status)
            # A connection whose response was not read to its end cannot be reused.
            self._answer.release_conn() if self._answer.closed else self._answer.close()
            if self._captured is not None:
                self._write(self._captured)
