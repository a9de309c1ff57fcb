"""The resources of a new sandbox."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from sandbox.seed.seed import BUCKET, ROLE, seed
from sandbox.server import Sandbox
from tests.support.patience import SECONDS, WAITER


@pytest.fixture
def demos(tmp_path: Path, model_archive: Callable[[Mapping[str, bytes]], bytes]) -> Path:
    """A folder with the aerial demo alone."""
    folder = tmp_path / "demos" / "aerial"
    (folder / "examples").mkdir(parents=True)
    (folder / "model.tar.gz").write_bytes(model_archive({"answer.png": b"mask"}))
    (folder / "classes.json").write_text("{}")
    (folder / "examples" / "examples.json").write_text("[]")
    (folder / "examples" / "farm.jpg").write_bytes(b"jpeg")
    return tmp_path / "demos"


def test_a_new_sandbox_has_a_role_a_bucket_and_its_demos(
    tmp_path: Path, demos: Path, stub_programs: dict[str, list[str]], make_client: Callable[..., Any]
) -> None:
    """The endpoint comes into service with its tags; a demo without files is left out with a message."""
    lines: list[str] = []
    with Sandbox(tmp_path / "data", programs=stub_programs) as sandbox:
        assert seed(sandbox.loopback, tmp_path / "data", lines.append, demos=demos) == ["aerial-land-cover"]
        assert lines == [f"The demo coastlines is left out: {demos}/coastlines has no model.tar.gz."]
        assert sandbox.wait_settled(SECONDS)
        sagemaker, s3 = make_client(sandbox, "sagemaker"), make_client(sandbox, "s3")
        endpoint = sagemaker.describe_endpoint(EndpointName="aerial-land-cover")
        assert endpoint["EndpointStatus"] == "InService", endpoint
        tags = {
            tag["Key"]: tag["Value"]
            for tag in sagemaker.list_tags(ResourceArn=endpoint["EndpointArn"])["Tags"]
        }
        assert tags == {
            "segdeck:classes": "s3://segdeck-sandbox/models/aerial/classes.json",
            "segdeck:examples": "s3://segdeck-sandbox/examples/aerial/examples.json",
        }
        keys = {item["Key"]: item["Size"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]}
        assert keys["examples/aerial/farm.jpg"] == 4
        assert s3.head_object(Bucket=BUCKET, Key="examples/aerial/farm.jpg")["ContentType"] == "image/jpeg"
        iam = make_client(sandbox, "iam")
        role = iam.get_role(RoleName=ROLE)["Role"]
        actions = ["ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"]
        allowed = iam.simulate_principal_policy(PolicySourceArn=role["Arn"], ActionNames=actions)
        assert {item["EvalDecision"] for item in allowed["EvaluationResults"]} == {"allowed"}
        data = iam.simulate_principal_policy(
            PolicySourceArn=role["Arn"],
            ActionNames=["s3:GetObject", "s3:PutObject"],
            ResourceArns=[f"arn:aws:s3:::{BUCKET}/training/key"],
        )
        assert {item["EvalDecision"] for item in data["EvaluationResults"]} == {"allowed"}
        assert "sagemaker.amazonaws.com" in json.dumps(role["AssumeRolePolicyDocument"])
        config = sagemaker.describe_endpoint_config(EndpointConfigName="aerial-land-cover")
        assert config["ProductionVariants"][0]["InstanceType"] == "ml.g4dn.xlarge"


def test_deleted_demos_do_not_come_back(
    tmp_path: Path, demos: Path, stub_programs: dict[str, list[str]]
) -> None:
    """Each resource is created once per data folder; an interrupted start is continued."""
    data = tmp_path / "data"
    with Sandbox(data, programs=stub_programs) as sandbox:
        seed(sandbox.loopback, data, print, demos=demos)
        sandbox.wait_settled(SECONDS)
        (data / "seeded.json").unlink()
        assert seed(sandbox.loopback, data, print, demos=demos) == ["aerial-land-cover"]
        sagemaker = sandbox.loopback.client("sagemaker")
        sagemaker.delete_endpoint(EndpointName="aerial-land-cover")
        sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="aerial-land-cover", WaiterConfig=WAITER)
        assert seed(sandbox.loopback, data, print, demos=demos) == []
        assert sagemaker.list_endpoints()["Endpoints"] == []
