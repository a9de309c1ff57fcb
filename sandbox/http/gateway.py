"""The gateway of the sandbox: check the signature, identify service and operation, call the service.

The order matters: the Host first (against DNS rebinding by a web page), then the signature, then the faults that
tests inject, then the service. No response has CORS headers, and unsigned requests are refused.
"""

from __future__ import annotations

import hashlib
import io
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote

from sandbox.common.disk import CODE, STATUS, Disk, DiskFullError, is_full
from sandbox.http import faults, sigv2, sigv4
from sandbox.http.faults import Faults
from sandbox.http.protocol import (
    OPERATION,
    ApiError,
    Environ,
    Params,
    Reply,
    call_json,
    dialect,
    error_reply,
    form_params,
    json_params,
    json_reply,
    target_operation,
    unknown_operation,
)
from sandbox.http.server import MALFORMED
from sandbox.http.sessions import Caller, InvalidTokenError, Sessions

Wsgi = Callable[[Any, Any], Iterable[bytes]]
JsonCall = Callable[[str, Params], Params | None]
Invoke = Callable[[Environ, str, bytes | None], Reply]
Authorize = Callable[[Caller, str, str, Mapping[str, Any], bytes], None]
"""(caller, service, operation, environ, body); raises ApiError unless the caller may make the request."""

OWN_SERVICE = "sandbox"
QUERY_SERVICES = frozenset({"iam", "sts"})
"""Services that are called by the query protocol alone: a form, whatever the headers say."""
CALLER, REGION = "sandbox.caller", "sandbox.region"
"""The caller of a request, and the region that it is signed for, in its environ."""
_MODELS = {"servicequotas": "service-quotas"}
"""The name in a signature's scope -> the name of the botocore model, where they differ."""
MAX_CONTROL_BODY = 16 << 20  # bytes; PutLogEvents, the largest, takes 1 MiB
MAX_READ = 256 << 20  # bytes; a larger body is not read to its end
_HOST = re.compile(r"(?:127\.0\.0\.1|localhost|[a-z0-9.-]+\.localhost|\[::1\])(?::\d+)?", re.IGNORECASE)
BATCH_GET_METRICS = "BatchGetMetrics"
_INVOCATIONS = re.compile(r"/endpoints/([^/]+)/invocations")
_CBOR_OPERATION = re.compile(r"/service/[^/]+/operation/([^/]+)")


@dataclass(frozen=True, slots=True)
class Services:
    """The services behind the gateway, by the service name in a signature's scope.

    json:    services called by JSON 1.1 operation, under the name of their botocore model.
    wsgi:    whole applications.
    metrics: sagemaker-metrics, which is signed as sagemaker and called by REST.
    own:     the sandbox's own operations, which have no botocore model; by the sandbox's own key only.
    """

    invoke: Invoke
    metrics: JsonCall
    own: JsonCall
    json: Mapping[str, JsonCall] = field(default_factory=dict)
    wsgi: Mapping[str, Wsgi] = field(default_factory=dict)


RegionServices = Callable[[str, str], Services]
"""(region, service) -> the services of that region; raises ApiError for an unknown region."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request with a valid signature. body: None for S3 (streamed), or when it was too long.

    region: that it is signed for; empty where the signature has none.
    """

    environ: dict[str, Any]
    service: str
    body: bytes | None
    operation: str
    caller: Caller
    region: str = ""


@dataclass(frozen=True, slots=True)
class Identities:
    """Who may call: the sandbox's own key, and assumed-role sessions within their policies."""

    owner: Caller
    sessions: Sessions
    authorize: Authorize


