"""What the setup is checked for: a role, a bucket, instance types."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from core.access.principal import ROLE_NAME
from core.access.quotas import InstanceNeed, parse_need
from core.errors import InputError
from core.training.defaults import INSTANCE, SANDBOX_OUTPUT, SANDBOX_ROLE

BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
HOSTING_INSTANCE = "ml.c5.xlarge"
DEFAULT_NEEDS = (InstanceNeed("training", INSTANCE), InstanceNeed("hosting", HOSTING_INSTANCE))
"""The instance types that the forms begin with."""


@dataclass(frozen=True, slots=True)
class SetupTarget:
    """What is checked.

    role:   the name or ARN of the execution role; empty: find one.
    bucket: its name; empty: none is checked. prefix: of the data in it, without slashes at its ends.
    needs:  the instance types whose quotas and prices are checked.
    """

    role: str = ""
    bucket: str = ""
    prefix: str = ""
    needs: tuple[InstanceNeed, ...] = DEFAULT_NEEDS


def parse_target(
    role: str = "", bucket: str = "", instance_types: Sequence[str] = (), *, sandbox: bool = False
) -> SetupTarget:
    """Return what to check. Raises InputError.

    bucket:         a name, or s3://NAME/PREFIX to check access to that prefix only.
    instance_types: each TYPE or USE=TYPE; empty: the types that the forms begin with.
    sandbox:        what is not given is the sandbox's own.
    """
    role, bucket = role.strip(), bucket.strip()
    if role and not role.startswith("arn:") and not ROLE_NAME.fullmatch(role):
        raise InputError(f"{role!r} is neither the name nor the ARN of a role.")
    if sandbox:
        role, bucket = role or SANDBOX_ROLE, bucket or SANDBOX_OUTPUT.split("/")[2]
    name, _, prefix = bucket.removeprefix("s3://").partition("/")
    if bucket and not BUCKET.fullmatch(name):
        raise InputError(f"{name!r} is not the name of a bucket.", todo="Give a name, or s3://NAME/PREFIX.")
    needs = tuple(dict.fromkeys(need for text in instance_types for need in parse_need(text)))
    return SetupTarget(role, name, prefix.strip("/"), needs or DEFAULT_NEEDS)
