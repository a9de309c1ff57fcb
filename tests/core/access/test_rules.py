"""The checks of the setup, from values to results."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from core.access import identity_rules, resource_rules, role_rules
from core.access.check import Check, Topic, has_problem
from core.access.context import AccessContext
from core.access.identity_rules import Credentials, Probe
from core.access.principal import parse_principal, sagemaker_service
from core.access.quotas import InstanceNeed, Quota, parse_need
from core.access.resource_rules import Encryption, Key
from core.access.role_rules import Role
from core.access.simulation import Decision, parse_decision
from core.access.target import DEFAULT_NEEDS, parse_target
from core.cost.training import Money, PriceTable
from core.errors import AwsError, DeniedError, InputError, NotFoundError
from core.partitions import partition_of

ACCOUNT = "123456789012"
AWS = AccessContext("eu-west-1", "aws", ACCOUNT, sandbox=False, cli="aws --region eu-west-1")
SANDBOX = AccessContext("us-east-1", "aws", ACCOUNT, sandbox=True, cli="aws")
USER = parse_principal(f"arn:aws:iam::{ACCOUNT}:user/ada")
ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/Trainer"
ROLE = parse_principal(ROLE_ARN)
SSO = parse_principal(f"arn:aws:sts::{ACCOUNT}:assumed-role/AWSReservedSSO_Dev_0123456789abcdef/ada")
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
SERVICE = "sagemaker.amazonaws.com"
DENIED = DeniedError("Could not read it: these credentials are not allowed to.")


def denied(action: str = "sagemaker:CreateTrainingJob", **more: Any) -> Decision:
    return Decision(action, "*", allowed=False, **{"reason": "no statement allows it", **more})


def permissions(*decisions: Decision, principal: Any = USER) -> Check:
    return identity_rules.permissions_check(decisions, (), AWS, principal)


@pytest.mark.parametrize(
    ("arn", "kind", "name", "own_arn"),
    [
        (f"arn:aws:iam::{ACCOUNT}:user/team/ada", "user", "ada", f"arn:aws:iam::{ACCOUNT}:user/team/ada"),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/Dev/ada@x", "role", "Dev", f"arn:aws:iam::{ACCOUNT}:role/Dev"),
        (f"arn:aws-cn:iam::{ACCOUNT}:role/a/Dev", "role", "Dev", f"arn:aws-cn:iam::{ACCOUNT}:role/a/Dev"),
        (f"arn:aws:iam::{ACCOUNT}:root", "root", "", f"arn:aws:iam::{ACCOUNT}:root"),
        (
            f"arn:aws:sts::{ACCOUNT}:federated-user/ada",
            "federated-user",
            "ada",
            f"arn:aws:sts::{ACCOUNT}:federated-user/ada",
        ),
    ],
)
def test_a_principal_is_read_from_its_arn(arn: str, kind: str, name: str, own_arn: str) -> None:
    """The user or role behind an ARN is known; a session of a role stands for the role."""
    principal = parse_principal(arn)
    assert principal is not None
    assert (principal.kind, principal.name, principal.arn) == (kind, name, own_arn)


@pytest.mark.parametrize(
    "arn",
    ["", "x", f"arn:aws:iam::{ACCOUNT}:group/a", "arn:aws:iam::12:user/a", f"arn:aws:s3::{ACCOUNT}:user/a"],
)
def test_other_arns_name_none(arn: str) -> None:
    """What is not the ARN of a user, role or session names none of them."""
    assert parse_principal(arn) is None


def test_partitions() -> None:
    """The partition follows from the region, and with it SageMaker's principal and the console."""
    assert [partition_of(name) for name in ("eu-west-1", "cn-north-1", "us-gov-west-1")] == [
        "aws",
        "aws-cn",
        "aws-us-gov",
    ]
    assert sagemaker_service("aws-cn") == "sagemaker.amazonaws.com.cn"
    assert sagemaker_service("aws-us-gov") == SERVICE
    gov = AccessContext("us-gov-west-1", "aws-us-gov", ACCOUNT, sandbox=False, cli="aws")
    assert gov.console("iam/home").startswith("https://us-gov-west-1.console.amazonaws-us-gov.com/")
    assert SANDBOX.console("iam/home") == ""


def test_temporary_credentials_tell_how_long_they_are_valid() -> None:
    """Credentials name their source, profile, MFA device and remaining time."""
    credentials = Credentials(
        "assume-role",
        temporary=True,
        expires_at=NOW + timedelta(hours=1),
        profile="dev",
        mfa_serial="arn:mfa",
    )
    check = identity_rules.credentials_check(credentials, NOW)
    assert check.status == "ok"
    assert "assumed role of the profile (profile dev), temporary, valid for 1 h 00 min" in check.found
    assert "MFA device arn:mfa" in check.found


