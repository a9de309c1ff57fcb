"""Models, endpoint configurations, endpoints and tags, in AWS's words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.server import Sandbox
from tests.support.patience import SECONDS

Client = Callable[..., Any]
IMAGE = "x/semantic-segmentation:1"
ARN = "arn:aws:sagemaker:us-east-1:123456789012"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory, stub_programs: dict[str, list[str]]) -> Iterator[Sandbox]:
    """A sandbox of this module alone, so that its listings are known."""
    with Sandbox(tmp_path_factory.mktemp("control"), programs=stub_programs) as sandbox:
        yield sandbox


@pytest.fixture
def sagemaker(fresh: Sandbox, make_client: Callable[..., Any]) -> Any:
    return make_client(fresh, "sagemaker")


def _refused(call: Callable[..., Any], **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**members)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def _variant(model: str, **members: Any) -> dict[str, Any]:
    return {
        "VariantName": "A", "ModelName": model, "InstanceType": "ml.g6.xlarge", "InitialInstanceCount": 1, **members
    }  # fmt: skip


def test_a_model_is_described_as_it_was_created(sagemaker: Any) -> None:
    """CreateModel returns the ARN; DescribeModel returns the stored members, with the creation time."""
    container = {"Image": IMAGE, "Environment": {"SAGEMAKER_REGION": "us-east-1", "MODEL_VERSION": "b"}}
    created = sagemaker.create_model(ModelName="Round-Trip", PrimaryContainer=container)
    model = sagemaker.describe_model(ModelName="Round-Trip")
    assert created["ModelArn"] == model["ModelArn"] == f"{ARN}:model/round-trip"
    assert model["PrimaryContainer"] == container
    assert model["EnableNetworkIsolation"] is False
    assert abs(model["CreationTime"] - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_name_is_taken_once(sagemaker: Any) -> None:
    """A second creation, in any case, is a ValidationException."""
    sagemaker.create_model(ModelName="twice", PrimaryContainer={"Image": IMAGE})
    error = _refused(sagemaker.create_model, ModelName="TWICE", PrimaryContainer={"Image": IMAGE})
    assert error == ("ValidationException", f'Cannot create already existing model "{ARN}:model/twice".')
    sagemaker.create_endpoint_config(EndpointConfigName="twice", ProductionVariants=[_variant("twice")])
    error = _refused(
        sagemaker.create_endpoint_config, EndpointConfigName="twice", ProductionVariants=[_variant("twice")]
    )
    assert error[1] == f'Cannot create already existing endpoint configuration "{ARN}:endpoint-config/twice".'


def test_missing_resources_are_not_found(sagemaker: Any) -> None:
    """Describing, deleting and using missing resources gives an error with their ARN."""
    model = ("ValidationException", f'Could not find model "{ARN}:model/none".')
    config = ("ValidationException", f'Could not find endpoint configuration "{ARN}:endpoint-config/none".')
    endpoint = ("ValidationException", f'Could not find endpoint "{ARN}:endpoint/none".')
    assert _refused(sagemaker.describe_model, ModelName="none") == model
    assert _refused(sagemaker.delete_model, ModelName="none") == model
    assert _refused(sagemaker.describe_endpoint_config, EndpointConfigName="none") == config
    assert _refused(sagemaker.delete_endpoint_config, EndpointConfigName="none") == config
    assert _refused(sagemaker.describe_endpoint, EndpointName="none") == endpoint
    assert _refused(sagemaker.delete_endpoint, EndpointName="none") == endpoint
    assert _refused(sagemaker.create_endpoint, EndpointName="e", EndpointConfigName="none") == config
    variants = [_variant("none")]
    error = _refused(sagemaker.create_endpoint_config, EndpointConfigName="c", ProductionVariants=variants)
    assert error == model


def test_members_are_validated_in_amazons_words(sagemaker: Any) -> None:
    """Every violated constraint is reported, with the member's path."""
    variant = _variant("bad_name!", InstanceType="ml.zz")
    error = _refused(sagemaker.create_endpoint_config, EndpointConfigName="ok", ProductionVariants=[variant])
    assert error[0] == "ValidationException"
    assert error[1].startswith("2 validation errors detected: ")
    wanted = (
        "Value 'bad_name!' at 'productionVariants.1.member.modelName' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: "
    )
    assert wanted in error[1]
    wanted = "Value 'ml.zz' at 'productionVariants.1.member.instanceType' failed to satisfy constraint: "
    assert f"{wanted}Member must satisfy enum value set: [" in error[1]
    error = _refused(sagemaker.list_endpoints, MaxResults=101)
    constraint = "failed to satisfy constraint: Member must have value less than or equal to 100"
    assert error == (
        "ValidationException",
        f"1 validation error detected: Value '101' at 'maxResults' {constraint}",
    )


