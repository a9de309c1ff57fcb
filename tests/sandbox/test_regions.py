"""The regions of the sandbox: resources of their own, one IAM, and one namespace of buckets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from sandbox.common.limits import SandboxLocation
from sandbox.http.protocol import ApiError
from sandbox.regions import Regions
from sandbox.server import Sandbox
from tests.support.patience import SECONDS
from tests.support.regions import assumable_role

ROLE = "arn:aws:iam::123456789012:role/Europe"


def client(sandbox: Sandbox, service: str, region: str, **keys: str) -> Any:
    address = sandbox.address
    keys = keys or {"aws_access_key_id": address.access_key, "aws_secret_access_key": address.secret_key}
    config = Config(retries={"total_max_attempts": 1}, proxies={}, s3={"addressing_style": "path"})
    return boto3.client(service, region_name=region, endpoint_url=address.url, config=config, **keys)


def test_a_region_keeps_its_resources_to_itself(
    tmp_path: Path, stub_programs: dict[str, list[str]], make_client: Callable[..., Any]
) -> None:
    """What is made in one region is not in another, has it in its ARN, and is still there after a restart."""
    image = "685385470294.dkr.ecr.eu-west-1.amazonaws.com/semantic-segmentation:1"
    with Sandbox(tmp_path, programs=stub_programs) as sandbox:
        s3 = client(sandbox, "s3", "eu-west-1")
        s3.create_bucket(Bucket="europe", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        s3.put_object(Bucket="europe", Key="model.tar.gz", Body=b"model")
        europe = client(sandbox, "sagemaker", "eu-west-1")
        arn = europe.create_model(
            ModelName="m", PrimaryContainer={"Image": image, "ModelDataUrl": "s3://europe/model.tar.gz"}
        )["ModelArn"]
        assert arn == "arn:aws:sagemaker:eu-west-1:123456789012:model/m"
        assert make_client(sandbox, "sagemaker").list_models()["Models"] == []
    with Sandbox(tmp_path, programs=stub_programs) as sandbox:
        europe = client(sandbox, "sagemaker", "eu-west-1")
        assert [model["ModelName"] for model in europe.list_models()["Models"]] == ["m"]
        assert make_client(sandbox, "sagemaker").list_models()["Models"] == []


def test_a_bucket_is_in_the_region_in_which_it_was_created(sandbox_server: Sandbox) -> None:
    """A bucket has the region of the request that created it, and its name is taken in every other."""
    europe, home = client(sandbox_server, "s3", "eu-west-1"), client(sandbox_server, "s3", "us-east-1")
    europe.create_bucket(
        Bucket="regions-europe", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    home.create_bucket(Bucket="regions-home")
    assert home.get_bucket_location(Bucket="regions-europe")["LocationConstraint"] == "eu-west-1"
    assert home.head_bucket(Bucket="regions-europe")["BucketRegion"] == "eu-west-1"
    assert home.get_bucket_location(Bucket="regions-home")["LocationConstraint"] is None
    with pytest.raises(ClientError, match="IllegalLocationConstraint"):
        europe.create_bucket(
            Bucket="regions-other", CreateBucketConfiguration={"LocationConstraint": "us-west-2"}
        )
    europe.delete_bucket(Bucket="regions-europe")
    home.create_bucket(Bucket="regions-europe")
    assert home.get_bucket_location(Bucket="regions-europe")["LocationConstraint"] is None


@pytest.mark.parametrize("region", ["cn-north-1", "us-gov-west-1", "eu-nowhere-9"])
def test_a_region_of_another_partition_is_refused(sandbox_server: Sandbox, region: str) -> None:
    """Keys of the commercial partition are unknown in another one, and an invented region does not exist."""
    with pytest.raises(ClientError) as refused:
        client(sandbox_server, "sagemaker", region).list_models()
    assert refused.value.response["Error"]["Code"] == "UnrecognizedClientException"


def test_a_role_may_be_limited_to_a_region(sandbox_server: Sandbox) -> None:
    """The condition aws:RequestedRegion is evaluated with the region of the request, as are ARNs in policies."""
    assumable_role(sandbox_server, "Europe", "sts:GetCallerIdentity")
    iam = client(sandbox_server, "iam", "us-east-1")
    iam.put_role_policy(
        RoleName="Europe",
        PolicyName="Allowed",
        PolicyDocument='{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sagemaker:ListModels", '
        '"Resource": "*", "Condition": {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}}}',
    )
    issued = client(sandbox_server, "sts", "eu-west-1").assume_role(RoleArn=ROLE, RoleSessionName="test")[
        "Credentials"
    ]
    keys = {
        "aws_access_key_id": issued["AccessKeyId"],
        "aws_secret_access_key": issued["SecretAccessKey"],
        "aws_session_token": issued["SessionToken"],
    }
    assert "Models" in client(sandbox_server, "sagemaker", "eu-west-1", **keys).list_models()
    with pytest.raises(ClientError, match="not authorized to perform: sagemaker:ListModels"):
        client(sandbox_server, "sagemaker", "us-east-1", **keys).list_models()


class SlowRegion:
    """A region whose start waits for the maker's `may_start`, and takes one of its `failures`."""

    def __init__(self, maker: RegionMaker, name: str) -> None:
        self._maker, self.services = maker, name
        self.location = SandboxLocation(name)
        self.started, self.starting, self.closed = 0, threading.Event(), False

    def start(self) -> None:
        self.starting.set()
        assert self._maker.may_start.wait(SECONDS)
        if self._maker.failures:
            raise self._maker.failures.pop()
        self.started += 1

    def end_programs(self) -> None:
        """Do nothing: it has none."""

    def close(self) -> None:
        self.closed = True


