"""Who we are to AWS."""

from __future__ import annotations

from dataclasses import dataclass

from core.aws.connection import Clients
from core.aws.errors import required


@dataclass(frozen=True, slots=True)
class Caller:
    """account: twelve digits. arn: the user or the role's session."""

    account: str
    arn: str


def whoami(clients: Clients) -> Caller:
    """The account and the identity behind the credentials. Raises AwsError."""
    doing = "ask AWS who we are"
    with clients.calling(doing):
        answer = clients.sts.get_caller_identity()
    return Caller(required(answer, "Account", doing), required(answer, "Arn", doing))