@pytest.mark.parametrize(
    ("variants", "why"),
    [
        ([{"VariantName": "A", "ModelName": "m"}], "InstanceType is required"),
        (
            [{"VariantName": "A", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}],
            "ModelName is required",
        ),
        ([_variant("m"), _variant("m")], "must be unique"),
        (
            [_variant("m", ServerlessConfig={"MemorySizeInMB": 1024, "MaxConcurrency": 1})],
            "serves from instances",
        ),
    ],
)
def test_a_variant_that_cannot_be_served_is_refused(sagemaker: Any, variants: list[Any], why: str) -> None:
    """CreateEndpointConfig reports what the configuration lacks."""
    if not sagemaker.list_models(NameContains="m", SortBy="Name", SortOrder="Ascending")["Models"] or not any(
        model["ModelName"] == "m"
        for model in sagemaker.list_models(NameContains="m", MaxResults=100)["Models"]
    ):
        sagemaker.create_model(ModelName="m", PrimaryContainer={"Image": IMAGE})
    error = _refused(sagemaker.create_endpoint_config, EndpointConfigName="c", ProductionVariants=variants)
    assert error[0] == "ValidationException"
    assert why in error[1]


@pytest.mark.parametrize(
    "more",
    [
        {"ShadowProductionVariants": [_variant("m", VariantName="S")]},
        {"AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://b/k"}}},
    ],
    ids=lambda more: next(iter(more)),
)
def test_what_the_sandbox_does_not_serve_is_refused(sagemaker: Any, more: dict[str, Any]) -> None:
    """Shadow variants and asynchronous inference are refused, not ignored."""
    sagemaker.create_model(ModelName=f"m-{next(iter(more))}", PrimaryContainer={"Image": IMAGE})
    variants = [_variant(f"m-{next(iter(more))}")]
    error = _refused(
        sagemaker.create_endpoint_config, EndpointConfigName="c", ProductionVariants=variants, **more
    )
    assert error == ("ValidationException", f"The sandbox does not support {next(iter(more))}: remove it.")


def test_configurations_are_listed_by_name_and_time(sagemaker: Any) -> None:
    """ListEndpointConfigs has the filters, order and pages of the other listings."""
    sagemaker.create_model(ModelName="of-configs", PrimaryContainer={"Image": IMAGE})
    names = [f"conf-{number}" for number in range(3)]
    for name in names:
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[_variant("of-configs")])
    between = sagemaker.describe_endpoint_config(EndpointConfigName=names[1])["CreationTime"]

    def listed(**filters: Any) -> list[str]:
        pages = sagemaker.get_paginator("list_endpoint_configs").paginate(NameContains="conf-", **filters)
        return [config["EndpointConfigName"] for page in pages for config in page["EndpointConfigs"]]

    assert listed(PaginationConfig={"PageSize": 2}) == names[::-1]
    assert listed(SortBy="Name", SortOrder="Ascending", CreationTimeAfter=between) == names[1:]
    assert listed(CreationTimeBefore=between) == names[:1]


def test_an_operation_not_offered_is_a_client_error(fresh: Sandbox, make_client: Client) -> None:
    """It is a 400 in AWS's form, so that no client retries it."""
    sagemaker = make_client(fresh, "sagemaker", retries={"total_max_attempts": 3})
    with pytest.raises(ClientError) as caught:
        sagemaker.list_notebook_instances()
    metadata = caught.value.response["ResponseMetadata"]
    assert caught.value.response["Error"]["Code"] == "UnknownOperationException"
    assert "ListNotebookInstances" in caught.value.response["Error"]["Message"]
    assert (metadata["HTTPStatusCode"], metadata["RetryAttempts"]) == (400, 0)
    with pytest.raises(ClientError, match="does not support"):
        make_client(fresh, "ec2").describe_instances()


