"""Translate botocore's errors once, at the edge, with one table.

`translated` wraps every call to AWS. The error class, its text and its advice are in `BY_EXCEPTION`, `BY_CODE` and
`BY_STATUS`; the functions below only look them up.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from traceback import walk_tb
from typing import Any

import botocore.exceptions as botocore
from botocore.parsers import ResponseParserError

from core.aws.prompts import MfaExpiredError, MfaMissingError
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
    RejectedError,
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
    """The target of a call.

    name:    for messages, such as "AWS (eu-west-1)".
    sandbox: whether it is the sandbox, which has its own advice.
    profile: whose credentials are used; empty: the default ones.
    """

    name: str
    sandbox: bool = False
    profile: str = ""

    @property
    def placeholders(self) -> dict[str, str]:
        """Return what fills in the texts of an `ErrorRule`."""
        option = f" --profile {shlex.quote(self.profile)}" if self.profile else ""
        profile = f"the profile {self.profile}" if self.profile else "the default profile"
        return {"place": self.name, "profile": profile, "option": option}


Todos = Mapping[type[CoreError], str]
"""Better advice for one call, by the class of the error."""


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """One row of the table.

    error:   the error class to raise.
    problem: the end of the sentence "Could not do this: ...". {place}, {profile}, {action} and {code} are filled in.
    todo:    advice. {profile} and {option}, such as " --profile dev", are filled in.
    sandbox: advice for the sandbox; empty: the same.
    """

    error: type[CoreError]
    problem: str
    todo: str = ""
    sandbox: str = ""


NEW_KEYS = "Restart Segdeck: it reads the sandbox's keys when it starts."
UNREACHABLE = ErrorRule(
    UnreachableError,
    "cannot connect to {place}",
    "Check the network, the region and the URL, then try again.",
    "The dashboard restarts the sandbox automatically within seconds; `make sandbox` starts it on its own.",
)
CLOSED = ErrorRule(
    NoReplyError,
    "{place} closed the connection without a response",
    "Try again in a moment.",
    UNREACHABLE.sandbox,
)
SSL = ErrorRule(
    UnreachableError,
    "the TLS connection to {place} failed",
    "Behind a corporate proxy, set AWS_CA_BUNDLE to its certificates.",
)
PROXY = ErrorRule(UnreachableError, "the proxy does not respond", "Check HTTPS_PROXY and NO_PROXY.")
TIMED_OUT = ErrorRule(TimedOutError, "{place} did not respond in time", "Try again in a moment.")
CUT_OFF = ErrorRule(CutOffError, "the response of {place} ended early", "Try again.")
NO_KEYS = ErrorRule(
    CredentialsError,
    "no valid AWS credentials found",
    "Set AWS_PROFILE, or run `aws configure` or `aws sso login{option}`.",
)
NO_PROFILE = ErrorRule(
    CredentialsError,
    "the AWS profile does not exist",
    "Set AWS_PROFILE to one of `aws configure list-profiles`.",
)
EXPIRED = ErrorRule(
    CredentialsError,
    "the AWS credentials have expired",
    "Sign in again with `aws sso login{option}`, or set new keys, then try again.",
    NEW_KEYS,
)
NO_SSO = ErrorRule(
    CredentialsError,
    "there is no IAM Identity Center session for {profile} on this machine",
    "Run `aws sso login{option}`, then try again.",
)
SSO_EXPIRED = ErrorRule(
    CredentialsError,
    "the IAM Identity Center session of {profile} has expired",
    "Run `aws sso login{option}`, then try again.",
)
NO_LOGIN = ErrorRule(
    CredentialsError,
    "there is no sign-in session for {profile} on this machine",
    "Run `aws login{option}`, then try again.",
)
LOGIN_EXPIRED = ErrorRule(
    CredentialsError,
    "the sign-in of {profile} has expired",
    "Run `aws login{option}`, then try again.",
)
MFA_CODE = (
    "Run `aws sts get-caller-identity{option}` in a terminal on the machine that runs Segdeck, as the same user, "
    "and enter the code. Then try again: Segdeck uses that session until it expires."
)
NO_MFA = ErrorRule(
    CredentialsError, "{profile} needs an MFA code, and Segdeck cannot ask for one here", MFA_CODE
)
MFA_EXPIRED = ErrorRule(
    CredentialsError, "the session that an MFA code had started for {profile} has expired", MFA_CODE
)
NOT_ASSUMED = ErrorRule(
    DeniedError,
    "these credentials are not allowed to assume the role",
    "Check that the role exists, that its trust policy names these credentials (and an external ID or MFA, if it "
    "requires one), and that they are allowed to call sts:AssumeRole.",
)
WRONG_KEYS = ErrorRule(
    CredentialsError,
    "{place} does not recognize these credentials",
    "Check the keys or AWS_PROFILE, and that this region is enabled in the account.",
    NEW_KEYS,
)
BAD_SIGNATURE = ErrorRule(
    CredentialsError,
    "{place} rejected the signature",
    "Check the secret key and this machine's clock.",
    NEW_KEYS,
)
DENIED = ErrorRule(
    DeniedError,
    "these credentials are not allowed to {action}",
    "Ask an administrator of the account for this permission.",
)
THROTTLED = ErrorRule(
    ThrottledError, "too many calls in too short a time", "Wait a few seconds, then try again."
)
NOT_FOUND = ErrorRule(
    NotFoundError,
    "it does not exist in {place}",
    "Check the name, the region and the account, or choose another.",
)
NOT_READY = ErrorRule(NotReadyError, "it is not ready yet", "Wait until it is in service, then try again.")
TOO_LARGE = ErrorRule(TooLargeError, "the request is larger than {place} accepts", "Send a smaller image.")
TROUBLE = ErrorRule(
    AwsError, "{place} has an internal problem ({code})", "Try again in a minute; see health.aws.amazon.com."
)
REFUSED = ErrorRule(
    RejectedError,
    "{place} rejected the request ({code})",
    "If the text names a value that you entered, correct it. If not, this service does not support the request.",
)
UNSUPPORTED = ErrorRule(
    RejectedError,
    "{place} does not offer this operation",
    "Use AWS itself for it: other implementations of its API lack some operations.",
    "On AWS it exists.",
)
QUOTA = ErrorRule(
    AwsError,
    "a quota of the account is reached",
    "Wait for other resources to end, or request an increase in Service Quotas.",
)
IN_USE = ErrorRule(
    TakenError, "the name is taken, or the resource is in use", "Use another name, or wait until it is free."
)
UNKNOWN = ErrorRule(
    AwsError, "{place} returned {code}", "Try again; if the error persists, search for the code."
)
BROKEN = ErrorRule(UnexpectedAnswerError, "the response of {place} cannot be read", "Try again.")
BAD_INPUT = ErrorRule(
    InputError, "a value does not have the format that AWS requires", "Correct the value named above."
)
BAD_SETTINGS = ErrorRule(
    SettingsError,
    "the AWS configuration is invalid",
    "Check AWS_REGION, AWS_ENDPOINT_URL and ~/.aws/config.",
)
NO_REGION = ErrorRule(
    SettingsError,
    "no AWS region is set",
    "Set AWS_REGION, for example to eu-west-1, or set a region in the profile.",
)
OTHER = ErrorRule(AwsError, "the call failed", "Try again; if the error persists, search for the message.")

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
    botocore.TokenRetrievalError: SSO_EXPIRED,
    botocore.SSOError: SSO_EXPIRED,  # with UnauthorizedSSOTokenError below it
    botocore.SSOTokenLoadError: NO_SSO,
    botocore.LoginError: LOGIN_EXPIRED,
    botocore.LoginTokenLoadError: NO_LOGIN,
    MfaMissingError: NO_MFA,
    MfaExpiredError: MFA_EXPIRED,
    botocore.RefreshWithMFAUnsupportedError: MFA_EXPIRED,
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
"""By class; the nearest base class of an exception is used."""

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
            "ObjectNotFoundException", "NotFoundException", "NoSuchResourceException",
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
    **dict.fromkeys(("ResourceLimitExceeded", "LimitExceededException", "LimitExceeded"), QUOTA),
    **dict.fromkeys(
        ("ResourceInUse", "ResourceInUseException", "PreconditionFailed", "EntityAlreadyExists"), IN_USE
    ),
    **dict.fromkeys(
        (
            "ValidationError", "ValidationException", "InvalidRequest", "InvalidArgument", "InvalidInput",
            "MalformedPolicyDocument",
        ),
        REFUSED,
    ),
    **dict.fromkeys(
        (
            "UnknownOperationException", "UnknownOperation", "InvalidAction", "NotImplemented",
            "NotImplementedException", "UnsupportedOperation", "UnsupportedOperationException",
        ),
        UNSUPPORTED,
    ),
}  # fmt: skip
"""By the service's own error code."""

