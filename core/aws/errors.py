"""botocore's errors in our words, translated once, at the edge, by one table.

`translated` stands around every call to AWS. What happened, in which words and what to do about it lies in
`BY_EXCEPTION`, `BY_CODE` and `BY_STATUS`; the functions below only look it up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from traceback import walk_tb
from typing import Any

import botocore.exceptions as botocore
from botocore.parsers import ResponseParserError

from core.errors import (
    AwsError,
    CoreError,
    CredentialsError,
    CutOffError,
    DeniedError,
    InputError,
    ModelError,
    NoReplyError,
    NotFoundError,
    NotReadyError,
    SettingsError,
    TakenError,
    ThrottledError,
    TimedOutError,
    TooLargeError,
    UnexpectedAnswerError,
    UnreachableError,
)


@dataclass(frozen=True, slots=True)
class AwsLocation:
    """Where a call goes to.

    name:    in words, such as "AWS in eu-west-1".
    sandbox: whether that is our own sandbox, for which other things help.
    """

    name: str
    sandbox: bool = False


Todos = Mapping[type[CoreError], str]
"""Better advice for one call, by the class of the error."""


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """One line of the table.

    error:   the class of ours.
    problem: the end of the sentence "Could not do this: ...". {place}, {action} and {code} are filled in.
    todo:    what helps.
    sandbox: what helps when the place is the sandbox; empty: the same.
    """

    error: type[CoreError]
    problem: str
    todo: str = ""
    sandbox: str = ""


NEW_KEYS = "Restart Segdeck: it reads the sandbox's keys at its start."
UNREACHABLE = ErrorRule(
    UnreachableError,
    "nothing answers at {place}",
    "Check the network, the region and the address, then try again.",
    "The dashboard starts the sandbox again by itself in a few seconds; `make sandbox` starts it alone.",
)
CLOSED = ErrorRule(
    NoReplyError,
    "{place} closed the connection without an answer",
    "Try again in a moment.",
    UNREACHABLE.sandbox,
)
SSL = ErrorRule(
    UnreachableError,
    "no encrypted connection to {place} came about",
    "Behind a company proxy, AWS_CA_BUNDLE must name its certificates.",
)
PROXY = ErrorRule(UnreachableError, "the proxy does not answer", "Check HTTPS_PROXY and NO_PROXY.")
TIMED_OUT = ErrorRule(TimedOutError, "{place} did not answer in time", "Try again in a moment.")
CUT_OFF = ErrorRule(CutOffError, "the answer of {place} stopped before its end", "Try again.")
NO_KEYS = ErrorRule(
    CredentialsError,
    "there are no usable AWS credentials",
    "Set AWS_PROFILE, or run `aws configure` or `aws sso login`.",
)
NO_PROFILE = ErrorRule(
    CredentialsError, "the AWS profile is unknown", "Set AWS_PROFILE to one of `aws configure list-profiles`."
)
EXPIRED = ErrorRule(
    CredentialsError,
    "the AWS credentials have expired",
    "Sign in again, with `aws sso login` or with new keys, then try again.",
    NEW_KEYS,
)
WRONG_KEYS = ErrorRule(
    CredentialsError,
    "{place} does not know these credentials",
    "Check the keys or AWS_PROFILE, and that the account has this region switched on.",
    NEW_KEYS,
)
BAD_SIGNATURE = ErrorRule(
    CredentialsError,
    "{place} refused the signature",
    "Either the secret key is wrong, or this machine's clock is off: compare both.",
    NEW_KEYS,
)
DENIED = ErrorRule(
    DeniedError,
    "these credentials are not allowed to {action}",
    "Ask whoever manages the account to allow it.",
)
THROTTLED = ErrorRule(
    ThrottledError, "too many calls in too short a time", "Wait a few seconds, then try again."
)
NOT_FOUND = ErrorRule(
    NotFoundError,
    "it does not exist at {place}",
    "Check the name, the region and the account, or pick another.",
)
NOT_READY = ErrorRule(NotReadyError, "it is not ready yet", "Wait until it is in service, then try again.")
TOO_LARGE = ErrorRule(TooLargeError, "the request is larger than {place} takes", "Send a smaller picture.")
TROUBLE = ErrorRule(
    AwsError, "{place} has trouble of its own ({code})", "Try again in a minute; see health.aws.amazon.com."
)
REFUSED = ErrorRule(AwsError, "{place} refused it ({code})", "Correct what the text names, then try again.")
QUOTA = ErrorRule(
    AwsError,
    "a quota of the account is reached",
    "Wait for something else to end, or ask for more under Service Quotas.",
)
IN_USE = ErrorRule(
    TakenError, "the name is taken, or it is in use", "Take another name, or wait until it is free."
)
UNKNOWN = ErrorRule(AwsError, "{place} answered {code}", "Try again; if it stays, search for the code.")
BROKEN = ErrorRule(UnexpectedAnswerError, "the answer of {place} cannot be read", "Try again.")
BAD_INPUT = ErrorRule(
    InputError, "a value does not have the form AWS asks for", "Correct the value that the text names."
)
BAD_SETTINGS = ErrorRule(
    SettingsError,
    "the AWS configuration cannot be used",
    "Check AWS_REGION, AWS_ENDPOINT_URL and ~/.aws/config.",
)
NO_REGION = ErrorRule(
    SettingsError,
    "no AWS region is set",
    "Set AWS_REGION, for example to eu-west-1, or give the profile a region.",
)
OTHER = ErrorRule(AwsError, "the call failed", "Try again; if it stays, search for the text.")

BY_EXCEPTION: dict[type[Exception], ErrorRule] = {
    botocore.ConnectionError: UNREACHABLE,  # with EndpointConnectionError and ConnectTimeoutError below it
    botocore.SSLError: SSL,
    botocore.ProxyConnectionError: PROXY,
    botocore.ConnectionClosedError: CLOSED,
    botocore.HTTPClientError: CLOSED,
    botocore.ReadTimeoutError: TIMED_OUT,
    botocore.ResponseStreamingError: CUT_OFF,
    botocore.IncompleteReadError: CUT_OFF,
    botocore.ChecksumError: CUT_OFF,
    botocore.FlexibleChecksumError: CUT_OFF,
    botocore.NoCredentialsError: NO_KEYS,
    botocore.PartialCredentialsError: NO_KEYS,
    botocore.CredentialRetrievalError: NO_KEYS,
    botocore.UnknownCredentialError: NO_KEYS,
    botocore.MetadataRetrievalError: NO_KEYS,
    botocore.NoAuthTokenError: NO_KEYS,
    botocore.InfiniteLoopConfigError: NO_KEYS,
    botocore.TokenRetrievalError: EXPIRED,
    botocore.SSOError: EXPIRED,  # with SSOTokenLoadError and UnauthorizedSSOTokenError below it
    botocore.LoginError: EXPIRED,
    botocore.RefreshWithMFAUnsupportedError: EXPIRED,
    botocore.ProfileNotFound: NO_PROFILE,
    botocore.NoRegionError: NO_REGION,
    botocore.InvalidRegionError: BAD_SETTINGS,
    botocore.BaseEndpointResolverError: BAD_SETTINGS,
    botocore.EndpointProviderError: BAD_SETTINGS,
    botocore.ConfigParseError: BAD_SETTINGS,
    botocore.ConfigNotFound: BAD_SETTINGS,
    botocore.InvalidConfigError: BAD_SETTINGS,
    botocore.InvalidRetryConfigurationError: BAD_SETTINGS,
    botocore.ParamValidationError: BAD_INPUT,
    ResponseParserError: BROKEN,
    UnicodeDecodeError: BROKEN,  # of a body that should be JSON, which botocore does not translate
    botocore.BotoCoreError: OTHER,
}
"""By class; the nearest class of an exception's own line of ancestors counts."""