@pytest.mark.parametrize(
    ("credentials", "status"),
    [
        (Credentials("env", temporary=False), "ok"),
        (Credentials("env", temporary=True), "ok"),
        (Credentials("env", temporary=True, expires_at=NOW + timedelta(minutes=5)), "warning"),
        (Credentials("sso", temporary=True, expires_at=NOW + timedelta(minutes=5)), "ok"),
        (Credentials("env", temporary=True, expires_at=NOW - timedelta(minutes=5)), "problem"),
        (InputError("There are none."), "problem"),
    ],
)
def test_credentials_near_their_end(credentials: Any, status: str) -> None:
    """Credentials that end soon and that nothing renews are a warning, expired or missing ones a problem."""
    check = identity_rules.credentials_check(credentials, NOW)
    assert check.status == status
    assert status == "ok" or isinstance(credentials, InputError) or check.todo


def test_the_root_user_is_a_warning() -> None:
    """Working as the root user is a warning."""
    root = parse_principal(f"arn:aws:iam::{ACCOUNT}:root")
    assert root is not None
    assert identity_rules.identity_check(root.arn, root, ACCOUNT).status == "warning"


@pytest.mark.parametrize(
    ("skew", "status"),
    [(5, "ok"), (-59, "ok"), (120, "warning"), (-299, "warning"), (301, "problem"), (-900, "problem")],
)
def test_clock(skew: int, status: str) -> None:
    """A clock that is 5 minutes off is a problem, as AWS refuses its signatures."""
    check = identity_rules.clock_check(timedelta(seconds=skew))
    assert check.status == status
    assert ("ahead of" in check.found) == (skew > 0 and status != "ok")
    assert identity_rules.clock_check(None).status == "unknown"


def test_a_missing_permission_is_named_with_its_policy_and_command() -> None:
    """A denied action is a problem with its purpose, the policy that grants it, and the command that adds it."""
    check = permissions(denied(), Decision("sagemaker:Search", "*", allowed=True))
    assert check.status == "problem"
    assert check.found == "Denied: sagemaker:CreateTrainingJob (start training jobs)."
    assert check.policy is not None
    (row,) = check.policy["Statement"]
    assert row["Action"] == "sagemaker:CreateTrainingJob"
    assert check.command.startswith("aws --region eu-west-1 iam put-user-policy --user-name ada ")
    assert check.link.endswith("iam/home#/users/details/ada?section=permissions")


def test_no_command_replaces_the_policy_of_another() -> None:
    """Each policy has a name of its own, so that the commands can be run one after the other, on any day."""
    actions = ("sagemaker:CreateTrainingJob", "sagemaker:StopTrainingJob", "sagemaker:DeleteModel")
    commands = [permissions(denied(action)).command for action in actions]
    names = {command.split("--policy-name ")[1].split()[0] for command in commands}
    assert len(names) == len(actions)
    assert permissions(denied(actions[0])).command == commands[0]


def test_a_policy_that_is_too_long_for_a_user_has_no_command() -> None:
    """IAM takes 2,048 characters of inline policies for a user, so a longer one is only shown."""
    policy = {"Statement": [{"Resource": "x" * 2048}]}
    assert USER is not None
    assert ROLE is not None
    assert AWS.put_policy(USER, "permissions", policy) == ""
    assert AWS.put_policy(ROLE, "permissions", policy)


def test_a_missing_permission_of_one_feature_is_a_warning() -> None:
    """Without an action that only one feature needs, Segdeck works, so that is a warning."""
    check = permissions(denied("sagemaker:BatchGetMetrics"))
    assert check.status == "warning"
    assert "Segdeck works without it" in check.todo


def test_a_role_of_identity_center_is_changed_there() -> None:
    """A role that IAM Identity Center made is changed in its permission set: there is no command for it."""
    check = permissions(denied(), principal=SSO)
    assert "permission set" in check.todo
    assert check.command == ""
    assert check.policy is not None


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (
            {"reason": "a statement denies it", "policies": ("NoTraining",)},
            "Remove the Deny statement of NoTraining",
        ),
        ({"reason": "organization"}, "service control policy"),
        ({"reason": "permissions boundary"}, "extend the boundary"),
    ],
)
def test_a_denial_that_no_policy_can_lift(more: dict[str, Any], text: str) -> None:
    """Where an Allow would not help, the advice says what would, and no policy is offered."""
    check = permissions(denied(**more))
    assert text in check.todo
    assert (check.status, check.policy, check.command) == ("problem", None, "")


