"""Decide by IAM policies: a matching Deny wins, then a matching Allow, otherwise the request is denied.

Supports Action, NotAction, Resource, NotResource, Principal and conditions with all operators but those on binary
values; an unsupported operator never matches and is reported as missing. Source: IAM user guide, "Policy evaluation
logic" and "IAM JSON policy elements: Condition operators".
"""

from __future__ import annotations

import functools
import ipaddress
import json
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from sandbox.http.protocol import ApiError, shortened

ALLOWED, IMPLICIT, EXPLICIT = "allowed", "implicitDeny", "explicitDeny"
Context = Mapping[str, list[str]]
"""The values of the request's condition keys, by key in lower case."""


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


def statements(source: str, document: str) -> Iterator[Statement]:
    """Yield the statements of a policy document, plain or URL-encoded. Raises ApiError MalformedPolicyDocument."""
    text = document if document.lstrip().startswith("{") else unquote(document)
    try:
        policy = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ApiError("MalformedPolicyDocument", f"The policy {source} is not JSON: {error}") from error
    if not isinstance(policy, dict):
        raise _malformed(source, "it must be a JSON object")
    for body in _list(policy.get("Statement", [])):
        problem = _problem(body)
        if problem:
            raise _malformed(source, problem)
        yield Statement(source, body)


def _malformed(source: str, problem: str) -> ApiError:
    return ApiError("MalformedPolicyDocument", f"The policy {source} is malformed: {problem}.")


def _problem(body: Any) -> str:
    """Return what is wrong with the form of a statement; empty for a valid one."""
    if not isinstance(body, dict):
        return "each Statement must be a JSON object"
    if body.get("Effect") not in ("Allow", "Deny"):
        return f"Effect must be Allow or Deny, not {shortened(str(body.get('Effect')))}"
    if ("Action" in body) == ("NotAction" in body):
        return "a Statement must have either Action or NotAction"
    for member in ("Action", "NotAction", "Resource", "NotResource"):
        if not all(isinstance(item, str) for item in _list(body.get(member, []))):
            return f"{member} must be a string or a list of strings"
    condition = body.get("Condition", {})
    if not isinstance(condition, dict) or not all(isinstance(tests, dict) for tests in condition.values()):
        return "Condition must map operators to keys with values"
    values = [item for tests in condition.values() for wanted in tests.values() for item in _list(wanted)]
    if not all(isinstance(item, str | int | float) for item in values):
        return "the values of a Condition must be strings, numbers or booleans"
    return ""


def decide(policies: Iterable[Statement], action: str, resource: str, context: Context) -> Decision:
    """Apply the statements that match the action, the resource and their conditions."""
    outcome, sources, missing = IMPLICIT, [], set()
    for statement in policies:
        body = statement.body
        if not _names(body, "Action", action, re.IGNORECASE) or not _names(body, "Resource", resource):
            continue
        met, absent = _conditions(body.get("Condition", {}), context)
        missing |= absent
        if not met:
            continue
        sources.append(statement.source)
        if body["Effect"] == "Deny":
            outcome = EXPLICIT
        elif outcome == IMPLICIT:
            outcome = ALLOWED
    return Decision(action, resource, outcome, tuple(dict.fromkeys(sources)), tuple(sorted(missing)))


def trusts(
    document: str, kind: str, names: Iterable[str], context: Context, action: str = "sts:AssumeRole"
) -> bool:
    """Return whether a role's trust policy lets a principal assume it.

    kind: AWS or Service; names: the principal's names in policies. Raises ApiError for an invalid document.
    """
    allowed = False
    for statement in statements("AssumeRolePolicyDocument", document):
        body = statement.body
        if not _names(body, "Action", action, re.IGNORECASE) or not _is_principal(body, kind, names):
            continue
        if not _conditions(body.get("Condition", {}), context)[0]:
            continue
        if body["Effect"] == "Deny":
            return False
        allowed = True
    return allowed


def _is_principal(body: Mapping[str, Any], kind: str, names: Iterable[str]) -> bool:
    """Return whether a statement's Principal includes one of the names."""
    principal = body.get("Principal", {})
    if principal == "*":
        return True
    listed = _list(principal.get(kind, [])) if isinstance(principal, dict) else []
    return (kind == "AWS" and "*" in listed) or any(name in listed for name in names)


