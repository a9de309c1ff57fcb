"""Checks of the execution role: the role that SageMaker assumes to train and to serve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from core.access.check import Check, PolicyDocument, Topic
from core.access.context import AccessContext
from core.access.identity_rules import denied_check, unsimulated, worst
from core.access.permissions import (
    IMAGE_ACTIONS,
    IMAGE_TOKEN,
    ROLE_METRIC_ACTIONS,
    Permission,
    bucket_grants,
    document,
    grants,
    image_arn,
    log_grant,
    statement,
    trust_policy,
)
from core.access.principal import Principal
from core.access.simulation import Decision
from core.access.trust import parse_policy, trust_decision
from core.errors import CoreError, DeniedError, NotFoundError
from core.text import listing

ROLE = Topic("role", "Execution role")
DATA = Topic("role-data", "Role: data")
LOGS = Topic("role-logs", "Role: logs and metrics")
IMAGE = Topic("role-image", "Role: container image")

SERVICE_LINKED = ":role/aws-service-role/"
"""Part of the ARN of every role that AWS makes for one of its services, such as for SageMaker's notebooks."""

CREATE = "segdeck create-role NAME --bucket BUCKET"


@dataclass(frozen=True, slots=True)
class Role:
    """An IAM role.

    trust: its trust policy, as JSON text or parsed.
    """

    name: str
    arn: str
    trust: object


def trusts(role: Role, service: str, account: str) -> bool:
    """Return whether a role can be the execution role of a service; False where its trust policy cannot be read.

    A service-linked role cannot: AWS lets nobody pass it.
    """
    if SERVICE_LINKED in role.arn:
        return False
    try:
        return trust_decision(parse_policy(role.trust), service, account).outcome in (
            "allowed",
            "conditional",
        )
    except CoreError:
        return False


def no_role_check(candidates: Sequence[str] | CoreError) -> Check:
    """Return the check without a chosen role. candidates: names of the roles that SageMaker may assume."""
    topic = ROLE
    if isinstance(candidates, CoreError):
        return topic.check(
            "unknown",
            f"No role was given, and the roles cannot be listed. {candidates.what} {candidates.why}".strip(),
            "Give the role that your training jobs use with --role, or in the field on the Setup page.",
        )
    if not candidates:
        return topic.check(
            "problem",
            "No role of this account can be assumed by SageMaker, so no training job can start.",
            f"Create one: {CREATE}",
        )
    return topic.skipped(
        f"no role was given. SageMaker may assume {listing(list(candidates))}.",
        "Choose one of them with --role, or in the field on the Setup page.",
    )


def role_check(
    role: Role | CoreError, role_arn: str, service: str, context: AccessContext, principal: Principal | None
) -> Check:
    """Return whether the role exists and lets SageMaker assume it."""
    topic = ROLE
    if principal is None or principal.kind != "role":
        return topic.check("problem", f"{role_arn} is not the ARN of a role.",
            "Give one such as arn:aws:iam::123456789012:role/NAME.",
        )  # fmt: skip
    if context.account and principal.account != context.account:
        return topic.check(
            "problem",
            f"The role {principal.name} belongs to account {principal.account}; these credentials belong to "
            f"{context.account}.",
            "SageMaker accepts only roles of the account in which it runs: choose one of this account.",
        )
    if isinstance(role, NotFoundError):
        return topic.check(
            "problem",
            f"The role {principal.name} does not exist in account {context.account}.",
            f"Check the name, or create a role: {CREATE}",
        )
    if isinstance(role, DeniedError):
        return _unreadable(topic, role, context)
    if isinstance(role, CoreError):
        return topic.unread(role)
    if role.arn != role_arn:
        return topic.check(
            "problem", f"The ARN of {role.name} is {role.arn}, not {role_arn}.", "Use that ARN."
        )
    if SERVICE_LINKED in role.arn:
        return topic.check(
            "problem",
            f"{role.name} is a service-linked role: training jobs and endpoints cannot use it.",
            f"Choose another role, or create one: {CREATE}",
        )
    try:
        decision = trust_decision(parse_policy(role.trust), service, context.account)
    except CoreError as error:
        return topic.unread(error)
    link = context.console(f"iam/home#/roles/details/{quote(role.name, safe='')}?section=trust_relationships")
    if decision.outcome == "allowed":
        return topic.check("ok", f"{role.arn} can be assumed by {service}.")
    if decision.outcome == "conditional":
        return topic.check(
            "warning",
            f"Whether {service} may assume {role.name} depends on {listing(list(decision.conditions))}.",
            "Check the conditions in the trust policy.",
            link=link,
        )
    policy = trust_policy(service, context.account)
    others = f" It trusts {listing(list(decision.services))}." if decision.services else ""
    denies = decision.outcome == "denied"
    return topic.check(
        "problem",
        f"{role.name} {'refuses' if denies else 'does not trust'} {service}, so SageMaker cannot assume it.{others}",
        "Remove the Deny statement from the trust policy."
        if denies
        else "Add the statement to the trust policy, and keep the statements that are there.",
        link=link,
        policy=None if denies else policy,
    )


def _unreadable(topic: Topic, error: DeniedError, context: AccessContext) -> Check:
    policy = document(grants([Permission("iam:GetRole", "")], context))
    found = f"{error.what} {error.why}".strip()
    return topic.check("unknown", found, "To have the role checked, allow iam:GetRole.", policy=policy)


def role_data_check(
    decisions: Sequence[Decision] | CoreError,
    context: AccessContext,
    role: Principal,
    *,
    bucket: str,
    prefix: str,
    key_arn: str,
) -> Check:
    """Return whether the role may read the data and write the model."""
    statements = bucket_grants(context.partition, bucket, prefix, key_arn, bucket_actions=("s3:ListBucket",))
    key = " and its KMS key" if key_arn else ""
    topic, purpose = DATA, f"read and write s3://{bucket}/{prefix}{key}"
    return _role_permissions(topic, decisions, context, role, policy=document(statements), purpose=purpose)


def role_logs_check(
    decisions: Sequence[Decision] | CoreError, context: AccessContext, role: Principal
) -> Check:
    """Return whether the role may write logs and metrics. A job without them runs, and shows nothing."""
    policy = document([log_grant(context), statement(ROLE_METRIC_ACTIONS, ["*"])])
    topic = LOGS
    return _role_permissions(topic, decisions, context, role, policy=policy, purpose="write logs and metrics")


def role_image_check(
    decisions: Sequence[Decision] | CoreError, image: str, context: AccessContext, role: Principal
) -> Check:
    """Return whether the role may pull the container image."""
    policy = document(
        [statement([IMAGE_TOKEN], ["*"]), statement(IMAGE_ACTIONS, [image_arn(context, image)])]
    )
    topic = IMAGE
    return _role_permissions(
        topic, decisions, context, role, policy=policy, purpose="pull the container image"
    )


def _role_permissions(
    topic: Topic,
    decisions: Sequence[Decision] | CoreError,
    context: AccessContext,
    role: Principal,
    *,
    policy: PolicyDocument,
    purpose: str,
) -> Check:
    if isinstance(decisions, NotFoundError):
        return topic.skipped("the role does not exist.")
    if isinstance(decisions, CoreError):
        return unsimulated(topic, decisions, context, None)
    if not decisions:
        return topic.skipped("the simulation returned no result.")
    refused = worst(decisions)
    if not refused:
        return topic.check("ok", f"{role.name} may {purpose} (by simulation).")
    return denied_check(topic, refused, policy, context, role, purposes=dict.fromkeys(refused, purpose))
