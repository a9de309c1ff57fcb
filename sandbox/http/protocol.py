"""The AWS wire protocols, driven by botocore's own service models.

A request's parameters are validated against the operation's input shape, in AWS's words; a result is projected onto
the output shape, so a stored document may hold more than AWS would return. Times are sent and stored as epoch
seconds, their form in JSON 1.1.

    ApiError        raised by an operation; becomes an error response in the client's own protocol
    call_json       validate, run, project: one JSON 1.1 operation
    error_reply     an ApiError as JSON, REST-JSON, query XML, S3 XML or CBOR

Source: botocore/data (the service models) and botocore/parsers.py (how clients read each protocol).
"""

from __future__ import annotations

import functools
import json
import math
import os
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

import botocore.session
from botocore.model import OperationModel, ServiceModel, Shape

Params = dict[str, Any]
Environ = Mapping[str, Any]
Headers = list[tuple[str, str]]
JSON_TYPE = "application/x-amz-json-1.1"

_REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    507: "Insufficient Storage",
    413: "Request Entity Too Large",
}


class ApiError(Exception):
    """An error for the client: AWS's code, words and HTTP status; `extra` are further members."""

    def __init__(self, code: str, message: str, status: int = 400, **extra: Any) -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.extra = code, message, status, extra


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP response; `body` may be a generator that streams."""

    status: int
    headers: Headers
    body: Iterable[bytes] = field(default=())

    def status_line(self) -> str:
        """Return status and reason, e.g. "404 Not Found"."""
        return f"{self.status} {_REASONS.get(self.status, 'Status')}"


@functools.cache
def service(name: str) -> ServiceModel:
    """Return botocore's model of a service, e.g. "sagemaker", "logs"."""
    # The user's own profile and configuration must not apply here, and may not even exist.
    nothing = {"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
    return botocore.session.Session(session_vars=nothing).get_service_model(name)


# -- numbers in headers, queries and bodies


def whole_number(text: str, *, low: int = 0, high: int = 2**63 - 1) -> int | None:
    """Parse a number in plain digits between `low` and `high`, both at least 0; return None for anything else.

    int() also accepts signs, spaces, underscores and other scripts' digits, and raises above 4,300 digits.
    """
    if not re.fullmatch(r"[0-9]{1,19}", text):
        return None
    number = int(text)
    return number if low <= number <= high else None


def shortened(text: str, length: int = 40) -> str:
    """Return a value for an error message, truncated to `length` characters."""
    return text if len(text) <= length else f"{text[:length]}... ({len(text)} characters)"


# -- operations of the query and JSON 1.1 protocols

OPERATION = "sandbox.operation"
"""The operation of a request, in its environ: the gateway decides it, and authorizes and runs the same one."""


def form_params(body: bytes) -> dict[str, str]:
    """Return the parameters of the query protocol. Raises ApiError for one that is given twice."""
    pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    params = dict(pairs)
    if len(params) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ApiError(
            "MalformedQueryString", f"The parameter {shortened(repeated)!r} is given more than once."
        )
    return params


def target_operation(environ: Environ) -> str:
    """Return the operation named by the X-Amz-Target header, e.g. "DescribeEndpoint"; empty without one."""
    return str(environ.get("HTTP_X_AMZ_TARGET", "")).rpartition(".")[2]


def call_json(name: str, operation: str, body: bytes, run: Callable[[Params], Params | None]) -> Reply:
    """Run one JSON 1.1 operation of service `name`: `run` gets validated parameters and returns the result.

    Raises ApiError for an unknown operation, a body that is not a JSON object, and whatever `run` raises.
    """
    model = operation_model(name, operation)
    params = json_params(body)
    validate(model, params)
    result = run(params)
    return json_reply(None if model.output_shape is None else project(model.output_shape, result or {}))


def operation_model(name: str, operation: str) -> OperationModel:
    """Return the model of an operation. Raises ApiError UnknownOperationException (400: no client retries it)."""
    model = service(name)
    if operation not in model.operation_names:
        raise unknown_operation(name, operation)
    return model.operation_model(operation)


def unknown_operation(name: str, operation: str) -> ApiError:
    """Return the error for an operation that the sandbox lacks."""
    return ApiError(
        "UnknownOperationException", f"The sandbox does not support {operation or '(none)'} of {name}."
    )


def json_params(body: bytes) -> Params:
    """Parse a request's body. Raises ApiError SerializationException."""
    try:
        params = json.loads(body or b"{}", parse_constant=_not_json)
    except (ValueError, RecursionError) as problem:
        raise ApiError("SerializationException", f"The body is not JSON: {problem}") from problem
    if not isinstance(params, dict):
        raise ApiError("SerializationException", "Start of structure or map found where not expected.")
    return params


def _not_json(constant: str) -> None:
    """Refuse NaN and Infinity, which Python's parser accepts."""
    raise ValueError(f"{constant} is not a valid JSON number")


# -- validation


def validate(model: OperationModel, params: Params) -> None:
    """Raise ApiError ValidationException that lists every member that breaks its constraint, as AWS does."""
    problems: list[str] = []
    if model.input_shape is not None:
        _check(model.input_shape, params, "", problems)
    if problems:
        count = f"{len(problems)} validation error{'s' if len(problems) > 1 else ''} detected"
        raise ApiError("ValidationException", f"{count}: {'; '.join(problems)}")


def _check(shape: Shape, value: Any, path: str, problems: list[str]) -> None:
    """Append the violations of one value to `problems`."""
    check = _CHECKS.get(shape.type_name)
    if check is not None:
        check(shape, value, path, problems)


def _check_structure(shape: Shape, value: Any, path: str, problems: list[str]) -> None:
    _require(isinstance(value, dict), "structure", path)
    missing = (name for name in shape.required_members if value.get(name) is None)
    problems.extend(_broken(None, _join(path, name), "Member must not be null") for name in missing)
    for name, item in value.items():
        if name in shape.members and item is not None:
            _check(shape.members[name], item, _join(path, name), problems)


def _check_list(shape: Shape, value: Any, path: str, problems: list[str]) -> None:
    _require(isinstance(value, list), "list", path)
    _check_length(shape, value, path, problems)
    for number, item in enumerate(value, start=1):
        _check(shape.member, item, f"{path}.{number}.member", problems)


def _check_map(shape: Shape, value: Any, path: str, problems: list[str]) -> None:
    _require(isinstance(value, dict), "map", path)
    _check_length(shape, value, path, problems)
    for key, item in value.items():
        _check(shape.key, key, path, problems)
        _check(shape.value, item, f"{path}.{key}.member", problems)


def _check_string(shape: Shape, value: Any, path: str, problems: list[str]) -> None:
    _require(isinstance(value, str), "string", path)
    names = shape.metadata.get("enum")
    if names and value not in names:
        problems.append(_broken(value, path, f"Member must satisfy enum value set: [{', '.join(names)}]"))
    _check_length(shape, value, path, problems)
    pattern = shape.metadata.get("pattern")
    rule = _compiled(pattern) if pattern and len(value) <= 8192 else None
    if rule is not None and not rule.fullmatch(value):
        problems.append(_broken(value, path, f"Member must satisfy regular expression pattern: {pattern}"))


def _check_number(shape: Shape, value: Any, path: str, problems: list[str]) -> None:
    _require(isinstance(value, int | float) and not isinstance(value, bool), "number", path)
    kind = shape.type_name
    if kind in _WHOLE:
        _require(isinstance(value, int) and abs(value) < _WHOLE[kind], f"whole number of {kind} size", path)
    else:
        _require(abs(value) < _LATEST if kind == "timestamp" else _is_double(value), f"{kind} in range", path)
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and value < low:
        problems.append(_broken(value, path, f"Member must have value greater than or equal to {low}"))
    if high is not None and value > high:
        problems.append(_broken(value, path, f"Member must have value less than or equal to {high}"))


def _is_double(value: float) -> bool:
    """Return whether a number is finite and fits a double."""
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the largest double
        return False


def _check_length(shape: Shape, value: Any, path: str, problems: list[str]) -> None:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and len(value) < low:
        problems.append(_broken(value, path, f"Member must have length greater than or equal to {low}"))
    if high is not None and len(value) > high:
        problems.append(_broken(value, path, f"Member must have length less than or equal to {high}"))


def _check_boolean(_shape: Shape, value: Any, path: str, _problems: list[str]) -> None:
    _require(isinstance(value, bool), "boolean", path)


_WHOLE = {"integer": 2**31, "long": 2**63}
_LATEST = 253_402_300_800  # seconds since 1970: the year 10000

_CHECKS: dict[str, Callable[[Shape, Any, str, list[str]], None]] = {
    "structure": _check_structure,
    "list": _check_list,
    "map": _check_map,
    "string": _check_string,
    "integer": _check_number,
    "long": _check_number,
    "float": _check_number,
    "double": _check_number,
    "timestamp": _check_number,
    "boolean": _check_boolean,
}


def _require(good: bool, kind: str, path: str) -> None:
    """Raise ApiError SerializationException for a value of the wrong type."""
    if not good:
        raise ApiError("SerializationException", f"Expected a {kind} at '{path or 'the top level'}'.")


def _broken(value: Any, path: str, constraint: str) -> str:
    """Return AWS's text for a violated constraint."""
    shown = "Value null" if value is None else f"Value '{value}'"
    return f"{shown} at '{path}' failed to satisfy constraint: {constraint}"


def _join(path: str, name: str) -> str:
    """Return the path of a member, its first letter in lower case as in AWS's texts."""
    member = name[0].lower() + name[1:]
    return f"{path}.{member}" if path else member


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """Return the model's Java pattern for Python's re; None, for no check, when Python cannot express it."""
    # Except the first two, these classes are inside a character class in botocore's models.
    java = {
        r"\p{ASCII}": r"\x00-\x7f" if r"[\p{ASCII}" in pattern else r"[\x00-\x7f]",
        r"\p{Print}": r"\x20-\x7e" if r"[\p{Print}" in pattern else r"[\x20-\x7e]",
        r"\p{L}": r"\w",
        r"\p{Z}": " ",
        r"\p{N}": "0-9",
        r"\p{M}": "",
        r"\p{S}": r"$+<=>^`|~",
        r"\p{P}": r"!-/:-@\[-`{-~",
        r"\z": r"\Z",
    }
    for old, new in java.items():
        pattern = pattern.replace(old, new)
    try:
        return re.compile(pattern)
    except re.error:
        return None


# -- answers


def project(shape: Shape, value: Any) -> Any:
    """Return `value` reduced to the members of the output shape; members that are None are omitted."""
    if value is None:
        return None
    if shape.type_name == "structure":
        members = shape.members
        known = ((name, item) for name, item in value.items() if item is not None and name in members)
        # Most values are scalars: a page of search results has thousands, and skipping the call for each is faster.
        return {
            name: project(members[name], item) if isinstance(item, dict | list) else item
            for name, item in known
        }
    if shape.type_name == "list":
        return [project(shape.member, item) for item in value]
    if shape.type_name == "map":
        plain = shape.value.type_name not in {"structure", "list", "map"}
        return dict(value) if plain else {key: project(shape.value, item) for key, item in value.items()}
    return value


def json_reply(value: Any, status: int = 200, headers: Headers | None = None) -> Reply:
    """Return a JSON response; None gives the empty body of an operation without output."""
    body = b"" if value is None else json.dumps(value).encode()
    return bytes_reply(body, JSON_TYPE, status, headers)


def bytes_reply(body: bytes, content_type: str, status: int = 200, headers: Headers | None = None) -> Reply:
    """Return a response with this body and a new request id."""
    fixed = [
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        ("x-amzn-RequestId", str(uuid.uuid4())),
    ]
    return Reply(status, fixed + (headers or []), [body])


def dialect(environ: Environ, service_name: str) -> str:
    """Return the protocol in which the client expects errors: "s3", "cbor", "query" or "json"."""
    if service_name == "s3":
        return "s3"
    if environ.get("HTTP_SMITHY_PROTOCOL") == "rpc-v2-cbor":
        return "cbor"
    if str(environ.get("CONTENT_TYPE", "")).startswith("application/x-www-form-urlencoded"):
        return "query"
    return "json"


def error_reply(error: ApiError, style: str = "json") -> Reply:
    """Return the error as a response in the protocol `style` (see `dialect`)."""
    code, message = escape(error.code), escape(error.message)
    if style == "s3":
        inner = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        xml = f'<?xml version="1.0" encoding="UTF-8"?>\n{inner}'
        return bytes_reply(xml.encode(), "application/xml", error.status)
    if style == "query":
        inner = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        xml = f"<ErrorResponse>{inner}<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
        return bytes_reply(xml.encode(), "text/xml", error.status)
    if style == "cbor":
        body = _cbor({"__type": error.code, "message": error.message})
        return bytes_reply(body, "application/cbor", error.status, [("smithy-protocol", "rpc-v2-cbor")])
    # REST-JSON operations use "Message", JSON 1.1 "message"; clients read either.
    members = {"__type": error.code, "message": error.message, "Message": error.message, **error.extra}
    return json_reply(members, error.status, [("x-amzn-ErrorType", error.code)])


def _cbor(texts: dict[str, str]) -> bytes:
    """Return a CBOR map of text to text (RFC 8949), which is all that an error needs."""

    def head(major: int, length: int) -> bytes:
        return bytes([major << 5 | 26]) + length.to_bytes(4, "big")

    items = (item.encode() for pair in texts.items() for item in pair)
    return head(5, len(texts)) + b"".join(head(3, len(item)) + item for item in items)
