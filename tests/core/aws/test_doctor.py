"""The checks of the setup against an account on loopback: one thing is denied at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from core.access.check import Check
from core.access.permissions import (
    IMAGE_ACTIONS,
    IMAGE_TOKEN,
    OBJECT_ACTIONS,
    PERMISSIONS,
    ROLE_LOG_ACTIONS,
    ROLE_METRIC_ACTIONS,
)
from core.access.target import parse_target
from core.aws.connection import Clients, Connection
from core.aws.doctor import SetupReport, check_setup, plan_role
from core.aws.execute import execute
from core.errors import InputError, TakenError
from tests.support.access_aws import (
    ACCOUNT,
    BUCKET,
    KEY,
    QUOTAS,
    REGION,
    ROLE,
    TRUST,
    USER,
    AccessAws,
    access_aws,
    denial,
)

Change = Callable[[AccessAws], Any]


@pytest.fixture(scope="module")
def server() -> Iterator[AccessAws]:
    with access_aws() as aws:
        yield aws


@pytest.fixture(scope="module")
def clients(server: AccessAws) -> Iterator[Clients]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }.items():
            patch.setenv(name, value)
        yield Clients(Connection(REGION, server.url, seconds=19))


@pytest.fixture
def aws(server: AccessAws) -> AccessAws:
    """Return the account as it is when nothing is wrong."""
    for name, value in vars(AccessAws(url=server.url)).items():
        setattr(server, name, value)
    return server


def report(clients: Clients, role: str = "Trainer", bucket: str = BUCKET, *types: str) -> SetupReport:
    return check_setup(clients, parse_target(role, bucket, types))


def not_ok(clients: Clients) -> dict[str, Check]:
    return {check.id: check for check in report(clients).checks if check.status != "ok"}


def deny(arn: str, action: str, **more: Any) -> Change:
    return lambda aws: aws.denied.update({(arn, action): denial(**more)})


def refuse(operation: str) -> Change:
    return lambda aws: aws.refused.add(operation)


def test_nothing_wrong(clients: Clients, aws: AccessAws) -> None:
    """In an account where all is well, every check is ok, in a fixed order, and nothing was changed."""
    checks = report(clients).checks
    assert {check.id: check.found for check in checks if check.status != "ok"} == {}
    assert [check.id for check in checks] == [
        "credentials", "region", "identity", "clock", "permissions", "pass-role", "role", "role-data", "role-logs",
        "role-image", "bucket", "bucket-access", "bucket-encryption", "quota-training-ml.g4dn.xlarge",
        "quota-hosting-ml.c5.xlarge", "image", "prices",
    ]  # fmt: skip
    assert not [
        call for call in aws.calls if call.startswith(("Create", "Put", "Attach", "Delete", "Update"))
    ]


@pytest.mark.parametrize("permission", PERMISSIONS, ids=lambda permission: permission.action)
def test_each_action_that_is_denied_is_named(clients: Clients, aws: AccessAws, permission: Any) -> None:
    """Each action that this identity lacks is named, with the policy that grants it; nothing else is."""
    deny(USER, permission.action)(aws)
    wrong = not_ok(clients)
    assert set(wrong) == {"permissions"}
    check = wrong["permissions"]
    assert check.status == ("problem" if permission.required else "warning")
    assert check.found == f"Denied: {permission.action} ({permission.purpose})."
    assert [row["Action"] for row in check.policy["Statement"]] == [permission.action]  # type: ignore[index]
    assert permission.action in check.command


@pytest.mark.parametrize(
    ("principal", "action", "check_id"),
    [
        (USER, "iam:PassRole", "pass-role"),
        *((USER, action, "bucket-access") for action in ("s3:ListBucket", *OBJECT_ACTIONS)),
        *((ROLE, action, "role-data") for action in ("s3:ListBucket", *OBJECT_ACTIONS)),
        *((ROLE, action, "role-logs") for action in (*ROLE_LOG_ACTIONS, *ROLE_METRIC_ACTIONS)),
        *((ROLE, action, "role-image") for action in (*IMAGE_ACTIONS, IMAGE_TOKEN)),
    ],
)
def test_each_denial_is_a_problem_of_its_own(
    clients: Clients, aws: AccessAws, principal: str, action: str, check_id: str
) -> None:
    """Each action that the identity or the role lacks is named in one check, with its fix; nothing else is."""
    deny(principal, action)(aws)
    wrong = not_ok(clients)
    assert set(wrong) == {check_id}
    assert wrong[check_id].status == "problem"
    assert action in wrong[check_id].found
    assert action in str(wrong[check_id].policy)
    kind = "role --role-name Trainer" if principal == ROLE else "user --user-name ada"
    assert kind.partition(" ")[2] in wrong[check_id].command


def change(**values: Any) -> Change:
    return lambda aws: vars(aws).update(values)


def both(first: Change, second: Change) -> Change:
    return lambda aws: (first(aws), second(aws))


ENCRYPTED = change(key=KEY)
NO_TRAINING, NO_HOSTING = "quota-training-ml.g4dn.xlarge", "quota-hosting-ml.c5.xlarge"
UNSIMULATED = dict.fromkeys(("pass-role", "bucket-access", "role-data", "role-logs", "role-image"), "unknown")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda aws: aws.roles.clear(),
            {"role": "problem", "role-data": "unknown", "role-logs": "unknown", "role-image": "unknown"},
        ),
        (lambda aws: aws.roles.update(Trainer={"Statement": []}), {"role": "problem"}),
        (refuse("GetRole"), {"role": "unknown"}),
        (lambda aws: aws.buckets.clear(), {"bucket": "problem"}),
        (lambda aws: aws.buckets.update({BUCKET: "us-east-1"}), {"bucket": "problem"}),
        (refuse("HeadBucket"), {"bucket": "problem"}),
        (refuse("GetBucketEncryption"), {"bucket-encryption": "unknown"}),
        (ENCRYPTED, {}),
        (change(key=KEY, key_state="Disabled"), {"bucket-encryption": "problem"}),
        (both(ENCRYPTED, refuse("DescribeKey")), {"bucket-encryption": "unknown"}),
        (both(ENCRYPTED, deny(ROLE, "kms:Decrypt")), {"role-data": "problem"}),
        (both(ENCRYPTED, deny(USER, "kms:GenerateDataKey")), {"bucket-access": "problem"}),
        (
            lambda aws: aws.quotas.update({"ml.g4dn.xlarge for training job usage": ("L-0", 0.0)}),
            {NO_TRAINING: "problem"},
        ),
        (lambda aws: aws.quotas.pop("ml.c5.xlarge for endpoint usage"), {NO_HOSTING: "unknown"}),
        (refuse("ListServiceQuotas"), {NO_TRAINING: "unknown", NO_HOSTING: "unknown"}),
        (refuse("GetProducts"), {"prices": "warning"}),
        (refuse("SimulatePrincipalPolicy"), {"permissions": "unknown", **UNSIMULATED}),
        (
            both(refuse("SimulatePrincipalPolicy"), refuse("ListEndpoints")),
            {"permissions": "problem", **UNSIMULATED},
        ),
        (change(clock_offset=timedelta(minutes=10)), {"clock": "problem"}),
        (
            change(caller=f"arn:aws:sts::{ACCOUNT}:federated-user/ada"),
            {"permissions": "unknown", "pass-role": "unknown", "bucket-access": "unknown"},
        ),
        (change(caller=f"arn:aws:iam::{ACCOUNT}:root"), {"identity": "warning"}),
    ],
)
def test_one_thing_is_wrong(
    clients: Clients, aws: AccessAws, change: Change, expected: dict[str, str]
) -> None:
    """One thing that is wrong, or that cannot be read, is reported with advice, and the other checks are made."""
    change(aws)
    wrong = not_ok(clients)
    assert {name: check.status for name, check in wrong.items()} == expected
    assert all(check.found for check in wrong.values())
    assert all(check.todo for check in wrong.values() if check.status == "problem")


def test_an_unknown_identity_hides_no_other_check(clients: Clients, aws: AccessAws) -> None:
    """Where only the identity cannot be read, what does not depend on it is checked."""
    aws.refused.add("GetCallerIdentity")
    wrong = not_ok(clients)
    assert wrong["identity"].status == "problem"
    assert {"credentials", "clock", "bucket", "bucket-encryption", "image", NO_TRAINING} & set(wrong) == set()


def test_a_deny_statement_is_told_from_a_missing_one(clients: Clients, aws: AccessAws) -> None:
    """A denial by a statement, a boundary or the organization is explained as such, and offers no policy to add."""
    matched = (
        "<MatchedStatements><member><SourcePolicyId>NoJobs</SourcePolicyId></member></MatchedStatements>"
    )
    refused = "<AllowedByOrganizations>false</AllowedByOrganizations>"
    organization = f"<OrganizationsDecisionDetail>{refused}</OrganizationsDecisionDetail>"
    for more, text in (
        ({"outcome": "explicitDeny", "xml": matched}, "Deny statement of NoJobs"),
        ({"xml": organization}, "service control policy"),
    ):
        deny(USER, "sagemaker:CreateTrainingJob", **more)(aws)
        check = not_ok(clients)["permissions"]
        assert text in check.todo
        assert check.policy is None


def test_a_session_of_a_role_is_checked_as_that_role(clients: Clients, aws: AccessAws) -> None:
    """For credentials of an assumed role, the policies of the role are simulated."""
    aws.caller = f"arn:aws:sts::{ACCOUNT}:assumed-role/Trainer/ada"
    deny(ROLE, "sagemaker:DeleteModel")(aws)
    check = not_ok(clients)["permissions"]
    assert "iam put-role-policy --role-name Trainer" in check.command


@pytest.mark.parametrize("fault", ["signature", "address"])
def test_without_credentials_or_connection_the_rest_is_skipped(
    aws: AccessAws, clients: Clients, fault: str
) -> None:
    """Where no call can succeed, one check says why, and the others are unknown, without a call each."""
    aws.bad_signature = fault == "signature"
    aws.clock_offset = timedelta(hours=1)
    asked = clients if fault == "signature" else Clients(Connection(REGION, "http://127.0.0.1:9", seconds=2))
    checks = {check.id: check for check in report(asked).checks}
    assert checks["credentials" if fault == "signature" else "identity"].status == "problem"
    assert {checks[name].status for name in ("permissions", "role", "bucket", "role-data")} == {"unknown"}
    assert checks["image"].status == "ok"
    if fault == "signature":
        assert checks["clock"].status == "problem"  # the reason for the refusal
        assert aws.calls == ["GetCallerIdentity"]


def test_a_role_is_found_where_none_is_given(clients: Clients, aws: AccessAws) -> None:
    """Without a role, the only one that SageMaker may assume is checked; of several, none is chosen."""
    aws.roles = {"Trainer": TRUST, "Other": {"Statement": []}}
    assert report(clients, role="").role_arn == ROLE
    aws.roles["Second"] = TRUST
    checks = {check.id: check for check in report(clients, role="").checks}
    assert checks["role"].status == "unknown"
    assert "Trainer, Second" in checks["role"].found
    aws.roles = {}
    checks = {check.id: check for check in report(clients, role="").checks}
    assert checks["role"].status == "problem"


def test_a_service_linked_role_is_no_execution_role(clients: Clients, aws: AccessAws) -> None:
    """SageMaker's own service-linked role is not found as the execution role, whichever other roles there are."""
    linked = "aws-service-role/sagemaker.amazonaws.com/AWSServiceRoleForAmazonSageMakerNotebooks"
    aws.roles = {linked: TRUST}
    checks = {check.id: check for check in report(clients, role="").checks}
    assert (checks["role"].status, "No role of this account" in checks["role"].found) == ("problem", True)
    aws.roles["Trainer"] = TRUST
    assert report(clients, role="").role_arn == ROLE


