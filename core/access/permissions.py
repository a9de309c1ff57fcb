"""The IAM permissions that Segdeck and its execution role need: one table each, and the policies made from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from core.access.check import PolicyDocument
from core.access.context import AccessContext

Scope = Literal[
    "all",
    "training-job",
    "transform-job",
    "endpoint",
    "endpoint-config",
    "model",
    "sagemaker",
    "logs",
    "autoscaling-role",
]
"""What an action applies to; `all` for actions that IAM cannot limit to a resource."""

VERSION = "2012-10-17"
"""Of the policy language; AWS has no newer one."""

NAME = "segdeck-check"
"""The name of a resource that is only simulated. Policies that allow names by prefix usually allow this one."""


@dataclass(frozen=True, slots=True)
class Permission:
    """One action that Segdeck calls.

    action:   as IAM names it, such as "sagemaker:CreateTrainingJob".
    purpose:  what fails without it, such as "start training jobs".
    scopes:   what it applies to.
    required: whether Segdeck is of little use without it; otherwise one feature is missing.
    """

    action: str
    purpose: str
    scopes: tuple[Scope, ...] = ("all",)
    required: bool = True


ENDPOINT: tuple[Scope, ...] = ("endpoint", "endpoint-config")
AUTOSCALING = "autoscale endpoints"

PERMISSIONS = (
    Permission("sagemaker:Search", "list training jobs with their metrics and tags"),
    Permission("sagemaker:ListTrainingJobs", "list training jobs"),
    Permission("sagemaker:DescribeTrainingJob", "show a training job", ("training-job",)),
    Permission("sagemaker:ListEndpoints", "list endpoints"),
    Permission("sagemaker:DescribeEndpoint", "show an endpoint", ("endpoint",)),
    Permission("sagemaker:ListEndpointConfigs", "find endpoint configurations in use"),
    Permission("sagemaker:DescribeEndpointConfig", "show an endpoint configuration", ("endpoint-config",)),
    Permission("sagemaker:ListModels", "list models"),
    Permission("sagemaker:DescribeModel", "show a model", ("model",)),
    Permission("sagemaker:ListTags", "read tags, such as the class names of an endpoint", ("sagemaker",)),
    Permission("sagemaker:BatchGetMetrics", "draw training curves", ("training-job",), required=False),
    Permission("logs:DescribeLogStreams", "find logs", ("logs",), required=False),
    Permission("logs:GetLogEvents", "show logs", ("logs",), required=False),
    Permission("cloudwatch:GetMetricData", "show metrics", required=False),
    Permission("sagemaker:CreateTrainingJob", "start training jobs", ("training-job",)),
    Permission("sagemaker:StopTrainingJob", "stop training jobs", ("training-job",)),
    Permission("sagemaker:ListTransformJobs", "list transform jobs", required=False),
    Permission("sagemaker:DescribeTransformJob", "show a transform job", ("transform-job",), required=False),
    Permission("sagemaker:CreateTransformJob", "start transform jobs", ("transform-job",), required=False),
    Permission("sagemaker:StopTransformJob", "stop transform jobs", ("transform-job",), required=False),
    Permission("sagemaker:CreateModel", "deploy models", ("model",)),
    Permission("sagemaker:CreateEndpointConfig", "deploy models", ("endpoint-config",)),
    Permission("sagemaker:CreateEndpoint", "deploy models", ENDPOINT),
    Permission("sagemaker:UpdateEndpoint", "update endpoints", ENDPOINT),
    Permission("sagemaker:UpdateEndpointWeightsAndCapacities", "scale endpoints", ("endpoint",)),
    Permission("sagemaker:AddTags", "tag what Segdeck creates", ("sagemaker",)),
    Permission("sagemaker:InvokeEndpoint", "segment images", ("endpoint",)),
    Permission("sagemaker:DeleteEndpoint", "delete endpoints", ("endpoint",)),
    Permission("sagemaker:DeleteEndpointConfig", "delete endpoint configurations", ("endpoint-config",)),
    Permission("sagemaker:DeleteModel", "delete models", ("model",)),
    Permission(
        "application-autoscaling:DescribeScalableTargets", "show autoscaling", ("all",), required=False
    ),
    Permission(
        "application-autoscaling:DescribeScalingPolicies", "show autoscaling", ("all",), required=False
    ),
    Permission("application-autoscaling:RegisterScalableTarget", AUTOSCALING, ("all",), required=False),
    Permission("application-autoscaling:PutScalingPolicy", AUTOSCALING, ("all",), required=False),
    Permission("application-autoscaling:DeregisterScalableTarget", AUTOSCALING, ("all",), required=False),
    Permission("cloudwatch:PutMetricAlarm", AUTOSCALING, ("all",), required=False),
    Permission("cloudwatch:DescribeAlarms", AUTOSCALING, ("all",), required=False),
    Permission("cloudwatch:DeleteAlarms", AUTOSCALING, ("all",), required=False),
    Permission("iam:CreateServiceLinkedRole", AUTOSCALING, ("autoscaling-role",), required=False),
)
"""What this identity needs. Passing the role and access to the bucket are checks of their own."""

CHECK_PERMISSIONS = (
    Permission("iam:SimulatePrincipalPolicy", "check permissions", required=False),
    Permission("iam:ListRoles", "find execution roles", required=False),
    Permission("iam:GetRole", "check the execution role", required=False),
    Permission("servicequotas:ListServiceQuotas", "check quotas", required=False),
    Permission("servicequotas:ListAWSDefaultServiceQuotas", "check quotas", required=False),
    Permission("pricing:GetProducts", "show current prices", required=False),
)
"""What the checks of the setup read. Each check reports its own denial."""

PASS_ROLE = "iam:PassRole"  # noqa: S105  # the name of an action

BUCKET_ACTIONS = ("s3:ListBucket", "s3:GetEncryptionConfiguration")
OBJECT_ACTIONS = ("s3:GetObject", "s3:PutObject")
KEY_ACTIONS = ("kms:Decrypt", "kms:GenerateDataKey")
"""To read and write objects that are encrypted with a KMS key."""

ROLE_LOG_ACTIONS = (
    "logs:CreateLogGroup",
    "logs:CreateLogStream",
    "logs:DescribeLogStreams",
    "logs:PutLogEvents",
)
ROLE_METRIC_ACTIONS = ("cloudwatch:PutMetricData",)
IMAGE_ACTIONS = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
IMAGE_TOKEN = "ecr:GetAuthorizationToken"  # noqa: S105  # the name of an action
"""What an execution role needs besides the data (developer guide, "CreateTrainingJob API: Execution Role
Permissions")."""

Statement = dict[str, Any]


def resource(scope: Scope, context: AccessContext, name: str = "*") -> str:
    """Return the ARN of what an action applies to. name: of the resource; "*": of all of them."""
    if scope == "all":
        return "*"
    if scope == "sagemaker":
        return context.arn("sagemaker", "*" if name == "*" else f"training-job/{name}")
    if scope == "logs":
        stream = "*" if name == "*" else f"TrainingJobs:log-stream:{name}"
        return context.arn("logs", f"log-group:/aws/sagemaker/{stream}")
    if scope == "autoscaling-role":
        service = "sagemaker.application-autoscaling.amazonaws.com"
        return context.arn("iam", f"role/aws-service-role/{service}/*", regional=False)
    return context.arn("sagemaker", f"{scope}/{name}")


def bucket_arn(partition: str, bucket: str) -> str:
    """Return the ARN of a bucket."""
    return f"arn:{partition}:s3:::{bucket}"


def objects_arn(partition: str, bucket: str, prefix: str, name: str = "*") -> str:
    """Return the ARN of the objects below a prefix. prefix: without slashes at its ends; may be empty."""
    return f"{bucket_arn(partition, bucket)}/{f'{prefix}/' if prefix else ''}{name}"


def document(statements: Iterable[Statement]) -> PolicyDocument:
    """Return a policy of these statements."""
    return {"Version": VERSION, "Statement": list(statements)}


def statement(
    actions: Sequence[str],
    resources: Sequence[str],
    condition: Mapping[str, Mapping[str, str]] | None = None,
) -> Statement:
    """Return a statement that allows actions on resources."""
    more = {"Condition": dict(condition)} if condition else {}
    return {
        "Effect": "Allow",
        "Action": _single(sorted(set(actions))),
        "Resource": _single(list(dict.fromkeys(resources))),
        **more,
    }


def grants(permissions: Iterable[Permission], context: AccessContext) -> list[Statement]:
    """Return the statements that grant permissions: one for each set of resources."""
    by_scopes: dict[tuple[Scope, ...], list[str]] = {}
    for permission in permissions:
        by_scopes.setdefault(permission.scopes, []).append(permission.action)
    return [
        statement(actions, [resource(scope, context) for scope in scopes])
        for scopes, actions in by_scopes.items()
    ]


def pass_role(role_arn: str, service: str) -> Statement:
    """Return the statement that lets an identity pass a role to SageMaker, and to nothing else."""
    return statement([PASS_ROLE], [role_arn], {"StringEquals": {"iam:PassedToService": service}})


def bucket_grants(
    partition: str, bucket: str, prefix: str = "", key_arn: str = "", *, bucket_actions: Sequence[str]
) -> list[Statement]:
    """Return the statements that grant access to a bucket, its objects below a prefix, and its KMS key."""
    statements = [
        statement(bucket_actions, [bucket_arn(partition, bucket)]),
        statement(OBJECT_ACTIONS, [objects_arn(partition, bucket, prefix)]),
    ]
    return [*statements, statement(KEY_ACTIONS, [key_arn])] if key_arn else statements


def identity_policy(
    context: AccessContext,
    *,
    role_arn: str,
    service: str,
    bucket: str = "",
    prefix: str = "",
    key_arn: str = "",
) -> PolicyDocument:
    """Return the smallest policy for a person or service that uses all of Segdeck.

    role_arn: the execution role. bucket: empty without one; then no access to data is granted.
    """
    statements = [*grants((*PERMISSIONS, *CHECK_PERMISSIONS), context), pass_role(role_arn, service)]
    if bucket:
        statements += bucket_grants(context.partition, bucket, prefix, key_arn, bucket_actions=BUCKET_ACTIONS)
    return document(statements)


def execution_role_policy(
    context: AccessContext, image: str, *, bucket: str, prefix: str = "", key_arn: str = ""
) -> PolicyDocument:
    """Return the smallest policy for the role that SageMaker assumes to train and serve.

    image: the URI of the container image; empty where the algorithm is not offered.
    """
    return document(
        [
            *bucket_grants(context.partition, bucket, prefix, key_arn, bucket_actions=("s3:ListBucket",)),
            log_grant(context),
            statement([*ROLE_METRIC_ACTIONS, *([IMAGE_TOKEN] if image else [])], ["*"]),
            *([statement(IMAGE_ACTIONS, [image_arn(context, image)])] if image else []),
        ]
    )


def log_grant(context: AccessContext) -> Statement:
    """Return the statement that lets a role write SageMaker's logs."""
    return statement(ROLE_LOG_ACTIONS, [resource("logs", context)])


def image_arn(context: AccessContext, image: str) -> str:
    """Return the ARN of the repository of an image such as "1234.dkr.ecr.eu-west-1.amazonaws.com/name:1"."""
    registry, _, rest = image.partition("/")
    account, _, _, region, *_ = registry.split(".")
    return f"arn:{context.partition}:ecr:{region}:{account}:repository/{rest.partition(':')[0]}"


def trust_policy(service: str, account: str) -> PolicyDocument:
    """Return the trust policy of an execution role: SageMaker may assume it, on behalf of this account only."""
    return {
        "Version": VERSION,
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": service},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"aws:SourceAccount": account}},
            }
        ],
    }


def _single(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values
