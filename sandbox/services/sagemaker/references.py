"""The roles, buckets and objects that a request refers to: each must exist, as in AWS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.http.protocol import ApiError

_NO_ROLE = (
    "Could not assume role {arn}. Please ensure that the role exists and allows principal "
    "'sagemaker.amazonaws.com' to assume the role."
)


@dataclass(frozen=True, slots=True)
class References:
    """Checks what a request refers to.

    trusted:    role ARN -> whether the role exists and SageMaker may assume it.
    has_bucket: bucket -> whether it exists.
    has_object: (bucket, key) -> whether it exists.
    """

    account: str
    trusted: Callable[[str], bool]
    has_bucket: Callable[[str], bool]
    has_object: Callable[[str, str], bool]

    def check_role(self, arn: str | None) -> None:
        """Raise ApiError ValidationException for a role that SageMaker cannot assume; None is accepted."""
        if arn is None:
            return
        if arn.split(":")[4] != self.account:
            raise ApiError("ValidationException", "Cross-account pass role is not allowed.")
        if not self.trusted(arn):
            raise ApiError("ValidationException", _NO_ROLE.format(arn=arn))

    def check_bucket(self, member: str, uri: str) -> None:
        """Raise ApiError ValidationException when the bucket of an S3 URI does not exist."""
        bucket, _ = _split(member, uri)
        if not self.has_bucket(bucket):
            text = (
                f'{member} is "{uri}", but the bucket "{bucket}" does not exist. Create it, or use another.'
            )
            raise ApiError("ValidationException", text)

    def check_model(self, uri: str | None) -> None:
        """Raise ApiError ValidationException when a model's archive does not exist; None is accepted."""
        if uri is not None and not self.has_object(*_split("ModelDataUrl", uri)):
            raise ApiError("ValidationException", f"Could not find model data at {uri}.")


def _split(member: str, uri: str) -> tuple[str, str]:
    """Return bucket and key of s3://bucket/key. Raises ApiError for another URL."""
    scheme, _, rest = uri.partition("://")
    if scheme != "s3":
        raise ApiError("ValidationException", f"{member} must begin with s3:// in the sandbox, not {uri}.")
    bucket, _, key = rest.partition("/")
    return bucket, key
