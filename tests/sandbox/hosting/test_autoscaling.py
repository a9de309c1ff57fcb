"""Application Auto Scaling: registration, refusals, and instance counts that follow the load."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.common.limits import SandboxLimits
from sandbox.hosting.autoscaler import wanted_count
from sandbox.server import Sandbox

Client = Callable[..., Any]
WHERE = {"ServiceNamespace": "sagemaker", "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}
METRIC = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory, stub_programs: dict[str, list[str]]) -> Iterator[Sandbox]:
    """A sandbox that checks the load continuously."""
    limits = SandboxLimits(scaling_seconds=0.1, variant_instances=4)
    with Sandbox(tmp_path_factory.mktemp("scaling"), programs=stub_programs, limits=limits) as sandbox:
        yield sandbox


@pytest.fixture
def sagemaker(quick: Sandbox, make_client: Client) -> Any:
    return make_client(quick, "sagemaker")


@pytest.fixture
def scaling(quick: Sandbox, make_client: Client) -> Any:
    return make_client(quick, "application-autoscaling")


@pytest.fixture
def target(quick: Sandbox, scaling: Any, make_endpoint: Client) -> Callable[..., dict[str, str]]:
    """target(MinCapacity=..., ...) -> the members that identify the registered variant of a new endpoint."""

    def make(**members: Any) -> dict[str, str]:
        resource = {**WHERE, "ResourceId": f"endpoint/{make_endpoint(quick)}/variant/AllTraffic"}
        scaling.register_scalable_target(**resource, **{"MinCapacity": 1, "MaxCapacity": 3, **members})
        return resource

    return make


def _policy(scaling: Any, target: dict[str, str], value: float, **members: Any) -> Any:
    config = {"TargetValue": value, "PredefinedMetricSpecification": METRIC, **members}
    return scaling.put_scaling_policy(
        **target,
        PolicyName="by-load",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=config,
    )


def _refused(call: Callable[..., Any], **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**members)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def _name(target: dict[str, str]) -> str:
    return target["ResourceId"].split("/")[1]


def test_targets_and_policies_are_kept_and_described(scaling: Any, target: Client) -> None:
    """Registered values are described, changed in part, and deleted: a policy alone, or all with its target."""
    where = target()
    arn = _policy(scaling, where, 70.0, ScaleInCooldown=60)["PolicyARN"]
    scaling.register_scalable_target(**where, MaxCapacity=2)
    ask = {"ServiceNamespace": "sagemaker"}
    targets = scaling.describe_scalable_targets(**ask, ResourceIds=[where["ResourceId"]])["ScalableTargets"]
    assert [(item["MinCapacity"], item["MaxCapacity"]) for item in targets] == [(1, 2)]
    policies = scaling.describe_scaling_policies(**ask, ResourceId=where["ResourceId"])["ScalingPolicies"]
    assert [(item["PolicyARN"], item["PolicyName"]) for item in policies] == [(arn, "by-load")]
    config = policies[0]["TargetTrackingScalingPolicyConfiguration"]
    assert config == {"TargetValue": 70.0, "PredefinedMetricSpecification": METRIC, "ScaleInCooldown": 60}
    assert _policy(scaling, where, 50.0)["PolicyARN"] == arn
    assert (
        scaling.describe_scaling_activities(**ask, ResourceId=where["ResourceId"])["ScalingActivities"] == []
    )
    scaling.delete_scaling_policy(**where, PolicyName="by-load")
    assert (
        _refused(scaling.delete_scaling_policy, **where, PolicyName="by-load")[0] == "ObjectNotFoundException"
    )
    scaling.deregister_scalable_target(**where)
    assert _refused(scaling.deregister_scalable_target, **where)[0] == "ObjectNotFoundException"


def test_targets_are_listed_in_pages(scaling: Any, target: Client) -> None:
    """MaxResults and NextToken list all of them once."""
    wanted = {target()["ResourceId"] for _ in range(3)}
    pages = scaling.get_paginator("describe_scalable_targets").paginate(
        ServiceNamespace="sagemaker", ResourceIds=sorted(wanted), PaginationConfig={"PageSize": 2}
    )
    names = [[target["ResourceId"] for target in page["ScalableTargets"]] for page in pages]
    assert ([len(page) for page in names], {name for page in names for name in page}) == ([2, 1], wanted)


def test_what_cannot_be_scaled_is_refused(scaling: Any, target: Client) -> None:
    """Missing endpoints and variants, other services, inverted bounds, and policies without a target are refused."""
    where = target()
    bounds = {"MinCapacity": 1, "MaxCapacity": 2}
    register = scaling.register_scalable_target

    def text(**members: Any) -> str:
        code, message = _refused(register, **{**where, **bounds, **members})
        assert code == "ValidationException"
        return message

    assert "Could not find endpoint " in text(ResourceId="endpoint/none/variant/AllTraffic")
    missing = where["ResourceId"].replace("AllTraffic", "Other")
    assert text(ResourceId=missing).startswith('Could not find variant "Other" of endpoint')
    assert "must be endpoint/NAME/variant/NAME" in text(ResourceId="service/x/y")
    assert "only" in text(ServiceNamespace="ecs", ScalableDimension="ecs:service:DesiredCount")
    assert "cannot be less than" in text(MinCapacity=3)
    scaling.deregister_scalable_target(**where)
    assert "needs MinCapacity and MaxCapacity" in _refused(register, **where)[1]
    code, message = _refused(lambda: _policy(scaling, where, 5.0))
    assert code == "ObjectNotFoundException"
    assert message.startswith("No scalable target registered for service namespace: sagemaker, resource ID")


def test_other_policies_are_refused(scaling: Any, target: Client) -> None:
    """The error says which policies the sandbox supports."""
    where = target()
    other = {"PredefinedMetricType": "SageMakerVariantConcurrentRequestsPerModelHighResolution"}
    calls = (
        lambda: _policy(scaling, where, 5.0, PredefinedMetricSpecification=other),
        lambda: scaling.put_scaling_policy(**where, PolicyName="steps", PolicyType="StepScaling"),
    )
    for call in calls:
        assert "SageMakerVariantInvocationsPerInstance only" in _refused(call)[1]
    assert "must be above 0" in _refused(lambda: _policy(scaling, where, 0.0))[1]


def test_deleting_an_endpoint_deletes_its_targets(sagemaker: Any, scaling: Any, target: Client) -> None:
    """DeleteEndpoint also deletes the target and its policy."""
    where = target()
    _policy(scaling, where, 5.0)
    sagemaker.delete_endpoint(EndpointName=_name(where))
    ask = {"ServiceNamespace": "sagemaker"}
    assert (
        scaling.describe_scalable_targets(**ask, ResourceIds=[where["ResourceId"]])["ScalableTargets"] == []
    )
    policies = scaling.describe_scaling_policies(**ask, ResourceId=where["ResourceId"])
    assert policies["ScalingPolicies"] == []


def test_a_scaled_variant_keeps_its_name_and_instance_type(sagemaker: Any, target: Client) -> None:
    """UpdateEndpoint is refused when it would remove a scaled variant or change its type."""
    name = _name(target())
    for variant, kind in (("Other", "ml.g4dn.xlarge"), ("AllTraffic", "ml.m5.large")):
        config = f"{name}-{variant}"
        members = {"VariantName": variant, "ModelName": name, "InstanceType": kind, "InitialInstanceCount": 1}
        sagemaker.create_endpoint_config(EndpointConfigName=config, ProductionVariants=[members])
        text = _refused(sagemaker.update_endpoint, EndpointName=name, EndpointConfigName=config)[1]
        assert text.startswith('Deregister the scalable target of variant "AllTraffic"')


POLICY = {"TargetValue": 10.0}
NONE = [0.0] * 12


@pytest.mark.parametrize(
    ("count", "loads", "policy", "wanted"),
    [
        (1, [*NONE, 25.0, 25.0, 25.0], POLICY, 3),
        (2, [*NONE, 11.0, 11.0, 11.0], POLICY, 3),
        (1, [*NONE, 25.0, 9.0, 25.0], POLICY, 1),
        (4, [4.0] * 15, POLICY, 2),
        (4, [0.0] * 15, POLICY, 1),
        (4, [9.5, *[0.0] * 14], POLICY, 4),
        (4, [0.0] * 15, {**POLICY, "DisableScaleIn": True}, 4),
    ],
)
def test_the_count_follows_the_load(
    count: int, loads: list[float], policy: dict[str, Any], wanted: int
) -> None:
    """The count rises after 3 minutes above the target, and falls after 15 below 90 % of it, by as much as needed."""
    assert wanted_count(count, loads, policy) == wanted


def test_a_loaded_endpoint_gets_instances(
    quick: Sandbox, sagemaker: Any, scaling: Any, target: Client, eventually: Client
) -> None:
    """After 3 minutes above the target there are more processes, up to MaxCapacity, and an activity for it."""
    where = target(MaxCapacity=2)
    now = int(time.time()) // 60 * 60
    quick.endpoint_importer.measure(
        _name(where), "InvocationsPerInstance", [(now + 60 * minute, 50.0) for minute in range(-5, 10)]
    )
    _policy(scaling, where, 10.0)

    def activity() -> dict[str, Any] | None:
        page = scaling.describe_scaling_activities(**WHERE, ResourceId=where["ResourceId"])
        done = [item for item in page["ScalingActivities"] if item["StatusCode"] == "Successful"]
        return done[0] if done else None

    finished = eventually(activity)
    assert finished["Description"] == "Setting desired instance count to 2."
    assert "triggered policy by-load" in finished["Cause"]
    shown = sagemaker.describe_endpoint(EndpointName=_name(where))["ProductionVariants"][0]
    assert shown["CurrentInstanceCount"] == 2


def test_a_count_outside_of_the_bounds_is_brought_inside(
    sagemaker: Any, target: Client, eventually: Client
) -> None:
    """Registering a minimum above the count raises it, without any policy."""
    name = _name(target(MinCapacity=2))

    def count() -> bool:
        variant = sagemaker.describe_endpoint(EndpointName=name)["ProductionVariants"][0]
        return bool(variant["CurrentInstanceCount"] == 2)

    eventually(count)


def test_targets_survive_a_restart(
    tmp_path: Path, stub_programs: dict[str, list[str]], make_client: Client, make_endpoint: Client
) -> None:
    """Targets and policies are stored persistently."""
    with Sandbox(tmp_path, programs=stub_programs) as sandbox:
        scaling = make_client(sandbox, "application-autoscaling")
        where = {**WHERE, "ResourceId": f"endpoint/{make_endpoint(sandbox)}/variant/AllTraffic"}
        scaling.register_scalable_target(**where, MinCapacity=1, MaxCapacity=2)
        _policy(scaling, where, 5.0)
    with Sandbox(tmp_path, programs=stub_programs) as sandbox:
        scaling = make_client(sandbox, "application-autoscaling")
        ask = {"ServiceNamespace": "sagemaker"}
        assert len(scaling.describe_scalable_targets(**ask)["ScalableTargets"]) == 1
        assert len(scaling.describe_scaling_policies(**ask)["ScalingPolicies"]) == 1
