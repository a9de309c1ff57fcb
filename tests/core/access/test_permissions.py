"""The permissions that Segdeck needs, and the policies made from them."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from core.access.context import AccessContext
from core.access.permissions import (
    BUCKET_ACTIONS,
    CHECK_PERMISSIONS,
    OBJECT_ACTIONS,
    PERMISSIONS,
    execution_role_policy,
    identity_policy,
    trust_policy,
)
from core.access.simulation import ActionRequest, batches, identity_requests
from core.aws.operations import OPERATIONS

ROOT = Path(__file__).resolve().parents[3]
AWS = AccessContext("eu-west-1", "aws", "123456789012", sandbox=False, cli="aws --region eu-west-1")
CHINA = AccessContext("cn-north-1", "aws-cn", "123456789012", sandbox=False, cli="aws")
ROLE = "arn:aws:iam::123456789012:role/Trainer"
IMAGE = "685385470294.dkr.ecr.eu-west-1.amazonaws.com/semantic-segmentation:1"
MANAGED_POLICY_LIMIT, INLINE_ROLE_LIMIT = 6144, 10_240

SERVICES = {
    "sagemaker": "sagemaker",
    "lists": "sagemaker",
    "runtime": "sagemaker",
    "metrics": "sagemaker",
    "cloudwatch": "cloudwatch",
    "logs": "logs",
    "autoscaling": "application-autoscaling",
    "application-autoscaling": "application-autoscaling",
    "pricing": "pricing",
    "quotas": "servicequotas",
    "iam": "iam",
    "kms": "kms",
    "s3": "s3",
}
"""Client of core.aws, or service of a plan -> prefix of its actions."""

ACTION_OF_CALL = {
    "s3:HeadObject": "s3:GetObject",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "servicequotas:ListAwsDefaultServiceQuotas": "servicequotas:ListAWSDefaultServiceQuotas",
}
"""Calls that IAM names otherwise."""

WITHOUT_POLICY = {
    "iam:CreateRole": "only for `segdeck create-role`, which an administrator runs",
    "iam:PutRolePolicy": "likewise",
    "iam:GetRolePolicy": "likewise",
    "kms:DescribeKey": "only with a KMS key, and then granted by the check",
}
"""Actions that the smallest policy leaves out -> why."""


def called_actions() -> set[str]:
    """Return the action of every call in core/aws, read from its source, and of every operation of a plan."""
    calls = {f"{SERVICES[service]}:{operation}" for service, operation in OPERATIONS}
    for path in (ROOT / "core" / "aws").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
                client = node.value.attr
                if client in SERVICES and node.attr not in ("meta", "exceptions"):
                    calls.add(f"{SERVICES[client]}:{node.attr.title().replace('_', '')}")
    return {ACTION_OF_CALL.get(call, call) for call in calls}


def allowed_actions(policy: Any) -> set[str]:
    return {action for row in policy["Statement"] for action in as_list(row["Action"])}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_the_smallest_policy_allows_every_call() -> None:
    """Each action that core/aws calls is in the smallest policy, or is left out for a reason."""
    policy = identity_policy(AWS, role_arn=ROLE, service="sagemaker.amazonaws.com", bucket="data")
    assert len(called_actions()) > 30
    assert called_actions() - allowed_actions(policy) - set(WITHOUT_POLICY) == set()


def test_the_smallest_policy_allows_nothing_else() -> None:
    """Each action in the smallest policy is one that Segdeck calls, or that AWS demands for one that it calls."""
    demanded = {
        "iam:PassRole",
        "iam:CreateServiceLinkedRole",
        "cloudwatch:PutMetricAlarm",
        "cloudwatch:DescribeAlarms",
        "cloudwatch:DeleteAlarms",
    }
    policy = identity_policy(AWS, role_arn=ROLE, service="sagemaker.amazonaws.com", bucket="data")
    assert allowed_actions(policy) - called_actions() - demanded == set()
    assert not [action for action in allowed_actions(policy) if "*" in action]


def test_the_smallest_policy_is_limited_to_what_it_names() -> None:
    """A role may be passed to SageMaker only, data is one prefix of one bucket, and changes are of this account."""
    policy = identity_policy(
        AWS,
        role_arn=ROLE,
        service="sagemaker.amazonaws.com",
        bucket="data",
        prefix="roads",
        key_arn="arn:aws:kms:k",
    )
    by_action = {action: row for row in policy["Statement"] for action in as_list(row["Action"])}
    passing = by_action["iam:PassRole"]
    assert passing["Resource"] == ROLE
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    assert by_action["s3:PutObject"]["Resource"] == "arn:aws:s3:::data/roads/*"
    assert by_action["s3:ListBucket"]["Resource"] == "arn:aws:s3:::data"
    assert by_action["kms:GenerateDataKey"]["Resource"] == "arn:aws:kms:k"
    assert (
        by_action["sagemaker:CreateTrainingJob"]["Resource"]
        == "arn:aws:sagemaker:eu-west-1:123456789012:training-job/*"
    )


def test_the_policies_fit_iam() -> None:
    """The policies stay below IAM's limits: 6,144 characters for a managed one, 10,240 for those of a role."""
    identity = identity_policy(
        CHINA,
        role_arn=ROLE,
        service="sagemaker.amazonaws.com.cn",
        bucket="b" * 63,
        prefix="p" * 200,
        key_arn=ROLE,
    )
    role = execution_role_policy(AWS, IMAGE, bucket="b" * 63, prefix="p" * 200, key_arn=ROLE)
    assert len(json.dumps(identity)) < MANAGED_POLICY_LIMIT
    assert len(json.dumps(role)) < INLINE_ROLE_LIMIT / 2