def test_instance_types_that_are_given_are_checked(clients: Clients, aws: AccessAws) -> None:
    """Given an instance type, its quotas for training, hosting and transform are checked."""
    checks = report(clients, "Trainer", BUCKET, "ml.g4dn.xlarge").checks
    assert [check.found for check in checks if check.id.startswith("quota-")] == [
        "1 for training.", "2 for hosting.", "3 for transform.",
    ]  # fmt: skip
    assert len(QUOTAS) == 4


def test_a_role_is_created_with_the_smallest_policy(clients: Clients, aws: AccessAws) -> None:
    """The plan creates a role that SageMaker may assume and that has the policy for the bucket and its key."""
    aws.key = KEY
    plan = plan_role(clients, "Fresh", parse_target(bucket=f"s3://{BUCKET}/roads"))
    assert [step.operation for step in plan.steps] == ["CreateRole", "PutRolePolicy"]
    assert aws.created == {}
    execute(clients, plan)
    assert report(clients, "Fresh").checks[6].status == "ok"
    (text,) = aws.created["Fresh"].values()
    assert f"arn:aws:s3:::{BUCKET}/roads/*" in text
    assert KEY in text
    again = execute(clients, plan)
    assert [done.state for done in again.done] == ["already", "already"]


def test_a_role_of_that_name_is_left_alone(clients: Clients, aws: AccessAws) -> None:
    """Where a role of that name exists with another trust policy, nothing is changed."""
    aws.roles["Fresh"] = {"Statement": []}
    plan = plan_role(clients, "Fresh", parse_target(bucket=BUCKET))
    with pytest.raises(TakenError):
        execute(clients, plan)
    assert aws.created == {}


