"""One identity on every service: temporary credentials of AssumeRole, and policies that deny."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Callable
from typing import Any

import boto3
import pytest
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from sandbox.http.sessions import Caller, InvalidTokenError, Sessions
from sandbox.server import Sandbox
from sandbox.services.iam.policies import Statement, decide, trusts

ACCOUNT = "123456789012"
DEFAULT_ROLE = f"arn:aws:iam::{ACCOUNT}:role/SegdeckSandboxRole"
NUMBERS = itertools.count(1)
JOBS = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:training-job"


def allow(*actions: str, resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    """Return a statement that allows actions."""
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource, **more}


def deny(*actions: str, resource: str = "*", **more: Any) -> dict[str, Any]:
    """Return a statement that denies actions."""
    return {"Effect": "Deny", "Action": list(actions), "Resource": resource, **more}


def document(*statements: dict[str, Any]) -> str:
    """Return a policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(principal: dict[str, str], **more: Any) -> str:
    """Return a trust policy."""
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class Session:
    """An assumed-role session: clients with its credentials."""

    def __init__(self, sandbox: Sandbox, role: str, **options: Any) -> None:
        self._sandbox = sandbox
        sts = sandbox.loopback.client("sts")
        self.assumed = sts.assume_role(RoleArn=role, RoleSessionName="tester", **options)
        self.keys = self.assumed["Credentials"]

    def client(self, service: str, **changed: str) -> Any:
        """Return a client of a service; `changed` replaces credentials."""
        keys = {
            "aws_access_key_id": self.keys["AccessKeyId"],
            "aws_secret_access_key": self.keys["SecretAccessKey"],
            "aws_session_token": self.keys["SessionToken"],
            **changed,
        }
        config = Config(retries={"total_max_attempts": 1}, signature_version=None)
        return boto3.client(
            service, endpoint_url=self._sandbox.address.url, region_name="us-east-1", config=config, **keys
        )


@pytest.fixture
def role(sandbox: Sandbox) -> Callable[..., str]:
    """role(statement, ...) -> the ARN of a new role with these statements, which the account may assume."""
    iam = sandbox.loopback.client("iam")

    def make(*statements: dict[str, Any], **members: Any) -> str:
        name = f"tested-{next(NUMBERS)}"
        members.setdefault("AssumeRolePolicyDocument", trust({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}))
        arn: str = iam.create_role(RoleName=name, **members)["Role"]["Arn"]
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document(*statements))
        return arn

    return make


def post(session: Session, service: str, body: str, path: str = "/", **headers: str) -> str:
    """Send a signed request of a session; return its status and the error's code."""
    url = session.client("sts").meta.endpoint_url
    keys = session.keys
    credentials = Credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    request = AWSRequest("POST", url + path, data=body, headers=names)
    SigV4Auth(credentials, service, "us-east-1").add_auth(request)
    answer = urllib3.request(
        "POST", url + path, body=body.encode(), headers=dict(request.headers), retries=False
    )
    code = re.search(r'<Code>(\w+)|"__type": "(\w+)', answer.data.decode())
    return f"{answer.status} {code[1] or code[2] if code else ''}".strip()


FORM, TEXT = "application/x-www-form-urlencoded", "text/plain"
READ = "Action=ListRoles&Version=2010-05-08"
DELETE = "Action=DeleteRole&Version=2010-05-08&RoleName={name}"
PUT = '{"Namespace": "a&Action=ListMetrics&b=", "MetricData": [{"MetricName": "m", "Value": 1}]}'