def _names(body: Mapping[str, Any], member: str, value: str, flags: int = 0) -> bool:
    """Return whether Action or Resource (or its Not form) covers the value."""
    if member in body:
        return any(like(pattern, value, flags) for pattern in _list(body[member]))
    return not any(like(pattern, value, flags) for pattern in _list(body.get(f"Not{member}", [])))


def like(pattern: str, value: str, flags: int = 0) -> bool:
    """Return whether a value matches IAM's wildcards `*` and `?`."""
    return _compiled(pattern, flags).fullmatch(value) is not None


@functools.lru_cache(maxsize=2048)
def _compiled(pattern: str, flags: int) -> re.Pattern[str]:
    """Return a pattern with IAM's wildcards as a regular expression; a managed policy has hundreds."""
    spelled = "".join({"*": ".*", "?": "."}.get(sign, re.escape(sign)) for sign in pattern)
    return re.compile(spelled, flags | re.DOTALL)


# -- conditions


def _conditions(condition: Mapping[str, Any], context: Context) -> tuple[bool, set[str]]:
    """Return whether every test is met, and the keys that are missing or whose operator is unsupported."""
    met, missing = True, set()
    for name, tests in condition.items():
        for key, wanted in tests.items():
            values = context.get(key.lower())
            verdict = _test(name, [str(item) for item in _list(wanted)], values)
            if verdict is None or (values is None and not verdict):
                missing.add(key)
            met = met and bool(verdict)
    return met, missing


def _test(name: str, wanted: list[str], values: list[str] | None) -> bool | None:
    """Return whether the values of a key meet one test; None for an unsupported operator.

    values: None for a key that the request lacks: then a negated test is met, and one that ends in IfExists.
    """
    quantifier, _, plain = name.rpartition(":")
    optional, plain = plain.endswith("IfExists"), plain.removesuffix("IfExists")
    if plain == "Null":
        absent = values is None or not values
        return any(absent == (item.lower() == "true") for item in wanted)
    negated = "Not" in plain
    compare = _OPERATORS.get(plain.replace("Not", "", 1))
    if compare is None:
        return None
    if not values:
        return optional or negated or quantifier == "ForAllValues"
    matches = [any(compare(value, item) for item in wanted) != negated for value in values]
    return all(matches) if quantifier == "ForAllValues" or (negated and not quantifier) else any(matches)


def _boolean(value: str, wanted: str) -> bool:
    return value.lower() == wanted.lower()


def _number(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    """Return a comparison of two numbers; false when one is not a number."""

    def test(value: str, wanted: str) -> bool:
        try:
            return compare(float(value), float(wanted))
        except ValueError:
            return False

    return test


def _date(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    """Return a comparison of two times, each ISO 8601 or seconds since 1970; false when one is not a time."""

    def test(value: str, wanted: str) -> bool:
        try:
            return compare(_seconds(value), _seconds(wanted))
        except ValueError:
            return False

    return test


def _seconds(text: str) -> float:
    """Parse a time. Raises ValueError."""
    if re.fullmatch(r"[0-9.]+", text):
        return float(text)
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _address(value: str, wanted: str) -> bool:
    """Return whether an IP address is in a range; false when one is invalid."""
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return False


_COMPARISONS = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "LessThanEquals": operator.le,
    "GreaterThan": operator.gt,
    "GreaterThanEquals": operator.ge,
}
# An operator's name without "Not" -> whether a value of the request meets a value of the policy.
_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": operator.eq,
    "StringEqualsIgnoreCase": _boolean,
    "StringLike": lambda value, pattern: like(pattern, value),
    "ArnEquals": lambda value, pattern: like(pattern, value),
    "ArnLike": lambda value, pattern: like(pattern, value),
    "Bool": _boolean,
    "IpAddress": _address,
    **{f"Numeric{name}": _number(compare) for name, compare in _COMPARISONS.items()},
    **{f"Date{name}": _date(compare) for name, compare in _COMPARISONS.items()},
}


def _list(value: Any) -> list[Any]:
    """Return a value as a list."""
    return value if isinstance(value, list) else [value]