def test_a_result_that_depends_on_the_call_is_a_warning() -> None:
    """An action that is denied only for lack of a condition key may be allowed in a real call."""
    check = permissions(denied(missing=("aws:MultiFactorAuthPresent",)))
    assert check.status == "warning"
    assert "aws:MultiFactorAuthPresent" in check.found


def test_a_decision_is_read_from_a_result_of_iam() -> None:
    """Of IAM's result, a denial's kind, its policies and missing condition keys are kept."""
    result = {"EvalActionName": "a:B", "EvalResourceName": "arn", "EvalDecision": "explicitDeny"}
    explicit = parse_decision(
        {**result, "MatchedStatements": [{"SourcePolicyId": "p"}], "MissingContextValues": ["k"]}
    )
    assert (explicit.reason, explicit.policies, explicit.missing) == ("a statement denies it", ("p",), ())
    implicit = {**result, "EvalDecision": "implicitDeny"}
    assert parse_decision({**implicit, "MissingContextValues": ["k"]}).uncertain
    scp = parse_decision({**implicit, "OrganizationsDecisionDetail": {"AllowedByOrganizations": False}})
    boundary = parse_decision(
        {**implicit, "PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": False}}
    )
    assert (scp.reason, boundary.reason) == ("organization", "permissions boundary")
    assert parse_decision({**result, "EvalDecision": "allowed"}).allowed


def test_without_simulation_reads_are_tried() -> None:
    """Where permissions cannot be simulated, a denied read is named; without one the result is unknown."""
    allowed = Probe("sagemaker:ListEndpoints")
    check = identity_rules.permissions_check(DENIED, (allowed, Probe("sagemaker:Search", DENIED)), AWS, USER)
    assert check.status == "problem"
    assert "sagemaker:Search" in check.found
    assert "sagemaker:ListEndpoints" not in check.found
    unknown = identity_rules.permissions_check(DENIED, (allowed,), AWS, USER)
    assert unknown.status == "unknown"
    assert "iam:SimulatePrincipalPolicy" in str(unknown.policy)
    assert "sagemaker:ListEndpoints" in unknown.found


def test_a_service_linked_role_is_refused() -> None:
    """A service-linked role that is given as the execution role is a problem, although it trusts SageMaker."""
    arn = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{SERVICE}/AWSServiceRoleForAmazonSageMakerNotebooks"
    linked = Role("AWSServiceRoleForAmazonSageMakerNotebooks", arn, trusting(SERVICE).trust)
    check = role_check(linked, arn)
    assert (check.status, "service-linked role" in check.found) == ("problem", True)


def role_check(role: Any, arn: str = ROLE_ARN) -> Check:
    return role_rules.role_check(role, arn, SERVICE, AWS, parse_principal(arn))


def trusting(service: str) -> Role:
    row = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return Role("Trainer", ROLE_ARN, {"Statement": [row]})


def test_role() -> None:
    """A role must exist, in this account, and trust SageMaker; each other case is named with what to do."""
    assert role_check(trusting(SERVICE)).status == "ok"
    wrong = role_check(trusting("ec2.amazonaws.com"))
    assert wrong.status == "problem"
    assert "It trusts ec2.amazonaws.com." in wrong.found
    assert wrong.policy is not None
    assert "trust_relationships" in wrong.link
    other_path = Role("Trainer", f"arn:aws:iam::{ACCOUNT}:role/team/Trainer", {})
    assert "is arn:aws:iam::123456789012:role/team/Trainer, not" in role_check(other_path).found
    missing = role_check(NotFoundError("gone"))
    assert missing.status == "problem"
    assert "segdeck create-role" in missing.todo
    assert role_check(DENIED).status == "unknown"
    assert "iam:GetRole" in str(role_check(DENIED).policy)
    assert role_check(AwsError("It failed.")).status == "unknown"
    assert role_check(Role("Trainer", ROLE_ARN, "not JSON")).status == "unknown"


@pytest.mark.parametrize(
    ("arn", "text"),
    [
        ("arn:aws:iam::999999999999:role/Trainer", "belongs to account 999999999999"),
        (f"arn:aws:iam::{ACCOUNT}:user/ada", "is not the ARN of a role"),
        ("Trainer", "is not the ARN of a role"),
    ],
)
def test_what_cannot_be_an_execution_role(arn: str, text: str) -> None:
    """A role of another account, and what is not a role, is a problem before any call."""
    check = role_check(None, arn)
    assert check.status == "problem"
    assert text in check.found