@pytest.mark.parametrize(
    ("service", "body", "path", "headers", "answer"),
    [
        ("iam", f"{READ}&{DELETE}", "/", {"Content_Type": FORM}, "400 MalformedQueryString"),
        ("iam", f"{READ}&RoleName=a&RoleName=b", "/", {"Content_Type": FORM}, "400 MalformedQueryString"),
        ("iam", DELETE, "/", {"Content_Type": FORM, "X_Amz_Target": "x.ListRoles"}, "403 AccessDenied"),
        ("iam", READ, "/", {"Content_Type": FORM, "X_Amz_Target": "x.DeleteRole"}, "200"),
        ("iam", DELETE, "/", {"Content_Type": TEXT, "X_Amz_Target": "x.ListRoles"}, "403 AccessDenied"),
        ("iam", READ, "/?" + DELETE, {"Content_Type": FORM}, "200"),
        ("iam", "", "/?" + DELETE, {"Content_Type": TEXT, "Action": "DeleteRole"}, "400 MissingAction"),
        ("iam", DELETE.replace("eR", "e_r"), "/", {"Content_Type": FORM}, "400 InvalidAction"),
        ("monitoring", PUT, "/", {"Content_Type": FORM, "X_Amz_Target": "x.PutMetricData"}, "200"),
        ("monitoring", PUT, "/service/x/operation/ListMetrics", {"X_Amz_Target": "x.PutMetricData"}, "200"),
    ],
)  # fmt: skip
def test_the_authorized_operation_runs(  # noqa: PLR0917 - one row of the table above
    sandbox: Sandbox,
    role: Callable[..., str],
    service: str,
    body: str,
    path: str,
    headers: dict[str, str],
    answer: str,
) -> None:
    """A request that names two operations runs only the one that was authorized, or none."""
    iam, name = sandbox.loopback.client("iam"), f"kept-{next(NUMBERS)}"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust({"AWS": ACCOUNT}))
    kept = deny("iam:DeleteRole", "cloudwatch:PutMetricData")
    reader = Session(sandbox, role(allow("iam:*", "cloudwatch:*"), kept))
    body, path = body.replace("{name}", name), path.replace("{name}", name)
    assert post(reader, service, body, path, **headers) == answer
    assert iam.get_role(RoleName=name)["Role"]["RoleName"] == name
    assert (
        sandbox.loopback.client("cloudwatch").list_metrics(Namespace="a&Action=ListMetrics&b=")["Metrics"]
        == []
    )


def error(call: Callable[..., Any], **members: Any) -> tuple[str, str]:
    """Return code and text of the error of a call."""
    with pytest.raises(ClientError) as caught:
        call(**members)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def test_keys_work_on_every_service(sandbox: Sandbox, role: Callable[..., str]) -> None:
    """The credentials of AssumeRole are accepted by each service, and by presigned URLs."""
    session = Session(sandbox, role(allow("*")))
    s3 = session.client("s3")
    s3.create_bucket(Bucket="of-a-session")
    s3.put_object(Bucket="of-a-session", Key="k", Body=b"x")
    assert s3.delete_objects(Bucket="of-a-session", Delete={"Objects": [{"Key": "k"}]})["Deleted"]
    assert session.client("sagemaker").list_models()["Models"] is not None
    assert "logGroups" in session.client("logs").describe_log_groups()
    assert "Metrics" in session.client("cloudwatch").list_metrics()
    assert session.client("iam").get_role(RoleName="SegdeckSandboxRole")["Role"]["Arn"] == DEFAULT_ROLE
    assert session.client("service-quotas").list_service_quotas(ServiceCode="sagemaker")["Quotas"]
    scaling = session.client("application-autoscaling")
    assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] is not None


def test_identity_of_a_session(sandbox: Sandbox, role: Callable[..., str]) -> None:
    """GetCallerIdentity names the session, and AssumeRole does; GetUser is for users only."""
    arn = role(allow("*"))
    session = Session(sandbox, arn)
    identity = session.client("sts").get_caller_identity()
    assert identity["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{arn.rpartition('/')[2]}/tester"
    assert identity["Arn"] == session.assumed["AssumedRoleUser"]["Arn"]
    assert identity["UserId"] == session.assumed["AssumedRoleUser"]["AssumedRoleId"]
    code, text = error(session.client("iam").get_user)
    assert (code, "non-User credentials" in text) == ("ValidationError", True)


def test_identity_of_the_owner(sandbox: Sandbox) -> None:
    """GetCallerIdentity, GetUser and SimulatePrincipalPolicy agree: a user who may do everything."""
    iam = sandbox.loopback.client("iam")
    arn = sandbox.loopback.client("sts").get_caller_identity()["Arn"]
    assert iam.get_user()["User"]["Arn"] == arn == f"arn:aws:iam::{ACCOUNT}:user/sandbox"
    actions = ["sagemaker:CreateTrainingJob", "iam:PassRole", "s3:PutObject"]
    results = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=actions)["EvaluationResults"]
    assert [result["EvalDecision"] for result in results] == ["allowed"] * 3
    policy = {"UserName": "sandbox", "PolicyName": "p", "PolicyDocument": document(deny("*"))}
    assert error(iam.put_user_policy, **policy)[0] == "AccessDenied"