BY_CODE: dict[str, ErrorRule] = {
    **dict.fromkeys(
        (
            "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "SlowDown",
            "RequestThrottledException", "TooManyRequestsException", "RequestLimitExceeded", "BandwidthLimitExceeded",
        ),
        THROTTLED,
    ),
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"), EXPIRED
    ),
    **dict.fromkeys(
        (
            "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "InvalidToken",
            "AuthFailure", "MissingAuthenticationToken", "MissingAuthenticationTokenException", "NotAuthorized",
        ),
        WRONG_KEYS,
    ),
    **dict.fromkeys(
        (
            "SignatureDoesNotMatch", "InvalidSignatureException", "RequestTimeTooSkewed", "IncompleteSignature",
            "IncompleteSignatureException",
        ),
        BAD_SIGNATURE,
    ),
    **dict.fromkeys(
        ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AllAccessDisabled"), DENIED
    ),
    **dict.fromkeys(
        (
            "ResourceNotFound", "ResourceNotFoundException", "NoSuchKey", "NoSuchBucket", "NoSuchEntity", "NotFound",
            "ObjectNotFoundException",
        ),
        NOT_FOUND,
    ),
    **dict.fromkeys(("ModelNotReadyException",), NOT_READY),
    **dict.fromkeys(("RequestEntityTooLarge", "RequestEntityTooLargeException", "EntityTooLarge"), TOO_LARGE),
    **dict.fromkeys(
        (
            "ServiceUnavailable", "ServiceUnavailableException", "InternalFailure", "InternalServerError",
            "InternalError", "InternalDependencyException",
        ),
        TROUBLE,
    ),
    **dict.fromkeys(("ResourceLimitExceeded", "LimitExceededException"), QUOTA),
    **dict.fromkeys(("ResourceInUse", "ResourceInUseException", "PreconditionFailed"), IN_USE),
    **dict.fromkeys(("ValidationError", "ValidationException", "InvalidRequest", "InvalidArgument"), REFUSED),
}  # fmt: skip
"""By the service's own error code."""

