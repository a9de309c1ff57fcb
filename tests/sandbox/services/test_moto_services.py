"""STS and IAM of the sandbox, through boto3 on loopback, across restarts."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.support.patience import SECONDS

ACCOUNT = "123456789012"
DEFAULT_ROLE = "SegdeckSandboxRole"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


ROOT = Path(__file__).parents[3]
# moto's state belongs to a process, so the services run in one of their own: on each directory until a line comes in.
SERVE = """
import sys, threading
from pathlib import Path
from sandbox.http.server import Listener, bind
from sandbox.services.iam.moto_services import MotoServices
for root in sys.argv[1:]:
    services, sock = MotoServices(Path(root), "us-east-1", "123456789012"), bind("127.0.0.1", 0)
    listener = Listener(services, sock)
    threading.Thread(target=listener.serve_forever, args=[0.02], daemon=True).start()
    print(sock.getsockname()[1], flush=True)
    sys.stdin.readline()
    listener.stop()
    services.close()
"""


class Served:
    """The services on loopback, with one directory after the other."""

    def __init__(self, *roots: Path) -> None:
        command = [sys.executable, "-c", SERVE, *map(str, roots)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
        self.port = self._read_port()

    def client(self, name: str) -> Any:
        return boto3.client(
            name,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id="AKIASANDBOX",
            aws_secret_access_key="b",
            config=Config(retries={"total_max_attempts": 1}),
        )

    def go_on(self) -> None:
        """Close the services and open them on the next directory."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.port = self._read_port()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _read_port(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    server = Served(tmp_path_factory.mktemp("moto"))
    yield server
    server.kill()


@pytest.fixture(scope="module")
def iam(served: Served) -> Any:
    return served.client("iam")


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Start services that end with the test."""
    started: list[Served] = []

    def start(*roots: Path) -> Served:
        started.append(Served(*roots))
        return started[-1]

    yield start
    for server in started:
        server.kill()


def _code(raised: pytest.ExceptionInfo[ClientError]) -> str:
    return raised.value.response["Error"]["Code"]


def test_caller(served: Served) -> None:
    """The caller is a user of the sandbox's account."""
    identity = served.client("sts").get_caller_identity()
    assert (identity["Account"], identity["Arn"]) == (ACCOUNT, "arn:aws:iam::123456789012:user/sandbox")


def test_kill(serve: Callable[..., Served], tmp_path: Path) -> None:
    """After kill -9, roles and policies exist again, and deleted ones do not."""
    first = serve(tmp_path)
    iam = first.client("iam")
    for name in ("kept", "gone"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.attach_role_policy(RoleName="kept", PolicyArn="arn:aws:iam::aws:policy/AmazonSageMakerFullAccess")
    iam.delete_role(RoleName="gone")
    with pytest.raises(ClientError):
        iam.create_role(RoleName="kept", AssumeRolePolicyDocument=json.dumps(TRUST))
    first.kill()
    with (tmp_path / "journal.jsonl").open("a") as file:
        file.write('{"at": 1, "author')  # killed while it wrote
    again = serve(tmp_path).client("iam")
    assert {role["RoleName"] for role in again.list_roles()["Roles"]} == {DEFAULT_ROLE, "kept"}
    assert again.get_role(RoleName="kept")["Role"]["AssumeRolePolicyDocument"] == TRUST
    attached = again.list_attached_role_policies(RoleName="kept")["AttachedPolicies"]
    assert [policy["PolicyName"] for policy in attached] == ["AmazonSageMakerFullAccess"]


def test_new_directory_is_empty(serve: Callable[..., Served], tmp_path: Path) -> None:
    """A new directory has the default role only, although the same process served another one before."""
    served = serve(tmp_path / "one", tmp_path / "two", tmp_path / "one")
    served.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))
    served.go_on()
    assert [role["RoleName"] for role in served.client("iam").list_roles()["Roles"]] == [DEFAULT_ROLE]
    served.go_on()
    assert {role["RoleName"] for role in served.client("iam").list_roles()["Roles"]} == {DEFAULT_ROLE, "r"}


