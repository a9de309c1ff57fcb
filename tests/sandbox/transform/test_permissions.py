"""Who may start transform jobs, and what a job's role may read and write."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from sandbox.server import Sandbox
from tests.sandbox.transform.conftest import BUCKET, Jobs, request
from tests.support.roles import TRUST

NUMBERS = itertools.count(1)
Role = Callable[..., str]


def allow(*actions: str, **more: Any) -> dict[str, Any]:
    """Return a statement that allows actions on everything."""
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*", **more}


@pytest.fixture
def role(sandbox: Sandbox) -> Role:
    """role(statement, ..., trust=...) -> the ARN of a new role with these statements."""
    iam = sandbox.loopback.client("iam")

    def make(*statements: dict[str, Any], trust: Any = TRUST) -> str:
        name = f"batch-{next(NUMBERS)}"
        arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        if statements:
            policy = {"Version": "2012-10-17", "Statement": list(statements)}
            iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
        return arn

    return make


class TestRoleOfTheModel:
    def test_may_not_list(self, jobs: Jobs, role: Role) -> None:
        """Without s3:ListBucket for the model's role no input is found, and the error names the role."""
        arn = role(allow("s3:GetObject"))
        with pytest.raises(ClientError) as caught:
            jobs.create(jobs.model(role=arn), jobs.images("a.jpg"))
        message = caught.value.response["Error"]["Message"]
        assert "No S3 objects found" in message
        assert f'the role "{arn}" has "s3:ListBucket" permissions on bucket "{BUCKET}"' in message

    @pytest.mark.parametrize(
        ("actions", "text"),
        [
            (("s3:ListBucket", "s3:PutObject"), "Unable to read the object: AccessDenied (403)"),
            (("s3:ListBucket", "s3:GetObject"), "a.jpg.out: AccessDenied (403)"),
        ],
    )
    def test_may_not_read_or_write(self, jobs: Jobs, role: Role, actions: tuple[str, ...], text: str) -> None:
        """Without s3:GetObject or s3:PutObject the job fails, and its log says what was denied."""
        name = jobs.create(jobs.model(role=role(allow(*actions))), jobs.images("a.jpg"))
        assert jobs.finished(name)["FailureReason"] == "ClientError: See job logs for more information"
        assert text in jobs.lines(name)[1]
        assert not jobs.outputs(name)


class TestCaller:
    @pytest.fixture
    def caller(self, sandbox: Sandbox, role: Role) -> Callable[..., Any]:
        """caller(statement, ...) -> a SageMaker client of a role with these statements."""
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "123456789012"}}
            ],
        }

        def make(*statements: dict[str, Any]) -> Any:
            arn = role(*statements, trust=trust)
            sts = sandbox.loopback.client("sts")
            keys = sts.assume_role(RoleArn=arn, RoleSessionName="tester")["Credentials"]
            return boto3.client(
                "sagemaker",
                endpoint_url=sandbox.address.url,
                region_name="us-east-1",
                config=Config(retries={"total_max_attempts": 1}),
                aws_access_key_id=keys["AccessKeyId"],
                aws_secret_access_key=keys["SecretAccessKey"],
                aws_session_token=keys["SessionToken"],
            )

        return make

    def test_needs_the_action_on_the_job(self, jobs: Jobs, caller: Callable[..., Any]) -> None:
        """CreateTransformJob is authorized on the job alone; no role is passed, as the model has one."""
        whole = request("authorized", jobs.model(), jobs.images("a.jpg"))
        arn = "arn:aws:sagemaker:us-east-1:123456789012:transform-job/authorized"
        with pytest.raises(ClientError, match=f"sagemaker:CreateTransformJob on resource: {arn}") as caught:
            caller(allow("sagemaker:List*")).create_transform_job(**whole)
        assert caught.value.response["Error"]["Code"] == "AccessDeniedException"
        only = allow("sagemaker:CreateTransformJob", Resource=arn)
        assert caller(only).create_transform_job(**whole)["TransformJobArn"] == arn
        jobs.finished("authorized")

    @pytest.mark.parametrize(
        ("key", "value", "allowed"),
        [
            ("sagemaker:InstanceTypes", "ml.c5.xlarge", False),
            ("sagemaker:InstanceTypes", "ml.g4dn.xlarge", True),
            ("sagemaker:ModelArn", "arn:aws:sagemaker:*:*:model/transform-model-*", True),
        ],
    )
    def test_condition_keys(
        self, jobs: Jobs, caller: Callable[..., Any], key: str, value: str, *, allowed: bool
    ) -> None:
        """Policies can limit the instance types and the model of a job."""
        condition = {"ForAllValues:StringLike": {key: value}}
        sagemaker = caller(allow("sagemaker:CreateTransformJob", Condition=condition))
        name = f"limited-{next(NUMBERS)}"
        whole = request(name, jobs.model(), jobs.images("a.jpg"))
        if allowed:
            sagemaker.create_transform_job(**whole)
            jobs.finished(name)
        else:
            with pytest.raises(ClientError, match="not authorized to perform"):
                sagemaker.create_transform_job(**whole)
