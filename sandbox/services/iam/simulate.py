"""IAM's SimulatePrincipalPolicy, which moto lacks and the SageMaker SDK calls before it trains.

Evaluates the principal's own policies, and its permissions boundary if it has one. Boundaries and resource policies
in the request are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from sandbox.http.protocol import ApiError
from sandbox.services.iam.policies import ALLOWED, EXPLICIT, Decision, Statement, decide, statements

# (action, parameters) -> the result's element, without namespaces. Raises IAM's errors as ApiError.
CallIam = Callable[[str, Mapping[str, str]], ET.Element]
_REFUSED = ("ResourcePolicy", "PermissionsBoundaryPolicyInputList.member.1", "PolicyExclusionList.member.1")


def simulate(params: Mapping[str, str], call: CallIam) -> str:
    """Return the response's XML. params: those of the query protocol. Raises ApiError."""
    for name in _REFUSED:
        if name in params:
            raise ApiError("InvalidInput", f"The sandbox's SimulatePrincipalPolicy does not support {name}.")
    actions, resources = _members(params, "ActionNames"), _members(params, "ResourceArns") or ["*"]
    if not actions or "PolicySourceArn" not in params:
        raise ApiError("ValidationError", "PolicySourceArn and ActionNames are required.")
    policies = [
        *principal_statements(params["PolicySourceArn"], call),
        *_given(_members(params, "PolicyInputList")),
    ]
    context = _context(params)
    boundary = _boundary(params["PolicySourceArn"], call)
    decisions = [
        _bounded(decide(policies, action, resource, context), boundary, context)
        for action in actions
        for resource in resources
    ]
    results = "".join(f"<member>{_xml(decision)}</member>" for decision in decisions)
    return f"<IsTruncated>false</IsTruncated><EvaluationResults>{results}</EvaluationResults>"


def _boundary(arn: str, call: CallIam) -> list[Statement] | None:
    """Return the statements of a principal's permissions boundary; None without one."""
    kind = "Role" if ":role/" in arn else "User"
    principal = call(f"Get{kind}", {f"{kind}Name": arn.rpartition("/")[2]})
    boundary = principal.findtext(f"{kind}/PermissionsBoundary/PermissionsBoundaryArn")
    return list(managed_statements(boundary, call)) if boundary else None


def _bounded(
    decision: Decision, boundary: list[Statement] | None, context: Mapping[str, list[str]]
) -> Decision:
    """Return a decision within a permissions boundary, which must allow the action too."""
    if boundary is None:
        return decision
    limit = decide(boundary, decision.action, decision.resource, context)
    if limit.outcome == ALLOWED or decision.outcome == EXPLICIT:
        return decision
    missing = tuple(sorted({*decision.missing, *limit.missing}))
    return Decision(decision.action, decision.resource, limit.outcome, limit.sources, missing)


def principal_statements(arn: str, call: CallIam) -> Iterator[Statement]:
    """Yield the statements of a role's or user's inline and attached policies. Raises ApiError."""
    match = re.fullmatch(r"arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/(?:.*/)?([^/]+)", arn)
    if not match:
        raise ApiError("InvalidInput", f"The sandbox simulates roles and users only, not {arn!r}.")
    kind, principal = match[1].title(), {f"{match[1].title()}Name": match[2]}
    for name in _texts(call(f"List{kind}Policies", principal), "PolicyNames/member"):
        document = call(f"Get{kind}Policy", {**principal, "PolicyName": name}).findtext(
            "PolicyDocument", "{}"
        )
        yield from statements(name, document)
    for policy in _texts(call(f"ListAttached{kind}Policies", principal), "AttachedPolicies/member/PolicyArn"):
        yield from managed_statements(policy, call)


def managed_statements(arn: str, call: CallIam) -> Iterator[Statement]:
    """Yield the statements of a managed policy. Raises ApiError."""
    version = call("GetPolicy", {"PolicyArn": arn}).findtext("Policy/DefaultVersionId", "v1")
    policy_version = call("GetPolicyVersion", {"PolicyArn": arn, "VersionId": version})
    yield from statements(arn.rpartition("/")[2], policy_version.findtext("PolicyVersion/Document", "{}"))


def _given(documents: Iterable[str]) -> Iterator[Statement]:
    """Yield the statements of policies in the request."""
    for number, document in enumerate(documents, 1):
        yield from statements(f"PolicyInputList.{number}", document)


def _texts(element: ET.Element, path: str) -> list[str]:
    """Return the text of every element at a path."""
    return [item.text or "" for item in element.iterfind(path)]


def _members(params: Mapping[str, str], name: str) -> list[str]:
    """Return a list of the query protocol, in order: `Name.member.1`, `Name.member.2`, ..."""
    values: list[str] = []
    while (key := f"{name}.member.{len(values) + 1}") in params:
        values.append(params[key])
    return values


def _context(params: Mapping[str, str]) -> dict[str, list[str]]:
    """Return context values by key in lower case, as IAM compares keys."""
    context: dict[str, list[str]] = {}
    number = 1
    while key := params.get(f"ContextEntries.member.{number}.ContextKeyName"):
        context[key.lower()] = _members(params, f"ContextEntries.member.{number}.ContextKeyValues")
        number += 1
    return context


def _xml(decision: Decision) -> str:
    """Return a decision as the members of an EvaluationResult."""
    sources = "".join(
        f"<member><SourcePolicyId>{escape(source)}</SourcePolicyId></member>" for source in decision.sources
    )
    missing = "".join(f"<member>{escape(key)}</member>" for key in decision.missing)
    return (
        f"<EvalActionName>{escape(decision.action)}</EvalActionName>"
        f"<EvalResourceName>{escape(decision.resource)}</EvalResourceName>"
        f"<EvalDecision>{decision.outcome}</EvalDecision>"
        f"<MatchedStatements>{sources}</MatchedStatements>"
        f"<MissingContextValues>{missing}</MissingContextValues>"
    )