def test_an_execution_role_has_what_sagemaker_needs() -> None:
    """The policy of a role has AWS's documented actions for training, limited to the bucket, logs and the image."""
    policy = execution_role_policy(AWS, IMAGE, bucket="data")
    assert allowed_actions(policy) == {
        "s3:ListBucket",
        "s3:GetObject",
        "s3:PutObject",
        "logs:CreateLogGroup",
        "logs:CreateLogStream",
        "logs:DescribeLogStreams",
        "logs:PutLogEvents",
        "cloudwatch:PutMetricData",
        "ecr:GetAuthorizationToken",
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:GetDownloadUrlForLayer",
    }
    by_action = {action: row for row in policy["Statement"] for action in as_list(row["Action"])}
    repository = "arn:aws:ecr:eu-west-1:685385470294:repository/semantic-segmentation"
    assert by_action["ecr:BatchGetImage"]["Resource"] == repository


def test_the_partition_is_in_every_arn() -> None:
    """In China, every ARN begins with arn:aws-cn, and the trusted service is sagemaker.amazonaws.com.cn."""
    policy = identity_policy(CHINA, role_arn="arn:aws-cn:iam::1:role/a", service="s", bucket="data")
    resources = [arn for row in policy["Statement"] for arn in as_list(row["Resource"])]
    assert {arn.split(":")[1] for arn in resources if arn != "*"} == {"aws-cn"}
    trust = trust_policy("sagemaker.amazonaws.com.cn", "123456789012")
    assert trust["Statement"][0]["Principal"] == {"Service": "sagemaker.amazonaws.com.cn"}


def test_every_action_is_simulated_on_each_of_its_resources() -> None:
    """Every permission is simulated, in few calls: one for each resource."""
    requests = identity_requests(AWS)
    assert {request.action for request in requests} == {permission.action for permission in PERMISSIONS}
    resources = {request.resource for request in requests if request.action == "sagemaker:CreateEndpoint"}
    assert {arn.split(":")[-1] for arn in resources} == {
        "endpoint/segdeck-check",
        "endpoint-config/segdeck-check",
    }
    assert len(batches(requests)) <= 8
    assert sum(len(actions) for _, _, actions in batches(requests)) == len(requests)


def test_a_batch_has_one_context_and_one_resource() -> None:
    """Requests with the same context and resource share a call; others do not."""
    same = (ActionRequest("a"), ActionRequest("b"))
    others = (ActionRequest("c", "arn"), ActionRequest("d", context=(("key", "value"),)))
    assert [actions for _, _, actions in batches((*same, *others))] == [("a", "b"), ("c",), ("d",)]


@pytest.mark.parametrize("permission", [*PERMISSIONS, *CHECK_PERMISSIONS], ids=lambda row: row.action)
def test_every_permission_has_a_purpose(permission: Any) -> None:
    """Each action is named once, as service:Action, with the reason it is needed for."""
    assert re.fullmatch(r"[a-z-]+:[A-Z]\w+", permission.action)
    assert permission.purpose
    names = [row.action for row in (*PERMISSIONS, *CHECK_PERMISSIONS)]
    assert names.count(permission.action) == 1
    assert permission.action not in (*BUCKET_ACTIONS, *OBJECT_ACTIONS)