def test_default_role(sandbox: Sandbox) -> None:
    """The execution role exists, trusts SageMaker, and may read and write buckets."""
    iam = sandbox.loopback.client("iam")
    role = iam.get_role(RoleName="SegdeckSandboxRole")["Role"]
    statement = role["AssumeRolePolicyDocument"]["Statement"][0]
    assert (role["Arn"], statement["Principal"]) == (DEFAULT_ROLE, {"Service": "sagemaker.amazonaws.com"})
    actions = ["s3:GetObject", "s3:PutObject", "logs:PutLogEvents", "ecr:BatchGetImage"]
    results = iam.simulate_principal_policy(PolicySourceArn=DEFAULT_ROLE, ActionNames=actions)
    assert {result["EvalDecision"] for result in results["EvaluationResults"]} == {"allowed"}


@pytest.mark.parametrize(
    ("service", "call", "members", "action", "resource", "code"),
    [
        (
            "sagemaker",
            "describe_training_job",
            {"TrainingJobName": "Roads"},
            "sagemaker:DescribeTrainingJob",
            f"{JOBS}/roads",
            "AccessDeniedException",
        ),
        ("sagemaker", "list_models", {}, "sagemaker:ListModels", "*", "AccessDeniedException"),
        (
            "sagemaker-runtime",
            "invoke_endpoint",
            {"EndpointName": "Sea", "Body": b"x"},
            "sagemaker:InvokeEndpoint",
            f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint/sea",
            "AccessDeniedException",
        ),
        (
            "s3",
            "get_object",
            {"Bucket": "b-b", "Key": "a/b c"},
            "s3:GetObject",
            '"arn:aws:s3:::b-b/a/b c"',
            "AccessDenied",
        ),
        ("s3", "list_objects_v2", {"Bucket": "b-b"}, "s3:ListBucket", '"arn:aws:s3:::b-b"', "AccessDenied"),
        (
            "s3",
            "delete_objects",
            {"Bucket": "b-b", "Delete": {"Objects": [{"Key": "k"}]}},
            "s3:DeleteObject",
            '"arn:aws:s3:::b-b/k"',
            "AccessDenied",
        ),
        (
            "iam",
            "get_role",
            {"RoleName": "SegdeckSandboxRole"},
            "iam:GetRole",
            DEFAULT_ROLE,
            "AccessDenied",
        ),
        (
            "logs",
            "filter_log_events",
            {"logGroupName": "/aws/sagemaker/TrainingJobs"},
            "logs:FilterLogEvents",
            f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/aws/sagemaker/TrainingJobs:log-stream:",
            "AccessDeniedException",
        ),
        ("cloudwatch", "list_metrics", {}, "cloudwatch:ListMetrics", "*", "AccessDenied"),
        (
            "service-quotas",
            "list_service_quotas",
            {"ServiceCode": "sagemaker"},
            "servicequotas:ListServiceQuotas",
            "*",
            "AccessDeniedException",
        ),
    ],
)
def test_denied_calls(  # noqa: PLR0917 - one row of the table above
    sandbox: Sandbox,
    role: Callable[..., str],
    service: str,
    call: str,
    members: dict[str, Any],
    action: str,
    resource: str,
    code: str,
) -> None:
    """A call that no policy allows, and one that a policy denies, fail with AWS's code and text."""
    for statements, why in (
        ([allow("sts:*")], f"because no identity-based policy allows the {action} action"),
        ([allow("*"), deny(action)], "with an explicit deny in an identity-based policy"),
    ):
        session = Session(sandbox, role(*statements))
        user = session.assumed["AssumedRoleUser"]["Arn"]
        text = f"User: {user} is not authorized to perform: {action} on resource: {resource} {why}"
        assert error(getattr(session.client(service), call), **members) == (code, text)


