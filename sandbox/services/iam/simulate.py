"""IAM's SimulatePrincipalPolicy, which moto lacks and the SageMaker SDK calls before it trains.

Evaluates the principal's own policies: Action, NotAction, Resource, NotResource, and conditions with StringEquals and
StringLike on the given context. A statement with any other condition counts as not met, and its keys are reported as
missing. Boundaries and resource policies are refused. Source: IAM user guide, "Policy evaluation logic".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from sandbox.http.protocol import ApiError

# (action, parameters) -> the result's element, without namespaces. Raises IAM's errors as ApiError.
CallIam = Callable[[str, Mapping[str, str]], ET.Element]
_REFUSED = ("ResourcePolicy", "PermissionsBoundaryPolicyInputList.member.1", "PolicyExclusionList.member.1")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a policy. source: the policy's name."""

    source: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision on one action and resource: allowed, implicitDeny or explicitDeny, with the policies behind it."""

    action: str
    resource: str
    outcome: str
    sources: tuple[str, ...]
    missing: tuple[str, ...]


def simulate(params: Mapping[str, str], call: CallIam) -> str:
    """Return the response's XML. params: those of the query protocol. Raises ApiError."""
    for name in _REFUSED:
        if name in params:
            raise ApiError("InvalidInput", f"The sandbox's SimulatePrincipalPolicy does not support {name}.")
    actions, resources = _members(params, "ActionNames"), _members(params, "ResourceArns") or ["*"]
    if not actions or "PolicySourceArn" not in params:
        raise ApiError("ValidationError", "PolicySourceArn and ActionNames are required.")
    statements = [*_attached(params["PolicySourceArn"], call), *_given(_members(params, "PolicyInputList"))]
    context = _context(params)
    decisions = [
        decide(statements, action, resource, context) for action in actions for resource in resources
    ]
    results = "".join(f"<member>{_xml(decision)}</member>" for decision in decisions)
    return f"<IsTruncated>false</IsTruncated><EvaluationResults>{results}</EvaluationResults>"


def decide(
    statements: Iterable[Statement], action: str, resource: str, context: Mapping[str, list[str]]
) -> Decision:
    """Apply IAM's rule: a matching Deny wins, then a matching Allow, otherwise the request is denied."""
    outcome, sources, missing = "implicitDeny", [], set()
    for statement in statements:
        body = statement.body
        if not _names(body, "Action", action, re.IGNORECASE) or not _names(body, "Resource", resource):
            continue
        unmet = _unmet(body.get("Condition", {}), context)
        if unmet is not None:
            missing |= unmet
            continue
        sources.append(statement.source)
        if body["Effect"] == "Deny":
            outcome = "explicitDeny"
        elif outcome == "implicitDeny":
            outcome = "allowed"
    return Decision(action, resource, outcome, tuple(dict.fromkeys(sources)), tuple(sorted(missing)))


def _names(body: Mapping[str, Any], member: str, value: str, flags: int = 0) -> bool:
    """Return whether Action or Resource (or its Not form) covers the value."""
    if member in body:
        return any(_like(pattern, value, flags) for pattern in _list(body[member]))
    return not any(_like(pattern, value, flags) for pattern in _list(body.get(f"Not{member}", [])))


def _unmet(condition: Mapping[str, Any], context: Mapping[str, list[str]]) -> set[str] | None:
    """Return None when the condition is met; otherwise the keys that are missing or unsupported."""
    unmet, missing = False, set()
    for operator, tests in condition.items():
        for key, wanted in tests.items():
            values = context.get(key.lower())
            if values is None or operator not in {"StringEquals", "StringLike"}:
                missing.add(key)
            elif not any(_is(operator, pattern, value) for pattern in _list(wanted) for value in values):
                unmet = True
    return missing if missing or unmet else None


def _is(operator: str, pattern: str, value: str) -> bool:
    """Return whether a value meets one test."""
    return pattern == value if operator == "StringEquals" else _like(pattern, value)


def _like(pattern: str, value: str, flags: int = 0) -> bool:
    """Return whether a value matches IAM's wildcards `*` and `?`."""
    spelled = "".join({"*": ".*", "?": "."}.get(sign, re.escape(sign)) for sign in pattern)
    return re.fullmatch(spelled, value, flags | re.DOTALL) is not None


def _attached(arn: str, call: CallIam) -> Iterator[Statement]:
    """Yield the statements of a role's or user's inline and attached policies. Raises ApiError."""
    match = re.fullmatch(r"arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/(?:.*/)?([^/]+)", arn)
    if not match:
        raise ApiError("InvalidInput", f"The sandbox simulates roles and users only, not {arn!r}.")
    kind, principal = match[1].title(), {f"{match[1].title()}Name": match[2]}
    for name in _texts(call(f"List{kind}Policies", principal), "PolicyNames/member"):
        document = call(f"Get{kind}Policy", {**principal, "PolicyName": name}).findtext(
            "PolicyDocument", "{}"
        )
        yield from _statements(name, document)
    for policy in _texts(call(f"ListAttached{kind}Policies", principal), "AttachedPolicies/member/PolicyArn"):
        version = call("GetPolicy", {"PolicyArn": policy}).findtext("Policy/DefaultVersionId", "v1")
        policy_version = call("GetPolicyVersion", {"PolicyArn": policy, "VersionId": version})
        yield from _statements(
            policy.rpartition("/")[2], policy_version.findtext("PolicyVersion/Document", "{}")
        )


def _given(documents: Iterable[str]) -> Iterator[Statement]:
    """Yield the statements of policies in the request."""
    for number, document in enumerate(documents, 1):
        yield from _statements(f"PolicyInputList.{number}", document)


def _statements(source: str, document: str) -> Iterator[Statement]:
    """Yield the statements of a policy document, plain or URL-encoded. Raises ApiError."""
    text = document if document.lstrip().startswith("{") else unquote(document)
    try:
        policy = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ApiError("InvalidInput", f"The policy {source} is not JSON: {error}") from error
    for body in _list(policy.get("Statement", [])):
        yield Statement(source, body)


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


def _list(value: Any) -> list[Any]:
    """Return a value as a list."""
    return value if isinstance(value, list) else [value]


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