def test_pages_follow_one_another_while_things_come_and_go(sagemaker: Any) -> None:
    """Pages have ten items by default; nothing is skipped or repeated when an earlier item is deleted."""
    names = [f"paged-{number:02}" for number in range(12)]
    for name in names:
        sagemaker.create_model(ModelName=name, PrimaryContainer={"Image": IMAGE})
    order = {"NameContains": "paged-", "SortBy": "Name", "SortOrder": "Ascending"}
    first = sagemaker.list_models(**order)
    assert [model["ModelName"] for model in first["Models"]] == names[:10]
    sagemaker.delete_model(ModelName=names[3])
    sagemaker.create_model(ModelName="paged-00a", PrimaryContainer={"Image": IMAGE})
    second = sagemaker.list_models(**order, NextToken=first["NextToken"])
    assert [model["ModelName"] for model in second["Models"]] == names[10:]
    assert "NextToken" not in second
    newest = sagemaker.list_models(NameContains="paged-", MaxResults=2)["Models"]
    assert [model["ModelName"] for model in newest] == ["paged-00a", "paged-11"]
    pages = sagemaker.get_paginator("list_models").paginate(
        NameContains="paged-", PaginationConfig={"PageSize": 5}
    )
    assert len([model for page in pages for model in page["Models"]]) == 12


@pytest.mark.parametrize("token", ["junk", "eyJhIjogMX0=", "W10=", "WyJOYW1lIiwgdHJ1ZSwgMSwgMl0="])
def test_an_invalid_token_is_refused(sagemaker: Any, token: str) -> None:
    """A forged page token is a ValidationException."""
    code, message = _refused(sagemaker.list_models, NextToken=token)
    assert (code, message.startswith("Invalid pagination token")) == ("ValidationException", True)


def test_endpoints_are_listed_by_status_and_time(
    fresh: Sandbox, sagemaker: Any, make_endpoint: Client
) -> None:
    """ListEndpoints filters by status, name and both times, and sorts as requested."""
    make_endpoint(fresh, name="listed-good")
    between = datetime.now(UTC)
    sagemaker.create_model(ModelName="listed-bad", PrimaryContainer={"Image": "unknown"})
    sagemaker.create_endpoint_config(
        EndpointConfigName="listed-bad", ProductionVariants=[_variant("listed-bad")]
    )
    sagemaker.create_endpoint(EndpointName="listed-bad", EndpointConfigName="listed-bad")
    fresh.wait_settled(SECONDS)

    def names(**filters: Any) -> list[str]:
        page = sagemaker.list_endpoints(NameContains="listed-", **filters)
        return [endpoint["EndpointName"] for endpoint in page["Endpoints"]]

    assert names() == ["listed-bad", "listed-good"]
    assert names(SortOrder="Ascending") == ["listed-good", "listed-bad"]
    assert names(SortBy="Status", SortOrder="Ascending") == ["listed-bad", "listed-good"]
    assert names(StatusEquals="InService") == ["listed-good"]
    assert names(CreationTimeAfter=between) == names(LastModifiedTimeAfter=between) == ["listed-bad"]
    assert names(CreationTimeBefore=between) == names(LastModifiedTimeBefore=between) == ["listed-good"]
    shown = sagemaker.list_endpoints(NameContains="listed-good")["Endpoints"][0]
    wanted = {"EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus"}
    assert set(shown) == wanted


def test_tags_are_added_replaced_and_removed(sagemaker: Any) -> None:
    """A key appears once; the tags of the creation count, too."""
    container, tags = {"Image": IMAGE}, [{"Key": "a", "Value": "1"}]
    arn = sagemaker.create_model(ModelName="tagged", PrimaryContainer=container, Tags=tags)["ModelArn"]
    answer = sagemaker.add_tags(
        ResourceArn=arn, Tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "3"}]
    )
    assert answer["Tags"] == [{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "3"}]
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["a", "absent"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "3"}]
    many = [{"Key": f"k{number}", "Value": ""} for number in range(50)]
    assert _refused(sagemaker.add_tags, ResourceArn=arn, Tags=many)[0] == "ResourceLimitExceeded"
    assert _refused(sagemaker.list_tags, ResourceArn=f"{ARN}:model/none")[0] == "ValidationException"
    assert _refused(sagemaker.list_tags, ResourceArn=f"{ARN}:project/none")[0] == "ValidationException"


def test_the_users_own_aws_settings_do_not_apply(
    tmp_path: Path,
    stub_programs: dict[str, list[str]],
    make_endpoint: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A nonexistent profile and a proxy in the environment do not affect the sandbox's own calls."""
    with Sandbox(tmp_path, programs=stub_programs) as sandbox:
        before = make_endpoint(sandbox)
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with Sandbox(tmp_path, programs=stub_programs) as sandbox:
        sandbox.wait_settled(SECONDS)
        endpoint = sandbox.loopback.client("sagemaker").describe_endpoint(EndpointName=before)
    assert endpoint["EndpointStatus"] == "InService", endpoint
