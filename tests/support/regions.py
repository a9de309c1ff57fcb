"""Roles of a sandbox that its own user can assume."""

from __future__ import annotations

import contextlib
import json

from sandbox.server import Sandbox


def assumable_role(sandbox: Sandbox, name: str, *actions: str) -> str:
    """Create a role that the sandbox's user may assume, with these actions allowed; return its ARN."""
    iam = sandbox.loopback.client("iam")
    account = sandbox.address.account
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
        "Action": "sts:AssumeRole",
    }
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(
            RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": trust})
        )
    allow = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_role_policy(RoleName=name, PolicyName="Allowed", PolicyDocument=policy)
    return f"arn:aws:iam::{account}:role/{name}"