BY_STATUS: dict[int, ErrorRule] = {
    403: DENIED,
    404: NOT_FOUND,
    405: UNSUPPORTED,
    413: TOO_LARGE,
    429: THROTTLED,
    501: UNSUPPORTED,
}
"""By HTTP status, for an unknown code (a proxy's page, the empty response to HEAD)."""

MISSING = re.compile(r"not found|could not find|cannot find|does not exist", re.IGNORECASE)
"""SageMaker returns `ValidationException` for a missing resource; only the message shows the difference."""

TAKEN = re.compile(r"already exist", re.IGNORECASE)
BUSY = re.compile(r"in-progress|in progress", re.IGNORECASE)
"""The same for a name that is taken, and an endpoint that is being changed."""

BY_TEXT = ((MISSING, NOT_FOUND), (TAKEN, IN_USE), (BUSY, NOT_READY))

LOG_URL = re.compile(r"https://\S+")
ACTION = re.compile(r"to perform: (\S+)")
MODEL_TODO = "Check the container's log; if it ran out of memory or time, send a smaller image."


@contextmanager
def translated(doing: str, place: AwsLocation, *, todos: Todos | None = None) -> Iterator[None]:
    """Translate botocore's errors.

    doing: the rest of "Could not ...", such as "list the endpoints".
    todos: more specific advice for this call.
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
    """Return whether botocore failed to parse a response: not every such failure is an error of its own."""
    return any(
        frame.f_globals.get("__name__") == "botocore.parsers" for frame, _ in walk_tb(error.__traceback__)
    )


def _unreadable(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "It is not UTF-8 text."
    return (
        "It is nested too deeply."
        if isinstance(error, RecursionError)
        else "Its structure is not that of an AWS response."
    )


def translate(error: Exception, doing: str, place: AwsLocation, todos: Todos | None = None) -> CoreError:
    """Return the CoreError for an error of botocore's."""
    if isinstance(error, botocore.ClientError):
        return _from_service(error, doing, place, todos or {})
    rule = next(BY_EXCEPTION[kind] for kind in type(error).__mro__ if kind in BY_EXCEPTION)
    return _made(rule, doing, place, todos or {}, why=_sentence(str(error)))