class Gateway:
    """The WSGI application in front of all services."""

    def __init__(
        self,
        access_key: str,
        secret_key: str,
        services: RegionServices,
        rules: Faults,
        *,
        identities: Identities,
        body_limit: int,
        disk: Disk,
    ) -> None:
        self._identities = identities
        self._disk = disk
        self._access_key, self._secret_key = access_key, secret_key
        self._services, self._faults, self._body_limit = services, rules, body_limit

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            _check_host(environ)
            _check_body_length(environ)
            request = self._authenticate(environ)
        except ApiError as error:
            return _send(_refusal(error, environ), start_response)
        try:
            self._authorize(request)
        except ApiError as error:
            return _send(error_reply(error, dialect(environ, request.service)), start_response)
        except ConnectionError:
            raise
        except Exception as problem:  # noqa: BLE001 - printed, and reported to the client
            reply = error_reply(self._failure(request, problem), dialect(environ, request.service))
            return _send(reply, start_response)
        rule = self._faults.match(request.service, request.operation)
        if rule is None:
            return self._answer(request, start_response)

        def app(_: Any, respond: Any) -> Iterable[bytes]:
            return self._answer(request, respond)

        return faults.apply(rule, request.service, environ, start_response, app)

    def _authenticate(self, environ: dict[str, Any]) -> SignedRequest:
        """Verify the signature, identify the caller and read the body. Raises ApiError."""
        now = datetime.now(UTC)
        if sigv2.is_presigned(environ):
            caller, key, secret = self._caller(environ, sigv2.access_key(environ), "s3", now)
            sigv2.verify(environ, key, secret, now)
            sigv2.strip(environ)
            return SignedRequest(environ, "s3", None, _operation(environ, "s3", b""), caller)
        signature = sigv4.parse(environ)
        service, body = signature.service, None
        if service == "s3":
            # A presigned URL signs no body; other requests send its hash, which the S3 store verifies.
            default = "UNSIGNED-PAYLOAD" if signature.expires else sigv4.EMPTY_SHA256
            digest = str(environ.get("HTTP_X_AMZ_CONTENT_SHA256", default))
        else:
            invoking = _INVOCATIONS.fullmatch(environ["PATH_INFO"])
            body, digest = _read(environ, self._body_limit if invoking else MAX_CONTROL_BODY)
            environ["wsgi.input"] = io.BytesIO(body or b"")
        caller, key, secret = self._caller(environ, signature.access_key, service, now)
        sigv4.verify(environ, signature, key, secret, payload_sha256=digest, now=now)
        environ[CALLER], environ[REGION] = caller, signature.region
        environ[OPERATION] = operation = _operation(environ, service, body or b"")
        return SignedRequest(environ, service, body, operation, caller, signature.region)

    def _caller(
        self, environ: Environ, access_key: str, service: str, now: datetime
    ) -> tuple[Caller, str, str]:
        """Return the caller with an access key, the key and its secret key.

        A session token with the sandbox's own key is ignored: one left in the environment does no harm. A key that
        is not temporary is compared with the sandbox's own when the signature is verified. Raises ApiError.
        """
        if not access_key.startswith("ASIA"):
            return self._identities.owner, self._access_key, self._secret_key
        try:
            caller, secret = self._identities.sessions.read(access_key, sigv4.session_token(environ))
        except InvalidTokenError as problem:
            raise sigv4.invalid_token(service) from problem
        if now.timestamp() > caller.expires:
            raise sigv4.expired_token(service)
        return caller, access_key, secret

    def _authorize(self, request: SignedRequest) -> None:
        """Raise ApiError unless the caller may make the request."""
        if not request.caller.role:
            return
        environ, body = request.environ, request.body or b""
        if request.service == "s3" and environ["REQUEST_METHOD"] == "POST" and _deletes(environ):
            body, _ = _read(environ, MAX_CONTROL_BODY)  # type: ignore[assignment]
            environ["wsgi.input"] = io.BytesIO(body or b"")
        self._identities.authorize(request.caller, request.service, request.operation, environ, body or b"")

    def _answer(self, request: SignedRequest, start_response: Any) -> Iterable[bytes]:
        """Call the request's service; errors become responses in the client's own protocol."""
        try:
            services = self._services(request.region, request.service)
            app = services.wsgi.get(request.service)
            if app is not None:
                return app(request.environ, start_response)
            reply = self._reply(request, services)
        except ConnectionError:
            raise
        except ApiError as error:
            reply = error_reply(error, dialect(request.environ, request.service))
        except Exception as problem:  # noqa: BLE001 - printed, and reported to the client
            reply = error_reply(self._failure(request, problem), dialect(request.environ, request.service))
        return _send(reply, start_response)

    def _failure(self, request: SignedRequest, problem: Exception) -> ApiError:
        """Print an unexpected error and return the error for the client."""
        text = str(problem) if isinstance(problem, DiskFullError) else ""
        if is_full(problem):
            kept = "Nothing of this request was saved; existing data is unchanged."
            text = self._disk.text(problem, None, kept)
        if text:
            print(f"sandbox: {request.operation}: {text}", file=sys.stderr)
            return ApiError(f"{CODE}Exception", text, STATUS)
        traceback.print_exc()
        return ApiError("InternalFailure", f"{type(problem).__name__}: {problem}", 500)

    def _reply(self, request: SignedRequest, services: Services) -> Reply:
        """Call InvokeEndpoint, BatchGetMetrics or a JSON 1.1 operation. Raises ApiError."""
        if request.service == "sagemaker" and request.operation == "InvokeEndpoint":
            name = unquote(request.environ["PATH_INFO"].split("/")[2])
            return services.invoke(request.environ, name, request.body)
        if request.service == OWN_SERVICE:
            return self._call_own(request, services)
        call, operation, model = services.json.get(request.service), request.operation, request.service
        if request.service == "sagemaker" and operation == BATCH_GET_METRICS:
            call, model = services.metrics, "sagemaker-metrics"
        elif not target_operation(request.environ):
            call = None
        if call is None:
            raise unknown_operation(request.service, operation)
        if request.body is None:
            raise ApiError(
                "RequestEntityTooLargeException", f"The body exceeds {MAX_CONTROL_BODY} bytes.", 413
            )
        model = _MODELS.get(model, model)
        return call_json(model, operation, request.body, lambda params: call(operation, params))

    def _call_own(self, request: SignedRequest, services: Services) -> Reply:
        """Call one of the sandbox's own operations. Raises ApiError."""
        if request.caller.role:
            text = (
                f"User: {request.caller.arn} is not authorized to perform: {OWN_SERVICE}:{request.operation}"
            )
            raise ApiError("AccessDeniedException", text)
        return json_reply(services.own(request.operation, json_params(request.body or b"{}")))