BY_STATUS: dict[int, ErrorRule] = {403: DENIED, 404: NOT_FOUND, 413: TOO_LARGE, 429: THROTTLED}
"""By HTTP status, for a code nobody knows (a proxy's page, a HEAD's empty answer)."""

MISSING = re.compile(r"not found|could not find|cannot find|does not exist", re.IGNORECASE)
"""SageMaker calls a missing thing a `ValidationException`, and tells the difference in its text alone."""

TAKEN = re.compile(r"already exist", re.IGNORECASE)
BUSY = re.compile(r"in-progress|in progress", re.IGNORECASE)
"""Likewise a name that is taken, and an endpoint that AWS is at work on."""

BY_TEXT = ((MISSING, NOT_FOUND), (TAKEN, IN_USE), (BUSY, NOT_READY))

LOG_URL = re.compile(r"https://\S+")
ACTION = re.compile(r"to perform: (\S+)")
MODEL_TODO = "Look into the container's log; a smaller picture helps where memory or time ran out."


@contextmanager
def translated(doing: str, place: AwsLocation, *, todos: Todos | None = None) -> Iterator[None]:
    """Turn botocore's errors into ours.

    doing: the rest of "Could not ...", such as "list the endpoints".
    todos: better advice for this call.
    """
    try:
        yield
    except (botocore.BotoCoreError, botocore.ClientError, ResponseParserError, UnicodeDecodeError) as error:
        raise translate(error, doing, place, todos or {}) from error
    except Exception as error:
        if not _raised_by_parser(error):
            raise
        raise _made(BROKEN, doing, place, todos or {}, why=_unreadable(error)) from error


def _raised_by_parser(error: Exception) -> bool:
    """Return whether botocore failed at the bytes of a reply: not every such failure is an error of its own."""
    return any(
        frame.f_globals.get("__name__") == "botocore.parsers" for frame, _ in walk_tb(error.__traceback__)
    )


