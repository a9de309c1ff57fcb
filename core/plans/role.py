"""The plan that creates an execution role: a role that SageMaker may assume, with the smallest policy."""

from __future__ import annotations

import shlex

from core.access.context import AccessContext
from core.access.permissions import execution_role_policy, trust_policy
from core.access.principal import ROLE_NAME, sagemaker_service
from core.access.target import SetupTarget
from core.errors import InputError
from core.escaping import json_text
from core.plans.plan import ApiCall, Plan

DEFAULT_ROLE = "SegdeckExecutionRole"
ROLE_POLICY = "SegdeckExecution"
"""The name of the inline policy."""

DESCRIPTION = "SageMaker assumes this role to train and serve semantic segmentation models (made by Segdeck)."


def plan_create_role(
    name: str, target: SetupTarget, context: AccessContext, *, image: str, key_arn: str = ""
) -> Plan:
    """Create a role with access to one bucket. Raises InputError for a name that IAM does not accept.

    target:  its bucket and prefix are what the role may read and write.
    image:   the container image that the role pulls; empty where the algorithm is not offered.
    key_arn: of the KMS key of the bucket; empty without one.
    """
    if not ROLE_NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot be the name of a role.", todo="Use up to 64 letters, digits and any of +=,.@_-."
        )
    if not target.bucket:
        raise InputError(
            "No bucket was given.",
            why="The role may read and write one bucket, and nothing else in S3.",
            todo="Give the bucket of your training data and models.",
        )
    service = sagemaker_service(context.partition)
    place = f"s3://{target.bucket}/{target.prefix}"
    key = f", the KMS key {key_arn}" if key_arn else ""
    policy = execution_role_policy(
        context, image, bucket=target.bucket, prefix=target.prefix, key_arn=key_arn
    )
    steps = (
        ApiCall(
            "iam",
            "CreateRole",
            {
                "RoleName": name,
                "AssumeRolePolicyDocument": json_text(trust_policy(service, context.account), indent=None),
                "Description": DESCRIPTION,
            },
            f"Create the role {name}, which {service} may assume.",
        ),
        ApiCall(
            "iam",
            "PutRolePolicy",
            {
                "RoleName": name,
                "PolicyName": ROLE_POLICY,
                "PolicyDocument": json_text(policy, indent=None),
            },
            f"Allow it to read and write {place}{key}, to write logs and metrics, and to pull the container image.",
        ),
    )
    warnings = ("It can take a minute until SageMaker accepts a new role.",)
    role, document = shlex.quote(name), shlex.quote(ROLE_POLICY)
    undo = (
        f"{context.cli} iam delete-role-policy --role-name {role} --policy-name {document} && "
        f"{context.cli} iam delete-role --role-name {role}"
    )
    return Plan("create role", name, steps, None, warnings, undo)
