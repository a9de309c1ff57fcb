"""Every error that Segdeck raises on purpose.

CoreError                      what happened, why, what to do now
├── InputError                 what a person gave us cannot be used
│   ├── SettingsError          an environment variable or option
│   │   └── JournalError       the journal of changes cannot be read or written
│   ├── ImageError             a photograph or mask
│   └── ArtifactError          a model.tar.gz
├── DecodeError                bytes are not what they should be, such as an endpoint's answer
└── AwsError                   AWS, or the sandbox, refused or failed
    ├── UnreachableError       nothing answers at the address
    │   └── NoReplyError       the connection was closed before the reply: the call may have been made
    ├── TimedOutError          something answers, but not in time
    ├── CutOffError            the answer stopped before its end
    ├── CredentialsError       none, wrong or expired
    ├── DeniedError            known, but not allowed to
    ├── ThrottledError         too many calls
    ├── NotFoundError          no such endpoint, bucket, object, ...
    ├── NotReadyError          it exists, but is not in service (yet)
    ├── TakenError             the name belongs to something else, or it is in use
    ├── TooLargeError          above the request limit
    ├── ModelError             the model's container failed; carries the link to its log
    └── UnexpectedAnswerError  a success whose body lacks what it must have

botocore's own exceptions are translated once, in `core.aws.errors`.
"""

from __future__ import annotations


class CoreError(Exception):
    """Something went wrong in a way we can explain.

    what: one sentence, with where it happened and the value found.
    why:  the cause in plain words, or the other side's own text; may be empty.
    todo: what the person can do now; may be empty.
    """

    unclear = False
    """Whether the change that was asked for may have been made all the same: its reply was lost."""

    def __init__(self, what: str, *, why: str = "", todo: str = "") -> None:
        super().__init__(what)
        self.what, self.why, self.todo = what, why, todo

    def __str__(self) -> str:
        return " ".join(part for part in (self.what, self.why, self.todo) if part)


class InputError(CoreError):
    """What a person gave us cannot be used."""


class SettingsError(InputError):
    """An environment variable or option has no usable value."""


class JournalError(SettingsError):
    """The journal of changes cannot be read or written, such as on a full disk."""


class ImageError(InputError):
    """A photograph or mask cannot be used."""


class ArtifactError(InputError):
    """A model.tar.gz cannot be served."""


class DecodeError(CoreError):
    """An endpoint's answer, or a file of weights, does not hold what it should.

    found:  what stands in the bytes.
    wanted: what should stand there.
    offset: where, in bytes from the start of the answer; None where no single place is at fault.
    """

    def __init__(self, what: str, *, found: str, wanted: str, offset: int | None = None) -> None:
        where = "" if offset is None else f" at byte {offset}"
        super().__init__(f"{what}{where}: found {found}, wanted {wanted}.")
        self.found, self.wanted, self.offset = found, wanted, offset


class AwsError(CoreError):
    """AWS, or the sandbox in its place, refused or failed.

    code:       the service's error code, such as `ThrottlingException`; empty where none came.
    request_id: what AWS support asks for; empty where none came.
    http_status: of the reply; 0 where none came.
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
    """Nothing answers at the address."""


class NoReplyError(UnreachableError):
    """The connection was closed before the reply, so the call may have been carried out."""


class TimedOutError(AwsError):
    """The answer did not come in time."""


class CutOffError(AwsError):
    """The answer stopped before its end."""


class CredentialsError(AwsError):
    """The credentials are missing, wrong or expired."""


class DeniedError(AwsError):
    """The caller is known, but is not allowed to do this."""


class ThrottledError(AwsError):
    """Too many calls in too short a time."""


class NotFoundError(AwsError):
    """The thing that was named does not exist."""


class NotReadyError(AwsError):
    """The thing that was named exists, but cannot be used yet."""


class TakenError(AwsError):
    """The name belongs to something else, or the thing is in use."""


class TooLargeError(AwsError):
    """The request is larger than the service takes."""


class ModelError(AwsError):
    """The model's container answered with an error.

    status:  the container's HTTP status; 0 where it gave none.
    log_url: the console page with the container's log; empty where AWS named none.
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
    """The service said yes, but what it must hold is not there (botocore makes `{}` of a cut JSON body)."""
