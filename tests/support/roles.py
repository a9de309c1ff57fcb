"""Create execution roles in a sandbox: SageMaker refuses roles that do not exist."""

from __future__ import annotations

import json
from typing import Any

ROLES = ("Server", "Trainer", "Role")
"""The roles that tests deploy and train with."""
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


def create_roles(sandbox: Any, *names: str) -> None:
    """Create roles that SageMaker may assume, unless they exist; without names, `ROLES`."""
    iam = sandbox.loopback.client("iam")
    for name in names or ROLES:
        try:
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
        except iam.exceptions.EntityAlreadyExistsException:
            continue
