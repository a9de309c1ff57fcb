"""Trust policies: who may assume a role."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.access.trust import matches, parse_policy, trust_decision
from core.errors import InputError

SERVICE, ACCOUNT = "sagemaker.amazonaws.com", "123456789012"


def allow(**changes: Any) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": {"Service": SERVICE},
        "Action": "sts:AssumeRole",
        **changes,
    }


def outcome(*statements: Any) -> str:
    return trust_decision({"Statement": list(statements)}, SERVICE, ACCOUNT).outcome


@pytest.mark.parametrize(
    "statement",
    [
        allow(),
        allow(Principal={"Service": ["ec2.amazonaws.com", SERVICE]}),
        allow(Action=["sts:AssumeRole", "sts:TagSession"]),
        allow(Action="sts:*"),
        allow(Action="STS:assumerole"),
        allow(Condition={"StringEquals": {"aws:SourceAccount": ACCOUNT}}),
        allow(Condition={"StringEquals": {"AWS:sourceaccount": ["999999999999", ACCOUNT]}}),
        allow(Condition={"ArnLike": {"aws:SourceArn": f"arn:aws:sagemaker:*:{ACCOUNT}:*"}}),
        allow(Condition={"ArnLike": {"aws:SourceArn": "arn:aws:sagemaker:*"}}),
    ],
)
def test_a_role_that_sagemaker_may_assume(statement: dict[str, Any]) -> None:
    """A role is usable if a statement allows SageMaker to assume it, for this account if it names one."""
    assert outcome(statement) == "allowed"
    assert trust_decision({"Statement": statement}, SERVICE, ACCOUNT).outcome == "allowed"


@pytest.mark.parametrize(
    "statement",
    [
        allow(Principal={"Service": "ec2.amazonaws.com"}),
        allow(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"}),
        allow(Principal="*"),
        allow(Principal={"Service": "sagemaker.amazonaws.com.cn"}),
        allow(Action="sts:TagSession"),
        allow(Condition={"StringEquals": {"aws:SourceAccount": "999999999999"}}),
        allow(Condition={"ArnLike": {"aws:SourceArn": "arn:aws:sagemaker:*:999999999999:*"}}),
        allow(Effect="Maybe"),
        "not a statement",
    ],
)
def test_a_role_that_sagemaker_may_not_assume(statement: Any) -> None:
    """Another service, another action, another account or no statement at all does not make a role usable."""
    assert outcome(statement) == "not trusted"
    assert outcome() == "not trusted"


def test_a_deny_statement_wins() -> None:
    """A statement that denies SageMaker wins over one that allows it, wherever it is."""
    assert outcome(allow(), allow(Effect="Deny")) == "denied"
    assert outcome(allow(Effect="Deny"), allow()) == "denied"


def test_other_conditions_are_reported_and_not_judged() -> None:
    """Whether a condition on another key holds is unknown, so the decision names the key."""
    other = {"StringEquals": {"sts:ExternalId": "x"}}
    decision = trust_decision({"Statement": [allow(Condition=other)]}, SERVICE, ACCOUNT)
    assert (decision.outcome, decision.conditions) == ("conditional", ("sts:ExternalId",))
    assert outcome(allow(), allow(Condition=other)) == "allowed"
    assert outcome(allow(), allow(Effect="Deny", Condition=other)) == "conditional"


def test_the_trusted_services_are_named() -> None:
    """The services that a role does trust are part of the decision, for the message."""
    policy = {"Statement": allow(Principal={"Service": "ec2.amazonaws.com"})}
    assert trust_decision(policy, SERVICE, ACCOUNT).services == ("ec2.amazonaws.com",)


@pytest.mark.parametrize("document", ["", "{", "[1]", "7", None])
def test_what_is_no_policy_is_refused(document: Any) -> None:
    """Text that is not a JSON object is refused with a reason."""
    with pytest.raises(InputError, match="policy document"):
        parse_policy(document)
    assert parse_policy(json.dumps({"a": 1})) == {"a": 1}


@pytest.mark.parametrize(
    ("pattern", "value", "same"),
    [("a*c", "abbc", True), ("a?c", "abc", True), ("a.c", "abc", False), ("*", "", True), ("a", "A", False)],
)
def test_wildcards_are_those_of_iam(pattern: str, value: str, same: bool) -> None:
    """In a pattern of IAM, `*` stands for any text, `?` for one character, and nothing else is special."""
    assert matches(pattern, value) is same


def test_china_trusts_sagemaker_by_either_name() -> None:
    """In China a trust policy may name the service by amazonaws.com.cn or amazonaws.com; elsewhere, by the latter."""
    china = "sagemaker.amazonaws.com.cn"
    for name in (china, "sagemaker.amazonaws.com"):
        policy = {"Statement": [allow(Principal={"Service": name})]}
        assert trust_decision(policy, china, ACCOUNT).outcome == "allowed"
    assert (
        trust_decision({"Statement": [allow(Principal={"Service": china})]}, SERVICE, ACCOUNT).outcome
        != "allowed"
    )
