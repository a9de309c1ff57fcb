"""Where a check is made, for the ARNs, console links and AWS CLI commands in its advice."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from urllib.parse import quote
from zlib import crc32

from core.access.check import PolicyDocument
from core.access.principal import Principal
from core.escaping import json_text
from core.partitions import CONSOLES

MAX_USER_POLICY = 2048
"""Characters of all inline policies of a user, without spaces. Those of a role may have 10,240."""


@dataclass(frozen=True, slots=True)
class AccessContext:
    """An account in a region.

    account: empty while unknown.
    sandbox: whether this is the sandbox, which has no console.
    cli:     how a command of the AWS CLI begins here, such as "aws --region eu-west-1".
    """

    region: str
    partition: str
    account: str
    sandbox: bool
    cli: str

    def arn(self, service: str, resource: str, *, regional: bool = True) -> str:
        """Return the ARN of a resource of this account."""
        region = self.region if regional else ""
        return f"arn:{self.partition}:{service}:{region}:{self.account}:{resource}"

    def console(self, path: str) -> str:
        """Return the address of a page of the AWS console; empty where there is no console."""
        domain = CONSOLES.get(self.partition)
        return "" if self.sandbox or domain is None else f"https://{self.region}.{domain}/{path}"

    def principal_link(self, principal: Principal) -> str:
        """Return the console page of a user or role."""
        if principal.kind not in ("user", "role"):
            return ""
        return self.console(
            f"iam/home#/{principal.kind}s/details/{quote(principal.name, safe='')}?section=permissions"
        )

    def put_policy(self, principal: Principal, topic: str, policy: PolicyDocument) -> str:
        """Return the command that adds an inline policy to a user or role; empty where IAM does not allow it.

        The name has a hash of the policy, so that the command never replaces another policy of Segdeck.
        """
        text = json_text(policy, indent=None)
        too_long = principal.kind == "user" and len(text.replace(" ", "")) > MAX_USER_POLICY
        if principal.kind not in ("user", "role") or principal.from_sso or too_long:
            return ""
        name, document = f"Segdeck-{topic}-{crc32(text.encode()):08x}", shlex.quote(text)
        return (
            f"{self.cli} iam put-{principal.kind}-policy --{principal.kind}-name {shlex.quote(principal.name)} "
            f"--policy-name {name} --policy-document {document}"
        )