def test_policies_by_resource(sandbox: Sandbox, role: Callable[..., str]) -> None:
    """Wildcards of actions and resources apply, a change is in effect at once, and an explicit deny wins."""
    arn = role(
        allow("s3:*Object", resource="arn:aws:s3:::by-resource/mine/*"),
        deny("s3:Put*", resource="arn:aws:s3:::*/no"),
    )
    owner = sandbox.loopback.client("s3")
    owner.create_bucket(Bucket="by-resource")
    s3 = Session(sandbox, arn).client("s3")
    s3.put_object(Bucket="by-resource", Key="mine/a", Body=b"x")
    assert error(s3.put_object, Bucket="by-resource", Key="theirs/a", Body=b"x")[0] == "AccessDenied"
    assert error(s3.put_object, Bucket="by-resource", Key="mine/no", Body=b"x")[0] == "AccessDenied"
    assert error(s3.list_objects_v2, Bucket="by-resource")[0] == "AccessDenied"
    policy = document(allow("s3:ListBucket", Condition={"StringLike": {"s3:prefix": "mine/*"}}))
    name = arn.rpartition("/")[2]
    sandbox.loopback.client("iam").put_role_policy(RoleName=name, PolicyName="more", PolicyDocument=policy)
    assert s3.list_objects_v2(Bucket="by-resource", Prefix="mine/")["KeyCount"] == 1
    assert error(s3.list_objects_v2, Bucket="by-resource", Prefix="theirs/")[0] == "AccessDenied"


def test_passed_role(sandbox: Sandbox, role: Callable[..., str]) -> None:
    """A model with a role needs iam:PassRole of that role to SageMaker."""
    image = {"PrimaryContainer": {"Image": "semantic-segmentation:1"}, "ExecutionRoleArn": DEFAULT_ROLE}
    create = allow("sagemaker:*")
    passing = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    refused = Session(sandbox, role(create)).client("sagemaker")
    code, text = error(refused.create_model, ModelName="passed", **image)
    assert code == "AccessDeniedException"
    assert f"iam:PassRole on resource: {DEFAULT_ROLE} because no identity-based policy" in text
    allowed = role(create, allow("iam:PassRole", resource=DEFAULT_ROLE, Condition=passing))
    sagemaker = Session(sandbox, allowed).client("sagemaker")
    sagemaker.create_model(ModelName=f"passed-{next(NUMBERS)}", **image)