def test_without_a_role() -> None:
    """Without a given role: none that SageMaker may assume is a problem, several are to be chosen from."""
    assert role_rules.no_role_check([]).status == "problem"
    assert role_rules.no_role_check(["a", "b"]).status == "unknown"
    assert "a, b" in role_rules.no_role_check(["a", "b"]).found
    assert role_rules.no_role_check(DENIED).status == "unknown"


def bucket_check(region: Any) -> Check:
    return resource_rules.bucket_check(region, "data", AWS, USER)


def test_bucket() -> None:
    """A bucket must exist in the region of the jobs; each other case is a problem with what to do."""
    assert bucket_check("eu-west-1").status == "ok"
    elsewhere = bucket_check("us-east-1")
    assert (elsewhere.status, "AWS_REGION to us-east-1" in elsewhere.todo) == ("problem", True)
    missing = bucket_check(NotFoundError("gone"))
    assert (missing.status, missing.command) == ("problem", "aws --region eu-west-1 s3 mb s3://data")
    refused = bucket_check(DENIED)
    assert (refused.status, "s3:ListBucket" in str(refused.policy)) == ("problem", True)
    assert bucket_check(AwsError("It failed.")).status == "unknown"


@pytest.mark.parametrize(
    ("encryption", "key", "status"),
    [
        (Encryption("AES256"), None, "ok"),
        (Encryption("aws:kms"), None, "ok"),
        (Encryption("aws:kms", "k"), Key("arn:k", "Enabled"), "ok"),
        (Encryption("aws:kms", "k"), Key("arn:k", "Enabled", aws_managed=True), "ok"),
        (Encryption("aws:kms", "k"), Key("arn:k", "PendingDeletion"), "problem"),
        (Encryption("aws:kms", "k"), NotFoundError("gone"), "problem"),
        (Encryption("aws:kms", "k"), DENIED, "unknown"),
        (Encryption("aws:kms", "k"), AwsError("It failed."), "unknown"),
        (DENIED, None, "unknown"),
        (AwsError("It failed."), None, "unknown"),
    ],
)
def test_encryption(encryption: Any, key: Any, status: str) -> None:
    """Encryption is a problem only where the KMS key cannot be used, and unknown where it cannot be read."""
    check = resource_rules.encryption_check(encryption, key, "data", AWS)
    assert check.status == status
    assert status == "ok" or check.found


def test_a_key_is_named_by_id_alias_or_arn() -> None:
    """A bucket names its key by id, alias or ARN; all become an ARN."""
    assert resource_rules.key_arn("1234", AWS) == f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1234"
    assert resource_rules.key_arn("alias/a", AWS) == f"arn:aws:kms:eu-west-1:{ACCOUNT}:alias/a"
    assert resource_rules.key_arn("arn:x", AWS) == "arn:x"


NEED = InstanceNeed("training", "ml.p3.2xlarge")
SPOT = InstanceNeed("spot", "ml.p3.2xlarge")


def quota(value: float, *, adjustable: bool = True) -> Check:
    quotas = {NEED.quota: Quota(NEED.quota, value, "L-1", adjustable)}
    return resource_rules.quota_check(NEED, quotas, AWS)


def test_quota() -> None:
    """A quota of 0 is a problem with the request to send; one above is fine; one that is not listed is unknown."""
    zero = quota(0)
    assert zero.status == "problem"
    assert '"ml.p3.2xlarge for training job usage" is 0' in zero.found
    assert zero.link.endswith("servicequotas/home/services/sagemaker/quotas/L-1")
    assert "--quota-code L-1 --desired-value 1" in zero.command
    assert quota(2).status == "ok"
    assert quota(0, adjustable=False).command == ""
    assert resource_rules.quota_check(NEED, {}, AWS).status == "unknown"
    refused = resource_rules.quota_check(NEED, DENIED, AWS)
    assert (refused.status, "servicequotas:ListServiceQuotas" in str(refused.policy)) == ("unknown", True)
    assert resource_rules.quota_check(NEED, AwsError("It failed."), AWS).status == "unknown"