def _unreadable(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "It is not text in UTF-8."
    return (
        "It is nested too deeply."
        if isinstance(error, RecursionError)
        else "It has another layout than AWS's."
    )


def translate(error: Exception, doing: str, place: AwsLocation, todos: Todos | None = None) -> CoreError:
    """The error of ours that says the same as one of botocore's."""
    if isinstance(error, botocore.ClientError):
        return _from_service(error, doing, place, todos or {})
    rule = next(BY_EXCEPTION[kind] for kind in type(error).__mro__ if kind in BY_EXCEPTION)
    return _made(rule, doing, place, todos or {}, why=_sentence(str(error)))


def required(answer: Mapping[str, Any], key: str, doing: str, *, todo: str = "Try again.") -> Any:
    """`answer[key]`, for what a success must hold. Raises UnexpectedAnswerError.

    botocore makes `{}` of a JSON body that is empty or cut, without a word.
    """
    if key not in answer:
        raise UnexpectedAnswerError(
            f"Could not {doing}: the answer holds no {key}.",
            why="The answer was empty, or was cut on its way.",
            todo=todo,
            request_id=str(answer.get("ResponseMetadata", {}).get("RequestId", "")),
        )
    return answer[key]


def _from_service(error: botocore.ClientError, doing: str, place: AwsLocation, todos: Todos) -> CoreError:
    details = error.response.get("Error", {})
    code, message = str(details.get("Code", "")), str(details.get("Message", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code == "ModelError":
        return _from_container(error, doing, place, todos, message)
    rule = BY_CODE.get(code) or BY_STATUS.get(status) or (TROUBLE if status >= 500 else UNKNOWN)
    if rule is REFUSED:
        rule = next((other for pattern, other in BY_TEXT if pattern.search(message)), rule)
    named = ACTION.search(message)
    return _made(
        rule,
        doing,
        place,
        todos,
        why=_sentence(message),
        action=named[1] if named else str(error.operation_name),
        code=code or str(status),
        request_id=_request_id(error),
        http_status=status,
    )


def _from_container(
    error: botocore.ClientError, doing: str, place: AwsLocation, todos: Todos, message: str
) -> CoreError:
    """ModelError: the service is well, but the model's container answered with an error."""
    status = int(error.response.get("OriginalStatusCode") or 0)
    why = _sentence(str(error.response.get("OriginalMessage") or message))
    if status == 413:
        return _made(
            TOO_LARGE, doing, place, todos, why=why, code="ModelError", request_id=_request_id(error)
        )
    link = LOG_URL.search(message)
    return ModelError(
        f"Could not {doing}: the model's container answered with {f'status {status}' if status else 'an error'}.",
        why=why,
        todo=todos.get(ModelError, MODEL_TODO),
        code="ModelError",
        request_id=_request_id(error),
        status=status,
        log_url=link[0].rstrip(".,") if link else "",
    )


def _made(
    rule: ErrorRule,
    doing: str,
    place: AwsLocation,
    todos: Todos,
    *,
    why: str,
    action: str = "",
    code: str = "",
    request_id: str = "",
    http_status: int = 0,
) -> CoreError:
    what = f"Could not {doing}: {rule.problem.format(place=place.name, action=action, code=code)}."
    todo = todos.get(rule.error) or (place.sandbox and rule.sandbox) or rule.todo
    if issubclass(rule.error, AwsError):
        return rule.error(what, why=why, todo=todo, code=code, request_id=request_id, http_status=http_status)
    return rule.error(what, why=why, todo=todo)


def _request_id(error: botocore.ClientError) -> str:
    return str(error.response.get("ResponseMetadata", {}).get("RequestId", ""))


def _sentence(text: str) -> str:
    """The other side's own words, ended with a full stop."""
    text = text.strip()
    return text if not text or text[-1] in ".!?" else f"{text}."