def required(answer: Mapping[str, Any], key: str, doing: str, *, todo: str = "Try again.") -> Any:
    """Return `answer[key]`, which a successful response must have. Raises UnexpectedAnswerError.

    botocore silently parses an empty or truncated JSON body as `{}`.
    """
    if key not in answer:
        raise UnexpectedAnswerError(
            f"Could not {doing}: the response has no {key}.",
            why="The response was empty or truncated.",
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
    if rule is DENIED and error.operation_name == "AssumeRole":
        rule = NOT_ASSUMED
    action = ACTION.search(message)
    return _made(
        rule,
        doing,
        place,
        todos,
        why=_sentence(message),
        action=action[1] if action else str(error.operation_name),
        code=code or str(status),
        request_id=_request_id(error),
        http_status=status,
    )


def _from_container(
    error: botocore.ClientError, doing: str, place: AwsLocation, todos: Todos, message: str
) -> CoreError:
    """Translate a ModelError: the service works, but the model's container returned an error."""
    status = int(error.response.get("OriginalStatusCode") or 0)
    why = _sentence(str(error.response.get("OriginalMessage") or message))
    if status == 413:
        return _made(
            TOO_LARGE, doing, place, todos, why=why, code="ModelError", request_id=_request_id(error)
        )
    link = LOG_URL.search(message)
    return ModelError(
        f"Could not {doing}: the model's container returned {f'status {status}' if status else 'an error'}.",
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
    fill = place.placeholders
    what = f"Could not {doing}: {rule.problem.format(**fill, action=action, code=code)}."
    advice = ((place.sandbox and rule.sandbox) or rule.todo).format(**fill)
    own = rule in (NOT_ASSUMED,)  # no call's own advice fits: the role is assumed for all of them
    todo = advice if own else todos.get(rule.error) or advice
    if issubclass(rule.error, AwsError):
        return rule.error(what, why=why, todo=todo, code=code, request_id=request_id, http_status=http_status)
    return rule.error(what, why=why, todo=todo)


def _request_id(error: botocore.ClientError) -> str:
    return str(error.response.get("ResponseMetadata", {}).get("RequestId", ""))


def _sentence(text: str) -> str:
    """Return the service's message, ending with a period."""
    text = text.strip()
    return text if not text or text[-1] in ".!?" else f"{text}."
