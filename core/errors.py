"""Every error that Segdeck raises on purpose.

CoreError                      what happened, why, what to do now
├── InputError                 invalid user input
│   ├── SettingsError          an environment variable or option
│   │   └── JournalError       the journal of changes cannot be read or written
│   ├── ImageError             an image or mask
│   └── ArtifactError          a model.tar.gz
├── DecodeError                invalid bytes, such as a malformed endpoint response
└── AwsError                   AWS, or the sandbox, refused or failed
    ├── UnreachableError       no server responds at the address
    │   └── NoReplyError       the connection was closed before the response: the call may have succeeded
    ├── TimedOutError          the response did not arrive in time
    ├── CutOffError            the response ended early
    ├── CredentialsError       missing, wrong or expired
    ├── DeniedError            valid credentials, but not allowed
    ├── ThrottledError         too many calls
    ├── RejectedError          the operation, a parameter or a filter is not accepted
    ├── NotFoundError          no such endpoint, bucket, object, ...
    ├── NotReadyError          it exists, but is not in service (yet)
    ├── TakenError             the name is taken, or the resource is in use
    ├── TooLargeError          above the request size limit
    ├── ModelError             the model's container failed; has the link to its log
    └── UnexpectedAnswerError  a success whose body lacks a required field

botocore's own exceptions are translated once, in `core.aws.errors`.
"""

from __future__ import annotations


class CoreError(Exception):
    """An error with an explanation.

    what: one sentence, with where it happened and the value found.
    why:  the cause in plain words, or the server's own message; may be empty.
    todo: what the user can do now; may be empty.
    """

    unclear = False
    """Whether the change may have been made although the call failed: its response was lost."""

    def __init__(self, what: str, *, why: str = "", todo: str = "") -> None:
        super().__init__(what)
        self.what, self.why, self.todo = what, why, todo

    def __str__(self) -> str:
        return " ".join(part for part in (self.what, self.why, self.todo) if part)


class InputError(CoreError):
    """User input that cannot be used."""


class SettingsError(InputError):
    """An environment variable or option has no usable value."""


class JournalError(SettingsError):
    """The journal of changes cannot be read or written, such as on a full disk."""


class ImageError(InputError):
    """An image or mask cannot be used."""


class ArtifactError(InputError):
    """A model.tar.gz cannot be served."""


class DecodeError(CoreError):
    """An endpoint's response, or a weights file, has invalid content.

    found:  the value in the bytes.
    wanted: the value expected there.
    offset: where, in bytes from the start of the response; None if there is no single position.
    """

    def __init__(self, what: str, *, found: str, wanted: str, offset: int | None = None) -> None:
        where = "" if offset is None else f" at byte {offset}"
        super().__init__(f"{what}{where}: found {found}, wanted {wanted}.")
        self.found, self.wanted, self.offset = found, wanted, offset


class AwsError(CoreError):
    """AWS, or the sandbox in its place, refused or failed.

    code:       the service's error code, such as `ThrottlingException`; empty if none was returned.
    request_id: the ID that AWS support asks for; empty if none was returned.
    http_status: of the response; 0 if there was none.
    """

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        todo: str = "",
        code: str = "",
        request_id: str = "",
        http_status: int = 0,
    ) -> None:
        super().__init__(what, why=why, todo=todo)
        self.code, self.request_id, self.http_status = code, request_id, http_status


class UnreachableError(AwsError):
    """No server responds at the address."""


class NoReplyError(UnreachableError):
    """The connection was closed before the response, so the call may have been carried out."""


class TimedOutError(AwsError):
    """The response did not arrive in time."""


class CutOffError(AwsError):
    """The response ended early."""


class CredentialsError(AwsError):
    """The credentials are missing, wrong or expired."""


class DeniedError(AwsError):
    """The credentials are valid, but do not allow this."""


class ThrottledError(AwsError):
    """Too many calls in too short a time."""


class RejectedError(AwsError):
    """The service does not accept the request: it does not know the operation, or a parameter or filter of it."""


class NotFoundError(AwsError):
    """The named resource does not exist."""


class NotReadyError(AwsError):
    """The named resource exists, but cannot be used yet."""


class TakenError(AwsError):
    """The name is taken, or the resource is in use."""


class TooLargeError(AwsError):
    """The request is larger than the service accepts."""


class ModelError(AwsError):
    """The model's container returned an error.

    status:  the container's HTTP status; 0 if it returned none.
    log_url: the console page with the container's log; empty if AWS gave none.
    """

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        todo: str = "",
        code: str = "",
        request_id: str = "",
        status: int = 0,
        log_url: str = "",
    ) -> None:
        super().__init__(what, why=why, todo=todo, code=code, request_id=request_id)
        self.status, self.log_url = status, log_url


class UnexpectedAnswerError(AwsError):
    """The call succeeded, but the response lacks a required field (botocore parses a truncated JSON body as `{}`)."""