def test_spot_quota() -> None:
    """Spot jobs have a quota of their own, whatever that of on-demand jobs is; their prices are those of training."""
    quotas = {NEED.quota: Quota(NEED.quota, 4, "L-1"), SPOT.quota: Quota(SPOT.quota, 0, "L-2")}
    check = resource_rules.quota_check(SPOT, quotas, AWS)
    assert (check.status, check.id) == ("problem", "quota-spot-ml.p3.2xlarge")
    assert '"ml.p3.2xlarge for spot training job usage" is 0' in check.found
    assert resource_rules.prices_check(table(), [], [SPOT], sandbox=False).status == "ok"


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("training=ml.p3.2xlarge", (NEED,)),
        ("spot=ml.p3.2xlarge", (SPOT,)),
        (
            "ml.p3.2xlarge",
            (NEED, InstanceNeed("hosting", "ml.p3.2xlarge"), InstanceNeed("transform", "ml.p3.2xlarge")),
        ),
        (
            "ml.c5.xlarge",
            (InstanceNeed("hosting", "ml.c5.xlarge"), InstanceNeed("transform", "ml.c5.xlarge")),
        ),
    ],
)
def test_an_instance_type_is_checked_for_what_it_can_be_used_for(
    text: str, needs: tuple[InstanceNeed, ...]
) -> None:
    """A type alone is meant for all uses of the algorithm, which trains on few families; USE=TYPE for one."""
    assert parse_need(text) == needs


@pytest.mark.parametrize("text", ["", "p3.2xlarge", "baking=ml.p3.2xlarge", "training="])
def test_what_is_no_instance_type_is_refused(text: str) -> None:
    """Anything else is refused with what to give."""
    with pytest.raises(InputError) as error:
        parse_need(text)
    assert error.value.todo


def test_target() -> None:
    """A bucket may be given with a prefix, a role by name; in the sandbox, what is missing is the sandbox's own."""
    target = parse_target("Trainer", "s3://data/roads/", ["training=ml.p3.2xlarge", "training=ml.p3.2xlarge"])
    assert (target.role, target.bucket, target.prefix, target.needs) == ("Trainer", "data", "roads", (NEED,))
    assert parse_target().needs == DEFAULT_NEEDS
    sandbox = parse_target(sandbox=True)
    assert (sandbox.role.rpartition("/")[2], sandbox.bucket) == ("SegdeckSandboxRole", "segdeck-sandbox")
    for role, bucket in (("a b", ""), ("", "No_Bucket")):
        with pytest.raises(InputError):
            parse_target(role, bucket)


def table(note: str = "") -> PriceTable:
    amount = {"ml.p3.2xlarge": Money(Decimal(1))}
    return PriceTable("eu-west-1", date(2026, 1, 1), "Prices", amount, {}, note)


def test_prices() -> None:
    """Prices show their day; a price that is unknown, of another region or not current is a warning."""
    check = resource_rules.prices_check(table(), [], [NEED], sandbox=False)
    assert (check.status, "2026-01-01" in check.found) == ("ok", True)
    hosting = InstanceNeed("hosting", "ml.c5.xlarge")
    assert resource_rules.prices_check(table(), [], [hosting], sandbox=False).status == "warning"
    assert resource_rules.prices_check(table("Of elsewhere."), [], [NEED], sandbox=False).status == "warning"
    denied = resource_rules.prices_check(table(), ["Denied: pricing:GetProducts."], [NEED], sandbox=False)
    assert (denied.status, "Denied:" in denied.found, bool(denied.todo)) == ("warning", True, True)
    assert resource_rules.prices_check(table(), ["It failed."], [NEED], sandbox=False).todo == ""


def test_image() -> None:
    """A region without the algorithm is a problem."""
    assert resource_rules.image_check("uri").status == "ok"
    assert resource_rules.image_check(InputError("Not offered.", todo="Go elsewhere.")).status == "problem"


def test_a_long_reason_is_shortened() -> None:
    """The reason of another server may be a page of HTML, of which only the beginning is shown."""
    check = Topic("id", "Title").unread(AwsError("It failed.", why="<p>" * 1000))
    assert len(check.found) < 250
    assert Topic("id", "Title").unread(AwsError("It failed.", why="Because.")).found == "It failed. Because."


def test_checks_are_json() -> None:
    """As JSON a check has all its parts, and only a problem counts as one."""
    check = Topic("id", "Title").check("warning", "Found.", "Do.", link="l", command="c", policy={"a": 1})
    assert check.to_dict() == {
        "id": "id", "title": "Title", "status": "warning", "found": "Found.", "todo": "Do.", "link": "l",
        "command": "c", "policy": {"a": 1},
    }  # fmt: skip
    assert not has_problem([check])
    assert has_problem([check, Topic("id", "Title").check("problem", "")])
