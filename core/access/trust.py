"""Trust policies: who may assume a role."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.errors import InputError
from core.strict_json import parse_json

SOURCE_ACCOUNT, SOURCE_ARN = "aws:sourceaccount", "aws:sourcearn"
"""Condition keys against confused deputies, in lower case: keys are compared so."""

OPERATORS = {"stringequals", "stringlike", "arnequals", "arnlike"}


Outcome = Literal["allowed", "not trusted", "denied", "conditional"]


@dataclass(frozen=True, slots=True)
class TrustDecision:
    """Whether a service may assume a role.

    outcome:    denied: a statement refuses it. conditional: it depends on conditions that are unknown here.
    conditions: the keys of those conditions.
    services:   the services that the policy does trust.
    """

    outcome: Outcome
    conditions: tuple[str, ...] = ()
    services: tuple[str, ...] = ()


def parse_policy(document: object) -> dict[str, Any]:
    """Return a policy document, given as JSON text or already parsed. Raises InputError."""
    try:
        policy = parse_json(document) if isinstance(document, str) else document
    except ValueError as error:
        raise InputError("The policy document is not JSON.", why=f"{error}.") from error
    if not isinstance(policy, Mapping):
        raise InputError(f"The policy document is a {type(policy).__name__}, not a JSON object.")
    return dict(policy)


def trust_decision(policy: Mapping[str, Any], service: str, account: str) -> TrustDecision:
    """Return whether a trust policy lets a service assume the role for an account.

    Conditions on aws:SourceAccount and aws:SourceArn are evaluated; any other condition is reported, not evaluated.
    In a partition with a domain of its own, such as China, a policy may also name the service by amazonaws.com.
    """
    names = {service, f"{service.partition('.')[0]}.amazonaws.com"}
    services: list[str] = []
    sure: set[str] = set()
    conditional: dict[str, list[str]] = {"Allow": [], "Deny": []}
    for statement in _items(policy.get("Statement")):
        effect = statement.get("Effect") if isinstance(statement, Mapping) else None
        if effect not in ("Allow", "Deny"):
            continue
        trusted = _services(statement.get("Principal"))
        services += trusted if effect == "Allow" else []
        if names.isdisjoint(trusted) or not _assumes_role(statement):
            continue
        unmet, unevaluated = _conditions(statement.get("Condition"), account)
        if not unmet and unevaluated:
            conditional[effect] += unevaluated
        elif not unmet:
            sure.add(effect)
    outcome, conditions = _outcome(sure, conditional)
    return TrustDecision(outcome, tuple(dict.fromkeys(conditions)), tuple(dict.fromkeys(services)))


def _outcome(sure: set[str], conditional: Mapping[str, list[str]]) -> tuple[Outcome, list[str]]:
    """Return the outcome, and the conditions that it depends on.

    sure:        the effects of statements that apply.
    conditional: effect -> condition keys of statements that may apply.
    """
    if "Deny" in sure:
        return "denied", []
    if "Allow" in sure:
        return ("conditional", conditional["Deny"]) if conditional["Deny"] else ("allowed", [])
    return ("conditional", conditional["Allow"]) if conditional["Allow"] else ("not trusted", [])


def _services(principal: object) -> list[str]:
    """Return the services of a statement's Principal; "*" means AWS principals, and no service."""
    if not isinstance(principal, Mapping):
        return []
    return [name for name in _items(principal.get("Service")) if isinstance(name, str)]


def _assumes_role(statement: Mapping[str, Any]) -> bool:
    actions = [action for action in _items(statement.get("Action")) if isinstance(action, str)]
    return any(matches(action, "sts:AssumeRole", ignore_case=True) for action in actions)


def _conditions(condition: object, account: str) -> tuple[bool, list[str]]:
    """Return whether a condition is surely not met, and the keys of those that are not evaluated."""
    unmet, unevaluated = False, []
    for operator, tests in condition.items() if isinstance(condition, Mapping) else ():
        for key, values in tests.items() if isinstance(tests, Mapping) else ():
            wanted = [value for value in _items(values) if isinstance(value, str)]
            if str(operator).lower() not in OPERATORS or key.lower() not in (SOURCE_ACCOUNT, SOURCE_ARN):
                unevaluated.append(str(key))
            elif key.lower() == SOURCE_ACCOUNT:
                unmet = unmet or not any(matches(value, account) for value in wanted)
            else:
                unmet = unmet or not any(_is_of_account(value, account) for value in wanted)
    return unmet, unevaluated


def _is_of_account(arn_pattern: str, account: str) -> bool:
    """Return whether ARNs of an account can match a pattern; which of them do is not known before the call."""
    parts = arn_pattern.split(":")
    return len(parts) < 5 or matches(parts[4], account)


def matches(pattern: str, value: str, *, ignore_case: bool = False) -> bool:
    """Return whether a value matches a pattern of IAM, whose wildcards are `*` and `?`."""
    expression = "".join({"*": ".*", "?": "."}.get(sign, re.escape(sign)) for sign in pattern)
    return re.fullmatch(expression, value, re.DOTALL | (re.IGNORECASE if ignore_case else 0)) is not None


def _items(value: object) -> list[Any]:
    """Return a list of what IAM lets stand alone or in a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