def _deletes(environ: Environ) -> bool:
    """Return whether an S3 request is DeleteObjects."""
    return "delete" in parse_qs(str(environ.get("QUERY_STRING", "")), keep_blank_values=True)


def _check_host(environ: Environ) -> None:
    """Refuse a Host header that is not a loopback name. Raises ApiError AccessDeniedException."""
    host = str(environ.get("HTTP_HOST", ""))
    if not _HOST.fullmatch(host):
        raise ApiError(
            "AccessDeniedException",
            f"The sandbox accepts requests to loopback names only, not to {host!r}.",
            403,
        )


def _check_body_length(environ: Environ) -> None:
    """Refuse a request whose body length is unknown, with the error code of the intended service. Raises ApiError."""
    text = str(environ.get(MALFORMED) or "")
    if text:
        s3 = "s3/aws4_request" in _credentials(environ)
        raise ApiError("InvalidRequest" if s3 else "MalformedHttpRequestException", text)


def _credentials(environ: Environ) -> str:
    """Return the parts of a request in which a signature's scope can be."""
    return f"{environ.get('HTTP_AUTHORIZATION', '')}{unquote(str(environ.get('QUERY_STRING', '')))}"


def _refusal(error: ApiError, environ: Environ) -> Reply:
    """Return the response to an unsigned or wrongly signed request, worded as the intended service would."""
    service = ""
    if "s3/aws4_request" in _credentials(environ) or sigv2.is_presigned(environ):
        service = "s3"
    elif error.code == "MissingAuthenticationTokenException" and not target_operation(environ):
        plain = environ["REQUEST_METHOD"] != "POST"
        service = "s3" if plain else ""
        error = ApiError("AccessDenied", "Access Denied", 403) if plain else error
    return error_reply(error, dialect(environ, service))


def _send(reply: Reply, start_response: Any) -> Iterable[bytes]:
    """Start the response and return its body."""
    start_response(reply.status_line(), reply.headers)
    return reply.body


def _read(environ: Environ, limit: int) -> tuple[bytes | None, str]:
    """Return the body, or None when it exceeds `limit` bytes, and the hex SHA-256 of all of it.

    Raises ApiError above MAX_READ.
    """
    stream, digest, kept, size = environ["wsgi.input"], hashlib.sha256(), [], 0
    while piece := _piece(stream):
        digest.update(piece)
        size += len(piece)
        if size > MAX_READ:
            raise ApiError(
                "RequestEntityTooLargeException", f"A body of more than {MAX_READ} bytes is not read.", 413
            )
        if size <= limit:
            kept.append(piece)
        else:
            kept.clear()
    return (b"".join(kept) if size <= limit else None), digest.hexdigest()


def _piece(stream: Any) -> bytes:
    """Read the next piece of the body. Raises ApiError for a malformed chunked body."""
    try:
        piece: bytes = stream.read(1 << 18)
    except (ConnectionError, TimeoutError):
        raise
    except OSError as problem:
        text = f"The chunked body cannot be read: {problem}."
        raise ApiError("MalformedHttpRequestException", text) from problem
    return piece


def _operation(environ: Environ, service: str, body: bytes) -> str:
    """Return the operation's name as the request gives it; for S3 its method and path. Raises ApiError."""
    path = str(environ["PATH_INFO"])
    if service == "s3":
        return f"{environ['REQUEST_METHOD']} {path}"
    if service == "sagemaker" and environ["REQUEST_METHOD"] == "POST" and _INVOCATIONS.fullmatch(path):
        return "InvokeEndpoint"
    if service == "sagemaker" and (environ["REQUEST_METHOD"], path) == ("POST", f"/{BATCH_GET_METRICS}"):
        return BATCH_GET_METRICS
    if match := _CBOR_OPERATION.fullmatch(path):
        return match[1]
    form = str(environ.get("CONTENT_TYPE", "")).startswith("application/x-www-form-urlencoded")
    if form or service in QUERY_SERVICES:
        return form_params(body).get("Action", "")
    return target_operation(environ) or f"{environ['REQUEST_METHOD']} {path}"