def test_required_settings(sandbox: Sandbox, role: Callable[..., str]) -> None:
    """A policy can require a VPC and limit instance types, by SageMaker's condition keys."""
    no_vpc = deny("sagemaker:CreateModel", Condition={"Null": {"sagemaker:VpcSubnets": "true"}})
    sagemaker = Session(sandbox, role(allow("*"), no_vpc)).client("sagemaker")
    model = {"ModelName": f"in-vpc-{next(NUMBERS)}", "PrimaryContainer": {"Image": "semantic-segmentation:1"}}
    assert error(sagemaker.create_model, **model)[0] == "AccessDeniedException"
    sagemaker.create_model(**model, VpcConfig={"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]})


def test_boundary_and_session_policy(sandbox: Sandbox, role: Callable[..., str]) -> None:
    """A permissions boundary and a session policy limit what the role's own policies allow."""
    iam = sandbox.loopback.client("iam")
    name = f"reads-{next(NUMBERS)}"
    boundary = iam.create_policy(PolicyName=name, PolicyDocument=document(allow("sagemaker:List*")))["Policy"]
    bounded = role(allow("*"), PermissionsBoundary=boundary["Arn"])
    sagemaker = Session(sandbox, bounded).client("sagemaker")
    assert sagemaker.list_models()["Models"] is not None
    text = error(sagemaker.describe_model, ModelName="m")[1]
    assert text.endswith("because no permissions boundary allows the sagemaker:DescribeModel action")
    results = iam.simulate_principal_policy(
        PolicySourceArn=bounded, ActionNames=["sagemaker:ListModels", "sagemaker:DescribeModel"]
    )["EvaluationResults"]
    assert [result["EvalDecision"] for result in results] == ["allowed", "implicitDeny"]
    limited = Session(sandbox, role(allow("*")), Policy=document(allow("sagemaker:ListModels")))
    text = error(limited.client("s3").list_buckets)[1]
    assert text.endswith("because no session policy allows the s3:ListAllMyBuckets action")


@pytest.mark.parametrize(
    "policy",
    [
        "[]",
        '"Allow"',
        '{"Statement": ["Allow"]}',
        document({"Action": "*", "Resource": "*"}),
        document({**allow("*"), "Effect": "Permit"}),
        document({"Effect": "Allow", "Resource": "*"}),
        document({**allow("*"), "NotAction": "s3:*"}),
        document({**allow("*"), "Action": 1}),
        document({**allow("*"), "Resource": [{}]}),
        document(allow("*", Condition="Bool")),
        document(allow("*", Condition={"Bool": "true"})),
        document(allow("*", Condition={"Bool": {"aws:SecureTransport": {}}})),
        "{",
    ],
)
def test_malformed_session_policy(sandbox: Sandbox, role: Callable[..., str], policy: str) -> None:
    """A malformed session policy is refused when the role is assumed, not at the session's first request."""
    sts = sandbox.loopback.client("sts")
    code, text = error(sts.assume_role, RoleArn=role(), RoleSessionName="xx", Policy=policy)
    assert (code, "session policy" in text) == ("MalformedPolicyDocument", True)


@pytest.mark.parametrize(
    ("operation", "member"),
    [
        ("CreateTrainingJob", '"Tags": 5'),
        ("CreateEndpointConfig", '"ProductionVariants": true'),
        ("CreateModel", '"VpcConfig": {"Subnets": 5}'),
        ("CreateModel", '"VpcConfig": {"SecurityGroupIds": 5}'),
    ],
)
def test_member_of_a_wrong_type(
    sandbox: Sandbox, role: Callable[..., str], operation: str, member: str
) -> None:
    """A session's request with another value in place of a list is refused as malformed, not dropped."""
    body = '{"TrainingJobName": "a", "EndpointConfigName": "a", "ModelName": "a", ' + member + "}"
    headers = {"Content_Type": "application/x-amz-json-1.1", "X_Amz_Target": f"SageMaker.{operation}"}
    answer = post(Session(sandbox, role(allow("*"))), "sagemaker", body, **headers)
    assert answer == "400 SerializationException"


def test_deleted_role(sandbox: Sandbox, role: Callable[..., str]) -> None:
    """A session of a role that was deleted may do nothing."""
    arn, iam = role(allow("*")), sandbox.loopback.client("iam")
    session, name = Session(sandbox, arn), arn.rpartition("/")[2]
    assert session.client("sagemaker").list_models()["Models"] is not None
    iam.delete_role_policy(RoleName=name, PolicyName="own")
    iam.delete_role(RoleName=name)
    assert error(session.client("sagemaker").list_models)[0] == "AccessDeniedException"


class TestAssumeRole:
    @pytest.mark.parametrize("name", ["SegdeckSandboxRole", "none-such"])
    def test_no_trust(self, sandbox: Sandbox, name: str) -> None:
        """A role that trusts others only, and one that does not exist, cannot be assumed."""
        sts, arn = sandbox.loopback.client("sts"), f"arn:aws:iam::{ACCOUNT}:role/{name}"
        code, text = error(sts.assume_role, RoleArn=arn, RoleSessionName="xx")
        user = f"arn:aws:iam::{ACCOUNT}:user/sandbox"
        wanted = f"{user} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        assert (code, wanted in text) == ("AccessDenied", True)

    def test_external_id(self, sandbox: Sandbox, role: Callable[..., str]) -> None:
        """A trust policy can require an external id."""
        condition = {"StringEquals": {"sts:ExternalId": "77"}}
        arn = role(AssumeRolePolicyDocument=trust({"AWS": ACCOUNT}, Condition=condition))
        sts = sandbox.loopback.client("sts")
        assert error(sts.assume_role, RoleArn=arn, RoleSessionName="xx")[0] == "AccessDenied"
        assert sts.assume_role(RoleArn=arn, RoleSessionName="xx", ExternalId="77")["Credentials"]

    def test_role_chain(self, sandbox: Sandbox, role: Callable[..., str]) -> None:
        """A session assumes another role when its policies allow it and that role trusts it."""
        first = role(allow("sts:AssumeRole"))
        second = role(allow("*"), AssumeRolePolicyDocument=trust({"AWS": first}))
        sts = Session(sandbox, first).client("sts")
        assert (
            sts.assume_role(RoleArn=second, RoleSessionName="deep")["Credentials"]["AccessKeyId"][:4]
            == "ASIA"
        )
        assert error(
            Session(sandbox, role()).client("sts").assume_role, RoleArn=second, RoleSessionName="xx"
        )[0] == ("AccessDenied")

    def test_duration(self, sandbox: Sandbox, role: Callable[..., str]) -> None:
        """A session lasts as long as requested, at most the role's MaxSessionDuration."""
        arn, sts = role(allow("*")), sandbox.loopback.client("sts")
        keys = sts.assume_role(RoleArn=arn, RoleSessionName="xx", DurationSeconds=900)["Credentials"]
        assert 800 < keys["Expiration"].timestamp() - time.time() <= 900
        code, _ = error(sts.assume_role, RoleArn=arn, RoleSessionName="xx", DurationSeconds=7200)
        assert code == "ValidationError"

    def test_unsupported_keys(self, sandbox: Sandbox) -> None:
        """Operations whose keys would not work are refused, not answered."""
        iam, sts = sandbox.loopback.client("iam"), sandbox.loopback.client("sts")
        assert error(iam.create_access_key)[0] == "UnknownOperationException"
        assert error(sts.get_session_token)[0] == "UnknownOperationException"


class TestTokens:
    @pytest.mark.parametrize(
        ("service", "call", "code"),
        [
            ("sagemaker", "list_models", "UnrecognizedClientException"),
            ("sts", "get_caller_identity", "InvalidClientTokenId"),
            ("s3", "list_buckets", "InvalidToken"),
        ],
    )
    def test_invalid_token(
        self, sandbox: Sandbox, role: Callable[..., str], service: str, call: str, code: str
    ) -> None:
        """A changed token, and one of another key, are refused in the service's words."""
        session, other = Session(sandbox, role(allow("*"))), Session(sandbox, role(allow("*")))
        for token in (session.keys["SessionToken"][:-2] + "xx", other.keys["SessionToken"], "junk"):
            client = session.client(service, aws_session_token=token)
            assert error(getattr(client, call))[0] == code

    def test_wrong_secret(self, sandbox: Sandbox, role: Callable[..., str]) -> None:
        """A valid token with a wrong secret key is a signature mismatch."""
        client = Session(sandbox, role(allow("*"))).client("sagemaker", aws_secret_access_key="x" * 40)
        assert error(client.list_models)[0] == "InvalidSignatureException"

    @pytest.mark.parametrize(
        ("service", "call", "code"),
        [
            ("sagemaker", "list_models", "ExpiredTokenException"),
            ("sts", "get_caller_identity", "ExpiredToken"),
            ("s3", "list_buckets", "ExpiredToken"),
        ],
    )
    def test_expired_token(
        self, sandbox: Sandbox, role: Callable[..., str], service: str, call: str, code: str
    ) -> None:
        """An expired session is refused as expired."""
        issued = Sessions(sandbox.address.secret_key).issue(Caller("a", "b", role(allow("*")), expires=1.0))
        session = Session(sandbox, role(allow("*")))
        client = session.client(
            service,
            aws_access_key_id=issued.access_key,
            aws_secret_access_key=issued.secret_key,
            aws_session_token=issued.token,
        )
        assert error(getattr(client, call))[0] == code

    def test_another_sandbox(self) -> None:
        """A token of another sandbox is invalid; one of the same key is valid after a restart."""
        issued = Sessions("one").issue(Caller("a", "b", "r", ("{}",), expires=9.0))
        caller, secret = Sessions("one").read(issued.access_key, issued.token)
        assert (caller, secret) == (Caller("a", "b", "r", ("{}",), expires=9.0), issued.secret_key)
        with pytest.raises(InvalidTokenError):
            Sessions("two").read(issued.access_key, issued.token)


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_presigned_url(sandbox: Sandbox, role: Callable[..., str], version: str) -> None:
    """A URL presigned with a session's keys works as far as its policies allow."""
    s3 = sandbox.loopback.client("s3")
    s3.create_bucket(Bucket="presigned")
    s3.put_object(Bucket="presigned", Key="yes/k", Body=b"x")
    session = Session(sandbox, role(allow("s3:GetObject", resource="arn:aws:s3:::presigned/yes/*")))
    keys = session.keys
    signer = boto3.client(
        "s3",
        endpoint_url=sandbox.address.url,
        region_name="us-east-1",
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
        config=Config(signature_version=version, s3={"addressing_style": "path"}),
    )

    def fetch(key: str) -> int:
        url = signer.generate_presigned_url("get_object", Params={"Bucket": "presigned", "Key": key})
        return int(urllib3.request("GET", url, retries=False).status)

    assert (fetch("yes/k"), fetch("no/k")) == (200, 403)


class TestConditions:
    @pytest.mark.parametrize(
        ("condition", "keys", "met"),
        [
            ({"StringEquals": {"k": ["a", "b"]}}, {"k": ["b"]}, True),
            ({"StringEquals": {"k": "a"}}, {}, False),
            ({"StringNotEquals": {"k": ["a", "b"]}}, {"k": ["b"]}, False),
            ({"StringNotEquals": {"k": "a"}}, {}, True),
            ({"StringEqualsIfExists": {"k": "a"}}, {}, True),
            ({"StringEqualsIgnoreCase": {"k": "AB"}}, {"k": ["ab"]}, True),
            ({"StringNotLike": {"k": "a*"}}, {"k": ["abc"]}, False),
            ({"ForAllValues:StringLike": {"k": ["a*"]}}, {"k": ["ab", "b"]}, False),
            ({"ForAnyValue:StringLike": {"k": ["a*"]}}, {"k": ["ab", "b"]}, True),
            ({"ForAllValues:StringEquals": {"k": ["a"]}}, {}, True),
            ({"Null": {"k": "true"}}, {}, True),
            ({"Null": {"k": "false"}}, {"k": ["a"]}, True),
            ({"Null": {"k": "false"}}, {}, False),
            ({"Bool": {"k": "true"}}, {"k": ["True"]}, True),
            ({"NumericLessThanEquals": {"k": "5"}}, {"k": ["5"]}, True),
            ({"NumericGreaterThan": {"k": "5"}}, {"k": ["x"]}, False),
            ({"DateLessThan": {"k": "2026-01-01T00:00:00Z"}}, {"k": ["2025-12-31T23:59:59Z"]}, True),
            ({"IpAddress": {"k": "10.0.0.0/8"}}, {"k": ["10.1.2.3"]}, True),
            ({"NotIpAddress": {"k": "10.0.0.0/8"}}, {"k": ["10.1.2.3"]}, False),
            ({"ArnLike": {"k": "arn:aws:iam::*:role/x"}}, {"k": ["arn:aws:iam::1:role/x"]}, True),
            ({"BinaryEquals": {"k": "QQ=="}}, {"k": ["QQ=="]}, False),
        ],
    )
    def test_operator(self, condition: dict[str, Any], keys: dict[str, list[str]], met: bool) -> None:
        """Each operator decides as in IAM; a key that is missing meets only negated and IfExists tests."""
        statement = Statement("s", allow("a:b", Condition=condition))
        assert (decide([statement], "a:b", "*", keys).outcome == "allowed") == met

    def test_trust_that_denies(self) -> None:
        """A Deny of a trust policy wins."""
        allowed = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}
        denied = {**allowed, "Effect": "Deny", "Principal": {"AWS": "x"}}
        both = json.dumps({"Statement": [allowed, denied]})
        assert (trusts(both, "AWS", ["y"], {}), trusts(both, "AWS", ["x"], {})) == (True, False)
