"""Simulated permissions: what to ask IAM's SimulatePrincipalPolicy, and what its results mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.access.context import AccessContext
from core.access.permissions import (
    IMAGE_ACTIONS,
    IMAGE_TOKEN,
    KEY_ACTIONS,
    NAME,
    OBJECT_ACTIONS,
    PASS_ROLE,
    PERMISSIONS,
    ROLE_LOG_ACTIONS,
    ROLE_METRIC_ACTIONS,
    bucket_arn,
    image_arn,
    objects_arn,
    resource,
)

Reason = Literal[
    "", "no statement allows it", "a statement denies it", "permissions boundary", "organization"
]


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """An action on a resource, in the context of some condition keys."""

    action: str
    resource: str = "*"
    context: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What IAM says about one action on one resource.

    reason:   why it is not allowed.
    policies: of a denial by a statement: the policies with such a statement.
    missing:  condition keys that the result depends on and that were not given; it is then uncertain.
    """

    action: str
    resource: str
    allowed: bool
    reason: Reason = ""
    policies: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def uncertain(self) -> bool:
        """Whether the action may be allowed after all, under conditions that were not given."""
        return not self.allowed and bool(self.missing)

    @property
    def denied(self) -> bool:
        """Whether the action is refused for sure."""
        return not self.allowed and not self.missing


def parse_decision(result: Mapping[str, Any]) -> Decision:
    """Return the decision in one member of EvaluationResults. Raises KeyError where one is incomplete."""
    allowed = result["EvalDecision"] == "allowed"
    explicit = result["EvalDecision"] == "explicitDeny"
    policies = [row.get("SourcePolicyId", "") for row in result.get("MatchedStatements", ())]
    return Decision(
        result["EvalActionName"],
        result.get("EvalResourceName", "*"),
        allowed,
        "" if allowed else _reason(result, explicit=explicit),
        tuple(dict.fromkeys(filter(None, policies))) if explicit else (),
        () if allowed or explicit else tuple(result.get("MissingContextValues", ())),
    )


def _reason(result: Mapping[str, Any], *, explicit: bool) -> Reason:
    if result.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations") is False:
        return "organization"
    if result.get("PermissionsBoundaryDecisionDetail", {}).get("AllowedByPermissionsBoundary") is False:
        return "permissions boundary"
    return "a statement denies it" if explicit else "no statement allows it"


def identity_requests(context: AccessContext) -> tuple[ActionRequest, ...]:
    """Return what to simulate for the identity that runs Segdeck."""
    return tuple(
        ActionRequest(permission.action, resource(scope, context, NAME))
        for permission in PERMISSIONS
        for scope in permission.scopes
    )


def pass_role_requests(role_arn: str, service: str) -> tuple[ActionRequest, ...]:
    """Return what to simulate for passing the role to SageMaker."""
    return (ActionRequest(PASS_ROLE, role_arn, (("iam:PassedToService", service),)),)


def bucket_requests(partition: str, bucket: str, prefix: str, key_arn: str = "") -> tuple[ActionRequest, ...]:
    """Return what to simulate for reading and writing a bucket, and for using its KMS key."""
    listing = ActionRequest(
        "s3:ListBucket", bucket_arn(partition, bucket), (("s3:prefix", f"{prefix}/" if prefix else ""),)
    )
    objects = objects_arn(partition, bucket, prefix, NAME)
    return (
        listing,
        *(ActionRequest(action, objects) for action in OBJECT_ACTIONS),
        *(ActionRequest(action, key_arn) for action in KEY_ACTIONS if key_arn),
    )


def log_requests(context: AccessContext) -> tuple[ActionRequest, ...]:
    """Return what to simulate for a role that writes logs and metrics."""
    stream = resource("logs", context, NAME)
    return (
        *(ActionRequest(action, stream) for action in ROLE_LOG_ACTIONS),
        *(ActionRequest(action) for action in ROLE_METRIC_ACTIONS),
    )


def image_requests(context: AccessContext, image: str) -> tuple[ActionRequest, ...]:
    """Return what to simulate for a role that pulls the container image."""
    repository = image_arn(context, image)
    return (ActionRequest(IMAGE_TOKEN), *(ActionRequest(action, repository) for action in IMAGE_ACTIONS))


def batches(
    requests: Iterable[ActionRequest],
) -> tuple[tuple[tuple[tuple[str, str], ...], str, tuple[str, ...]], ...]:
    """Return the requests as (context, resource, actions): one call of SimulatePrincipalPolicy each."""
    grouped: dict[tuple[tuple[tuple[str, str], ...], str], list[str]] = {}
    for request in requests:
        grouped.setdefault((request.context, request.resource), []).append(request.action)
    return tuple((context, where, tuple(actions)) for (context, where), actions in grouped.items())
