"""Checks of who Segdeck is to AWS, and of what this identity may do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from core.access.check import Check, PolicyDocument, Status, Topic
from core.access.context import AccessContext
from core.access.permissions import (
    BUCKET_ACTIONS,
    PERMISSIONS,
    Permission,
    bucket_grants,
    document,
    grants,
    pass_role,
)
from core.access.principal import Principal
from core.access.simulation import Decision
from core.errors import CoreError, DeniedError
from core.text import duration, listing, plural

MAX_SKEW, NOTABLE_SKEW = timedelta(minutes=5), timedelta(minutes=1)
"""AWS refuses signatures that are older than this, or from the future by as much."""

SOON = timedelta(minutes=15)
"""Credentials that expire sooner are worth a warning where nothing renews them."""

CREDENTIALS = Topic("credentials", "Credentials")
IDENTITY = Topic("identity", "Identity")
CLOCK = Topic("clock", "Clock")
PERMISSIONS_TOPIC = Topic("permissions", "Permissions")
PASS_ROLE_TOPIC = Topic("pass-role", "Passing the role")
BUCKET_ACCESS = Topic("bucket-access", "Access to the bucket")

SOURCES = {
    "env": "environment variables",
    "shared-credentials-file": "the shared credentials file",
    "config-file": "the AWS configuration file",
    "assume-role": "an assumed role of the profile",
    "assume-role-with-web-identity": "a web identity token",
    "sso": "IAM Identity Center (SSO)",
    "login": "a console sign-in (aws login)",
    "custom-process": "a credential process of the profile",
    "container-role": "the role of this container",
    "iam-role": "the role of this EC2 instance",
    "boto-config": "a Boto2 configuration file",
    "explicit": "the sandbox",
}
"""How botocore names the source of credentials -> in words."""

RENEWED = (
    "assume-role",
    "assume-role-with-web-identity",
    "sso",
    "custom-process",
    "container-role",
    "iam-role",
)
"""Sources from which botocore renews credentials automatically."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is known of the credentials, without the keys themselves.

    source:     as botocore names it.
    temporary:  whether they have a session token.
    expires_at: aware; None where unknown, or where they do not expire.
    profile:    the profile of ~/.aws; empty without one.
    mfa_serial: of the MFA device that the profile asks for; empty without one.
    """

    source: str
    temporary: bool
    expires_at: datetime | None = None
    profile: str = ""
    mfa_serial: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """A read that was tried, where permissions cannot be simulated. error: None where it succeeded."""

    action: str
    error: CoreError | None = None


def credentials_check(credentials: Credentials | CoreError, now: datetime) -> Check:
    """Return where the credentials come from, and how long they are valid."""
    topic = CREDENTIALS
    if isinstance(credentials, CoreError):
        return topic.failed("problem", credentials)
    profile = f" (profile {credentials.profile})" if credentials.profile else ""
    parts = [f"From {SOURCES.get(credentials.source, credentials.source)}{profile}"]
    parts.append("temporary" if credentials.temporary else "long-term keys")
    status: Status = "ok"
    todo = ""
    left = credentials.expires_at - now if credentials.expires_at is not None else None
    if left is not None and left <= timedelta():
        parts.append(f"expired {duration(-left.total_seconds())} ago")
        status, todo = "problem", "Sign in again, then check again."
    elif left is not None:
        parts.append(f"valid for {duration(left.total_seconds())}")
        if left < SOON and credentials.source not in RENEWED:
            status, todo = "warning", "Sign in again before a long upload or evaluation."
    elif credentials.temporary:
        parts.append("expiry unknown")
    if credentials.mfa_serial:
        parts.append(f"MFA device {credentials.mfa_serial}")
    elif credentials.source == "assume-role":
        parts.append("no MFA device in the profile")
    if credentials.source == "explicit":
        parts = ["The sandbox's own keys"]
    return topic.check(status, f"{', '.join(parts)}.", todo)


def region_check(context: AccessContext) -> Check:
    """Return the region, and the partition where it is not the usual one."""
    partition = "" if context.partition == "aws" else f", partition {context.partition}"
    return Check("region", "Region", "ok", f"{context.region}{partition}.")


def identity_check(arn: str | CoreError, principal: Principal | None, account: str) -> Check:
    """Return who makes the calls."""
    topic = IDENTITY
    if isinstance(arn, CoreError):
        return topic.failed("problem", arn)
    if principal is not None and principal.kind == "root":
        return topic.check(
            "warning",
            f"The root user of account {account}.",
            "Use a role or an IAM user instead: the root user's access cannot be limited.",
        )
    return topic.check("ok", f"{arn}, account {account}.")


def clock_check(skew: timedelta | None) -> Check:
    """Return how far this machine's clock is from AWS's. skew: positive where ours is ahead; None: unknown."""
    topic = CLOCK
    if skew is None:
        return topic.skipped("no response had a date.")
    off = abs(skew)
    direction = "ahead of" if skew > timedelta() else "behind"
    if off < NOTABLE_SKEW:
        return topic.check("ok", "Within a minute of AWS's clock.")
    return topic.check(
        "problem" if off >= MAX_SKEW else "warning",
        f"This machine's clock is {duration(off.total_seconds())} {direction} AWS's.",
        "Synchronize it (NTP): AWS refuses requests signed more than 5 minutes off.",
    )


def permissions_check(
    decisions: Sequence[Decision] | CoreError,
    probes: Sequence[Probe],
    context: AccessContext,
    principal: Principal | None,
) -> Check:
    """Return which of Segdeck's actions this identity may call.

    decisions: of the simulation, or why there was none. probes: reads that were tried in its place.
    """
    topic = PERMISSIONS_TOPIC
    if isinstance(decisions, CoreError):
        return _from_probes(topic, decisions, probes, context, principal)
    by_action: dict[str, Permission] = {permission.action: permission for permission in PERMISSIONS}
    refused = worst(decisions)
    if not refused:
        return _allowed(topic, decisions, f"all {plural(len(by_action), 'action')} of Segdeck")
    missing = [by_action[action] for action in refused if action in by_action]
    purposes = {permission.action: permission.purpose for permission in missing}
    required = any(permission.required and refused[permission.action].denied for permission in missing)
    return denied_check(
        topic,
        refused,
        document(grants(missing, context)),
        context,
        principal,
        purposes=purposes,
        required=required,
    )


def pass_role_check(
    decisions: Sequence[Decision] | CoreError,
    role_arn: str,
    service: str,
    context: AccessContext,
    principal: Principal | None,
) -> Check:
    """Return whether this identity may pass the execution role to SageMaker."""
    topic = PASS_ROLE_TOPIC
    if isinstance(decisions, CoreError):
        return unsimulated(topic, decisions, context, principal)
    refused = worst(decisions)
    if not refused:
        return _allowed(topic, decisions, f"iam:PassRole of the role to {service}")
    purposes = dict.fromkeys(refused, "start training jobs and deploy models with the role")
    policy = document([pass_role(role_arn, service)])
    return denied_check(topic, refused, policy, context, principal, purposes=purposes)


def bucket_access_check(
    decisions: Sequence[Decision] | CoreError,
    context: AccessContext,
    principal: Principal | None,
    *,
    bucket: str,
    prefix: str,
    key_arn: str,
) -> Check:
    """Return whether this identity may read and write the bucket."""
    topic = BUCKET_ACCESS
    if isinstance(decisions, CoreError):
        return unsimulated(topic, decisions, context, principal)
    refused = worst(decisions)
    if not refused:
        return _allowed(topic, decisions, f"listing, reading and writing s3://{bucket}/{prefix}")
    policy = document(
        bucket_grants(context.partition, bucket, prefix, key_arn, bucket_actions=BUCKET_ACTIONS)
    )
    purposes = dict.fromkeys(refused, f"use s3://{bucket}/{prefix}")
    return denied_check(topic, refused, policy, context, principal, purposes=purposes)


def worst(decisions: Sequence[Decision]) -> dict[str, Decision]:
    """Return action -> the worst of its decisions, of the actions that are not allowed on every resource."""
    refused: dict[str, Decision] = {}
    for decision in decisions:
        if not decision.allowed and (decision.action not in refused or decision.denied):
            refused[decision.action] = decision
    return refused


def unsimulated(topic: Topic, error: CoreError, context: AccessContext, principal: Principal | None) -> Check:
    """Return the check of permissions that could not be simulated."""
    if not isinstance(error, DeniedError):
        return topic.unread(error)
    simulate = Permission("iam:SimulatePrincipalPolicy", "check permissions")
    policy = document(grants([simulate], context))
    return topic.check(
        "unknown",
        "Permissions cannot be simulated: iam:SimulatePrincipalPolicy is denied.",
        "To have them checked, allow that action. It changes nothing.",
        link=context.principal_link(principal) if principal else "",
        command=context.put_policy(principal, topic.id, policy) if principal else "",
        policy=policy,
    )


def denied_check(
    topic: Topic,
    refused: Mapping[str, Decision],
    policy: PolicyDocument,
    context: AccessContext,
    principal: Principal | None,
    *,
    purposes: Mapping[str, str],
    required: bool = True,
) -> Check:
    """Return the check of refused actions: which, why, and the policy that grants them where one would help."""
    denied = {action: decision for action, decision in refused.items() if decision.denied}
    uncertain = [action for action in refused if action not in denied]
    parts = [f"Denied: {_with_purposes(denied, purposes)}."] if denied else []
    if uncertain:
        keys = dict.fromkeys(key for action in uncertain for key in refused[action].missing)
        parts.append(
            f"Depends on {listing(list(keys))}, which only a real call has: {_with_purposes(uncertain, purposes)}."
        )
    todo, grantable = _todo(denied, principal, required=required)
    return topic.check(
        "problem" if denied and required else "warning",
        " ".join(parts),
        todo,
        link=context.principal_link(principal) if principal else "",
        command=context.put_policy(principal, topic.id, policy) if principal and grantable else "",
        policy=policy if grantable else None,
    )


def _todo(denied: Mapping[str, Decision], principal: Principal | None, *, required: bool) -> tuple[str, bool]:
    """Return the advice, and whether adding a policy would help."""
    reasons = {decision.reason for decision in denied.values()}
    texts = []
    if "organization" in reasons:
        texts.append("A service control policy of your organization denies it: ask its administrators.")
    if "permissions boundary" in reasons:
        texts.append("The permissions boundary does not allow it: extend the boundary.")
    if "a statement denies it" in reasons:
        policies = {name: None for decision in denied.values() for name in decision.policies}
        names = f" of {listing(list(policies))}" if policies else ""
        texts.append(f"Remove the Deny statement{names}: a policy that allows it does not help.")
    grantable = "no statement allows it" in reasons
    if grantable and principal is not None and principal.from_sso:
        texts.append("Add the policy to the permission set in IAM Identity Center.")
    elif grantable:
        owner = f"the {principal.kind} {principal.name}" if principal and principal.name else "this identity"
        texts.append(f"Add the policy to {owner}, or ask whoever manages the account to.")
    if not denied:
        texts.append("Check the conditions in the policies.")
    if not required:
        texts.append("Segdeck works without it, except for what is named.")
    return " ".join(texts), grantable


def _with_purposes(actions: Sequence[str] | Mapping[str, Decision], purposes: Mapping[str, str]) -> str:
    return listing([f"{action} ({purposes[action]})" for action in actions], 8, separator="; ")


def _allowed(topic: Topic, decisions: Sequence[Decision], what: str) -> Check:
    if not decisions:
        return topic.skipped("the simulation returned no result.")
    return topic.check("ok", f"Allowed by simulation: {what}.")


def _from_probes(
    topic: Topic,
    error: CoreError,
    probes: Sequence[Probe],
    context: AccessContext,
    principal: Principal | None,
) -> Check:
    """Return what a few reads show where permissions cannot be simulated."""
    by_action = {permission.action: permission for permission in PERMISSIONS}
    denied = [probe.action for probe in probes if isinstance(probe.error, DeniedError)]
    failed = [probe for probe in probes if probe.error is not None and probe.action not in denied]
    unsure = unsimulated(topic, error, context, principal)
    if not denied:
        reads = [probe.action for probe in probes if probe.error is None]
        tried = f" Allowed reads: {', '.join(reads)}." if reads else ""
        more = f" {failed[0].action}: {failed[0].error}" if failed else ""
        return replace(unsure, found=f"{unsure.found}{tried}{more} Whether changes are allowed is unknown.")
    missing = [by_action[action] for action in denied]
    refused = {
        action: Decision(action, "*", allowed=False, reason="no statement allows it") for action in denied
    }
    purposes = {permission.action: permission.purpose for permission in missing}
    required = any(permission.required for permission in missing)
    check = denied_check(
        topic,
        refused,
        document(grants(missing, context)),
        context,
        principal,
        purposes=purposes,
        required=required,
    )
    return replace(check, found=f"{check.found} {unsure.found}")
