"""The principals that ARNs name, and the service principal of SageMaker."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

SERVICE_DOMAINS = {
    "aws-cn": "amazonaws.com.cn",
    "aws-iso": "c2s.ic.gov",
    "aws-iso-b": "sc2s.sgov.gov",
}
"""Domain of service principals, where it is not amazonaws.com."""

ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):(?P<service>iam|sts)::(?P<account>\d{12}):"
    r"(?P<kind>user|role|assumed-role|federated-user|root)(?:/(?P<path>.+))?"
)
ROLE_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
SSO_ROLE = "AWSReservedSSO_"
"""How the names of roles begin that IAM Identity Center makes from its permission sets."""

PrincipalKind = Literal["user", "role", "root", "federated-user"]


@dataclass(frozen=True, slots=True)
class Principal:
    """A user or role.

    name: of the user or role, without its path; empty for the root user.
    arn:  of the user or role itself. Where it was made from a role's session, its path is unknown, so the ARN is
          right only for a role without one.
    """

    kind: PrincipalKind
    name: str
    account: str
    partition: str
    arn: str

    @property
    def from_sso(self) -> bool:
        """Whether it is a role of IAM Identity Center, whose policies cannot be edited in IAM."""
        return self.kind == "role" and self.name.startswith(SSO_ROLE)


def sagemaker_service(partition: str) -> str:
    """Return the service principal of SageMaker."""
    return f"sagemaker.{SERVICE_DOMAINS.get(partition, 'amazonaws.com')}"


def parse_principal(arn: str) -> Principal | None:
    """Return the principal behind an ARN of IAM or of an STS session; None where it is no such ARN."""
    match = ARN.fullmatch(arn)
    if match is None or (match["path"] is None) != (match["kind"] == "root"):
        return None
    partition, account, path = match["partition"], match["account"], match["path"] or ""
    if match["kind"] == "assumed-role":
        name = path.partition("/")[0]
        return Principal("role", name, account, partition, f"arn:{partition}:iam::{account}:role/{name}")
    kinds: dict[str, PrincipalKind] = {
        "user": "user",
        "role": "role",
        "root": "root",
        "federated-user": "federated-user",
    }
    return Principal(kinds[match["kind"]], path.rpartition("/")[2], account, partition, arn)
