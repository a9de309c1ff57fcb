"""The caller's AWS identity."""

from __future__ import annotations

from dataclasses import dataclass

from core.aws.connection import Clients
from core.aws.errors import required


@dataclass(frozen=True, slots=True)
class Caller:
    """The AWS caller. account: twelve digits. arn: the user or the role session."""

    account: str
    arn: str


def whoami(clients: Clients) -> Caller:
    """Return the account and the ARN of the credentials. Raises AwsError."""
    doing = "get the AWS caller identity"
    with clients.calling(doing):
        answer = clients.sts.get_caller_identity()
    return Caller(required(answer, "Account", doing), required(answer, "Arn", doing))
