"""`segdeck doctor` and `segdeck create-role`, against an account on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

import cli
from core.plans.role import DEFAULT_ROLE
from tests.support.access_aws import BUCKET, REGION, ROLE, USER, AccessAws, access_aws, denial
from tests.support.command_line import CliRunner

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def server() -> Iterator[AccessAws]:
    with access_aws() as aws:
        yield aws


@pytest.fixture
def aws(server: AccessAws) -> AccessAws:
    """Return the account as it is when nothing is wrong."""
    for name, value in vars(AccessAws(url=server.url)).items():
        setattr(server, name, value)
    return server


@pytest.fixture
def run(aws: AccessAws, tmp_path: Path) -> Run:
    """run("doctor", ...) -> what the command did in that account."""
    environ = {
        "SEGDECK_MODE": "aws",
        "SEGDECK_STATE_DIR": str(tmp_path / "state"),
        "SEGDECK_AWS_SECONDS": "5",
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }
    return lambda *arguments: CliRunner().invoke(cli.app, list(arguments), env=environ)


def test_doctor_succeeds_where_nothing_is_a_problem(run: Run) -> None:
    """With nothing wrong, doctor prints a line for each check and exits with 0."""
    result = run("doctor", "--role", ROLE, "--bucket", BUCKET)
    assert result.exit_code == 0, result.output
    assert "ok       Execution role: " in result.stdout
    assert "No problems found in 17 checks." in result.stderr
    assert "To do" not in result.stdout


def test_doctor_reports_a_problem_with_what_to_do(run: Run, aws: AccessAws) -> None:
    """A problem is printed with advice, console page and command, and makes the exit code 1."""
    aws.denied[USER, "sagemaker:CreateTrainingJob"] = denial()
    aws.quotas["ml.g5.xlarge for training job usage"] = ("L-G5", 0)
    result = run("doctor", "--role", ROLE, "--bucket", BUCKET, "--instance-type", "training=ml.g5.xlarge")
    assert result.exit_code == 1
    assert "problem  Permissions: Denied: sagemaker:CreateTrainingJob (start training jobs)." in result.stdout
    assert "         To do: Add the policy to the user ada" in result.stdout
    assert "iam put-user-policy --user-name ada" in result.stdout
    assert "         Console: https://eu-west-1.console.aws.amazon.com/servicequotas/" in result.stdout
    assert "2 problems: Permissions, Quota: ml.g5.xlarge, training." in result.stderr


def test_doctor_prints_a_policy_where_no_command_adds_it(run: Run, aws: AccessAws) -> None:
    """Where the AWS CLI cannot add a policy, the policy itself is printed."""
    aws.roles["Trainer"] = {"Statement": []}
    result = run("doctor", "--role", ROLE, "--bucket", BUCKET)
    assert result.exit_code == 1
    assert '         "Version": "2012-10-17"' in result.stdout.replace("           ", "         ")
    assert "sts:AssumeRole" in result.stdout


def test_json_is_the_list_of_checks(run: Run, aws: AccessAws) -> None:
    """--json prints the list of checks, and nothing else, whatever the exit code is."""
    aws.buckets.clear()
    result = run("doctor", "--role", ROLE, "--bucket", BUCKET, "--json")
    checks = json.loads(result.stdout)
    assert result.exit_code == 1
    assert {"id", "title", "status", "found", "todo", "link", "command", "policy"} == set(checks[0])
    assert [check["id"] for check in checks if check["status"] == "problem"] == ["bucket"]


def test_the_policy_alone(run: Run, aws: AccessAws) -> None:
    """--policy prints the smallest policy as JSON; without an identity it says why it cannot."""
    result = run("doctor", "--role", ROLE, "--bucket", BUCKET, "--policy")
    assert result.exit_code == 0
    actions = str(json.loads(result.stdout)["Statement"])
    assert "iam:PassRole" in actions
    assert "sagemaker:CreateTrainingJob" in actions
    aws.refused.add("GetCallerIdentity")
    result = run("doctor", "--policy")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "needs the account" in result.stderr


@pytest.mark.parametrize(
    "arguments", [("--instance-type", "p3.2xlarge"), ("--bucket", "No_Bucket"), ("--role", "two words")]
)
def test_what_cannot_be_checked_is_refused(run: Run, aws: AccessAws, arguments: tuple[str, str]) -> None:
    """A value that cannot be meant is refused before any call."""
    result = run("doctor", *arguments)
    assert result.exit_code == 1
    assert arguments[1] in result.stderr
    assert aws.calls == []


def test_create_role_shows_its_plan_first(run: Run, aws: AccessAws) -> None:
    """create-role shows the calls with the whole policy, and changes nothing in a dry run or without confirmation."""
    result = run("create-role", "Fresh", "--bucket", BUCKET, "--dry-run")
    assert result.exit_code == 0
    assert "iam:CreateRole" in result.stdout
    assert f"arn:aws:s3:::{BUCKET}/*" in result.stdout
    assert "To undo: aws --region eu-west-1" in result.stdout
    assert run("create-role", "Fresh", "--bucket", BUCKET).exit_code == 1
    assert "CreateRole" not in aws.calls


def test_create_role_makes_a_role_that_doctor_accepts(run: Run, aws: AccessAws) -> None:
    """After create-role, doctor finds the role usable; a second time, nothing is created."""
    result = run("create-role", "--bucket", BUCKET, "--yes")
    assert result.exit_code == 0, result.stderr
    assert DEFAULT_ROLE in aws.created
    assert run("doctor", "--role", DEFAULT_ROLE, "--bucket", BUCKET).exit_code == 0
    again = run("create-role", "--bucket", BUCKET, "--yes")
    assert again.exit_code == 0
    assert again.stderr.count("Already done.") == 2


def test_create_role_names_the_missing_permission(run: Run, aws: AccessAws) -> None:
    """Where IAM refuses, create-role names the action and exits with 1."""
    aws.refused.add("CreateRole")
    result = run("create-role", "--bucket", BUCKET, "--yes")
    assert result.exit_code == 1
    assert "iam:CreateRole" in result.stderr