@pytest.fixture(scope="module")
def role(iam: Any) -> str:
    arn = iam.create_role(RoleName="simulated", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    iam.attach_role_policy(
        RoleName="simulated", PolicyArn="arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
    )
    statements = [
        {"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::data/*"},
        {"Effect": "Deny", "Action": "s3:getobject", "Resource": "arn:aws:s3:::data/secret?"},
        {
            "Effect": "Allow",
            "Action": "dynamodb:Query",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:RequestTag/team": "a"}},
        },
        {"Effect": "Allow", "NotAction": ["*"], "Resource": "*"},
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_role_policy(RoleName="simulated", PolicyName="own", PolicyDocument=document)
    return str(arn)


class TestSimulatePrincipalPolicy:
    @pytest.mark.parametrize(
        ("action_on", "wanted", "source"),
        [
            (("sagemaker:CreateTrainingJob", "*"), "allowed", ["AmazonSageMakerFullAccess"]),
            (("s3:GetObject", "arn:aws:s3:::data/a/b"), "allowed", None),
            (("s3:GetObject", "arn:aws:s3:::data/secret1"), "explicitDeny", None),
            (("s3:GetObjectAcl", "arn:aws:s3:::data/secret1"), "allowed", ["own"]),
            (("ec2:TerminateInstances", "*"), "implicitDeny", []),
            (("dynamodb:Query", "*"), "implicitDeny", []),
        ],
    )
    def test_decision(
        self, iam: Any, role: str, action_on: tuple[str, str], wanted: str, source: list[str] | None
    ) -> None:
        """Each action is decided by the role's inline and attached policies, which the result names."""
        action, resource = action_on
        answer = iam.simulate_principal_policy(
            PolicySourceArn=role, ActionNames=[action], ResourceArns=[resource]
        )
        (result,) = answer["EvaluationResults"]
        assert (result["EvalActionName"], result["EvalDecision"]) == (action, wanted)
        if source is not None:
            assert [item["SourcePolicyId"] for item in result["MatchedStatements"]] == source

    def test_condition(self, iam: Any, role: str) -> None:
        """A condition is evaluated with the given context; a missing key is reported."""
        key = "aws:RequestTag/team"

        def ask(*values: str) -> Any:
            entries = [
                {"ContextKeyName": key, "ContextKeyValues": [v], "ContextKeyType": "string"} for v in values
            ]
            answer = iam.simulate_principal_policy(
                PolicySourceArn=role, ActionNames=["dynamodb:Query"], ContextEntries=entries
            )
            result = answer["EvaluationResults"][0]
            return result["EvalDecision"], result["MissingContextValues"]

        assert ask("a") == ("allowed", [])
        assert ask("b") == ("implicitDeny", [])
        assert ask() == ("implicitDeny", [key])

    def test_missing_role(self, iam: Any) -> None:
        """A role that does not exist gives IAM's error."""
        with pytest.raises(ClientError) as raised:
            iam.simulate_principal_policy(
                PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:role/no", ActionNames=["a:b"]
            )
        assert _code(raised) == "NoSuchEntity"


class TestGateway:
    def test_control_api_is_shut(self, served: Served, iam: Any) -> None:
        """moto's own control API cannot be reached, signed or not."""
        iam.create_role(RoleName="stays", AssumeRolePolicyDocument=json.dumps(TRUST))
        scope = "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0"
        for headers in ({}, {"Authorization": scope, "X-Amz-Date": "20260101T000000Z"}):
            connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=SECONDS)
            connection.request("POST", "/moto-api/reset", headers=headers)
            assert connection.getresponse().status >= 400
        assert iam.get_role(RoleName="stays")["Role"]["RoleName"] == "stays"

    @pytest.mark.parametrize(
        ("service", "operation"), [("sqs", "list_queues"), ("cloudwatch", "list_metrics")]
    )
    def test_other_services(self, served: Served, service: str, operation: str) -> None:
        """A service that the sandbox lacks is refused, not answered by moto."""
        with pytest.raises(ClientError) as raised:
            getattr(served.client(service), operation)()
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