def test_a_role_keeps_its_policy_for_another_bucket(clients: Clients, aws: AccessAws) -> None:
    """Where the role has a policy for another bucket, the plan is refused with that bucket and changes nothing."""
    execute(clients, plan_role(clients, "Fresh", parse_target(bucket=BUCKET)))
    before = dict(aws.created["Fresh"])
    aws.buckets["other-data"] = REGION
    with pytest.raises(TakenError, match=f"role Fresh already has a policy .* for {BUCKET}") as refused:
        execute(clients, plan_role(clients, "Fresh", parse_target(bucket="other-data")))
    assert refused.value.todo == "Choose another role name."
    assert aws.created["Fresh"] == before
    assert aws.calls.count("PutRolePolicy") == 1


def test_what_the_plan_for_a_role_needs(clients: Clients, aws: AccessAws) -> None:
    """The plan needs a bucket and a possible name, and warns where the key of the bucket cannot be read."""
    with pytest.raises(InputError, match="No bucket"):
        plan_role(clients, "Fresh", parse_target())
    with pytest.raises(InputError, match="name of a role"):
        plan_role(clients, "two words", parse_target(bucket=BUCKET))
    aws.refused.add("GetBucketEncryption")
    assert "KMS key" in plan_role(clients, "Fresh", parse_target(bucket=BUCKET)).warnings[0]
    aws.buckets.clear()
    assert "does not exist" in plan_role(clients, "Fresh", parse_target(bucket=BUCKET)).warnings[0]