class RegionMaker:
    """Makes slow regions. made: all of them, the home region first."""

    def __init__(self) -> None:
        self.may_start, self.failures = threading.Event(), list[Exception]()
        self.made = list[SlowRegion]()

    def __call__(self, _folder: Path, location: SandboxLocation, *_: object) -> SlowRegion:
        self.made.append(SlowRegion(self, location.region))
        return self.made[-1]


def slow_regions(folder: Path) -> tuple[Regions, RegionMaker]:
    """The regions of a sandbox in this folder, each a SlowRegion, and their maker."""
    maker, nothing = RegionMaker(), cast(Any, None)
    return Regions(folder, SandboxLocation(), lambda _: nothing, nothing, cast(Any, maker)), maker


def test_a_region_is_reached_only_once_it_serves(tmp_path: Path, eventually: Callable[..., Any]) -> None:
    """The first requests of a region wait until it serves, and start it once; other regions answer meanwhile."""
    regions, maker = slow_regions(tmp_path)
    maker.may_start.set()
    regions.start()
    maker.may_start.clear()
    with ThreadPoolExecutor(4) as pool:
        requests = [pool.submit(regions.services, "eu-west-1", "sagemaker") for _ in range(4)]
        try:
            eventually(lambda: len(maker.made) == 2 and maker.made[1].starting.is_set())
            assert not any(request.done() for request in requests)
            assert regions.services("us-east-1", "sagemaker") == "us-east-1"
            assert regions.services("eu-west-1", "s3") == "us-east-1"
        finally:
            maker.may_start.set()
        assert [request.result(20) for request in requests] == ["eu-west-1"] * 4
    assert [region.started for region in maker.made] == [1, 1]
    regions.end_programs()
    with pytest.raises(ApiError, match="stopping"):
        regions.services("eu-west-2", "sagemaker")


def test_requests_wait_for_the_home_region_too(tmp_path: Path) -> None:
    """A request that arrives while the sandbox starts is answered by the started home region."""
    regions, maker = slow_regions(tmp_path)
    with ThreadPoolExecutor(2) as pool:
        request = pool.submit(regions.region, "us-east-1")
        start = pool.submit(regions.start)
        assert maker.made[0].starting.wait(SECONDS)
        assert not request.done()
        maker.may_start.set()
        start.result(20)
        assert request.result(20) is maker.made[0]
    assert maker.made[0].started == 1


def test_a_region_that_fails_to_start_is_closed_and_tried_again(tmp_path: Path) -> None:
    """The request that starts a region gets the error, its databases are closed, and the next request starts it."""
    regions, maker = slow_regions(tmp_path)
    maker.may_start.set()
    regions.start()
    maker.failures.append(OSError("no space"))
    with pytest.raises(OSError, match="no space"):
        regions.region("eu-west-1")
    assert maker.made[1].closed
    assert regions.region("eu-west-1") is maker.made[2]
    assert maker.made[2].started == 1
