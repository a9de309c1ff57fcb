"""Updates of endpoints lose no setting of the model and configuration, for every member of AWS's API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from core.cost.training import shipped_prices
from core.endpoints.detail import EndpointDetail, Model
from core.endpoints.endpoint import (
    MODEL_NOT_REQUESTED,
    NOT_REQUESTED,
    config_from,
    endpoint_from,
    with_config,
)
from core.endpoints.spec import EndpointSpec
from core.errors import InputError
from core.plans.deploy import current_spec, plan_deploy, plan_update
from core.plans.plan import Plan
from core.plans.scale import VariantChange, plan_scale
from core.training.security import SecuritySettings
from tests.support.full_job import T0
from tests.support.shapes import filled, in_both, input_of, leaves, output_of, paths

PRICES = shipped_prices("us-east-1")
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"
URI = "s3://bucket/roads-8/output/model.tar.gz"
ROLE = "arn:aws:iam::123456789012:role/Server"

NEW = ("Image", "ModelDataUrl")
NOT_COPIED = {
    "ModelName": "derived from the content",
    "Tags": "compared by themselves",
    "ModelDataSource": "another way to name the artifact, which is a new one",
    "ModelPackageName": "another way to name image and artifact",
    "InferenceSpecificationName": "belongs to the model package",
    "Mode": "one model replaces the several of a container",
    "MultiModelConfig": "one model replaces the several of a container",
}
"""Members of CreateModel that a new model does not have from the old one, with the reason."""

VARIANT_CHANGES = {"ModelName": "the new model"}
INSTANCE_CHANGES = {
    "InstanceType": "the new instance type",
    "AcceleratorType": "belongs to the instance type",
    "AcceleratorPartitionLayouts": "belongs to the instance type",
    "CapacityReservationConfig": "belongs to the instance type",
    "InferenceAmiVersion": "belongs to the instance type",
    "InstancePools": "several instance types instead of one",
    "ServerlessConfig": "no instances",
}


def model_description(*, several: bool = False) -> dict[str, Any]:
    """Return DescribeModel's response with every setting. several: with several containers instead of one."""
    shape = output_of("DescribeModel")
    without = ("PrimaryContainer",) if several else ("Containers", "InferenceExecutionConfig")
    answer = filled(shape, "model", (*MODEL_NOT_REQUESTED, *without))
    container = answer["Containers"][0] if several else answer["PrimaryContainer"]
    container |= {"Image": IMAGE, "ModelDataUrl": "s3://bucket/roads-7/output/model.tar.gz"}
    if several:
        answer["Containers"].append(filled(shape.members["Containers"].member, "second"))
    return answer | {"ModelName": "m1", "ExecutionRoleArn": ROLE}


def config_description(kind: str = "ml.g5.xlarge", *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return DescribeEndpointConfig's response with every setting. without: members of the variant to leave out."""
    answer = filled(output_of("DescribeEndpointConfig"), "config", NOT_REQUESTED)
    row = {
        **filled(
            output_of("DescribeEndpointConfig").members["ProductionVariants"].member, "variant", without
        ),
        "VariantName": "AllTraffic",
        "ModelName": "m1",
        **({"InstanceType": kind, "InitialInstanceCount": 2} if kind else {}),
    }
    return answer | {"EndpointConfigName": "c1", "CreationTime": T0, "ProductionVariants": [row]}


def detail(model: Mapping[str, Any], config: Mapping[str, Any]) -> EndpointDetail:
    """Return an endpoint with this model and configuration."""
    read = config_from(config)
    endpoint = endpoint_from(
        {
            "EndpointName": "roads",
            "EndpointArn": "arn:aws:sagemaker:us-east-1:123456789012:endpoint/roads",
            "EndpointStatus": "InService",
            "EndpointConfigName": read.name,
            "CreationTime": T0,
            "Tags": [{"Key": "segdeck:job", "Value": "roads-7"}],
        }
    )
    first = model.get("PrimaryContainer") or model["Containers"][0]
    request = {key: value for key, value in model.items() if key not in MODEL_NOT_REQUESTED}
    tags = {"team": "maps", "empty": "", "aws:x": "y", "segdeck:job": "roads-7"}
    current = Model(
        "m1", "arn", IMAGE, first["ModelDataUrl"], ROLE, T0, first["Environment"], "", request, tags
    )
    return EndpointDetail(
        with_config(endpoint, read), read, (current,), config_tags={"cost": "roads", "aws:x": "y"}
    )


def request_of(plan: Plan, operation: str) -> Mapping[str, Any]:
    return next(step.params for step in plan.steps if step.operation == operation)


def update(now: EndpointDetail, **changes: Any) -> Plan:
    """Return the plan for another model, and these changes."""
    spec = current_spec(now).with_model(IMAGE, URI, job="roads-8")
    return plan_update(now, replace(spec, **changes), PRICES)


def differences(
    before: Mapping[str, Any], after: Mapping[str, Any], expected: tuple[str, ...]
) -> dict[str, Any]:
    """Return path -> (before, after) where they differ, except below these names."""
    old, new = dict(leaves(before)), dict(leaves(after))
    return {
        path: (old.get(path), new.get(path))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path) and not set(path.split(".")) & set(expected)
    }


@pytest.mark.parametrize("several", [False, True])
def test_a_new_model_has_every_setting_of_the_old_one(several: bool) -> None:
    """Every member that DescribeModel returns and CreateModel accepts is the same for an endpoint's new model."""
    old = model_description(several=several)
    new = request_of(update(detail(old, config_description())), "CreateModel")
    assert differences(old, new, (*NEW, *NOT_COPIED)) == {}
    assert new["VpcConfig"] == old["VpcConfig"]
    assert new["EnableNetworkIsolation"] is True
    container = new["Containers"][0] if several else new["PrimaryContainer"]
    assert (container["Image"], container["ModelDataUrl"]) == (IMAGE, URI)
    if several:
        assert new["Containers"][1] == old["Containers"][1]


def test_every_member_of_a_model_is_tested() -> None:
    """The two models together have every member, recursively, of CreateModel that DescribeModel returns."""
    shape = input_of("CreateModel")
    everything = paths({key: filled(shape.members[key]) for key in in_both("CreateModel", "DescribeModel")})
    assert everything == paths(model_description()) | paths(model_description(several=True))
    assert set(shape.members) - in_both("CreateModel", "DescribeModel") == {"Tags"}
    rest = set(output_of("DescribeModel").members) - set(shape.members)
    assert rest == set(MODEL_NOT_REQUESTED) - {"ResponseMetadata"}


def test_an_update_keeps_every_setting_of_the_configuration() -> None:
    """Every member that DescribeEndpointConfig returns is the same in the new configuration, but for the model."""
    old = config_description()
    new = request_of(update(detail(model_description(), old)), "CreateEndpointConfig")
    expected = ("EndpointConfigName", "CreationTime", "Tags", *VARIANT_CHANGES)
    assert differences(old, new, expected) == {}
    assert new["ShadowProductionVariants"] == old["ShadowProductionVariants"]
    everything = paths(
        {key: filled(shape) for key, shape in input_of("CreateEndpointConfig").members.items()}
    )
    assert everything - paths(new) == set()


@pytest.mark.parametrize(("kind", "volume"), [("ml.c5.xlarge", True), ("ml.g4dn.xlarge", False)])
def test_another_instance_type_keeps_the_rest(kind: str, volume: bool) -> None:
    """With another instance type, only what belongs to the old one is dropped, and the plan lists it."""
    old = config_description("ml.p3.2xlarge")
    if not volume:
        del old["KmsKeyId"]  # AWS accepts none for local storage
    plan = update(detail(model_description(), old), instance_type=kind)
    new = request_of(plan, "CreateEndpointConfig")
    expected = ("EndpointConfigName", "CreationTime", "Tags", *VARIANT_CHANGES, *INSTANCE_CHANGES)
    expected = expected if volume else (*expected, "VolumeSizeInGB")
    assert differences(old, new, expected) == {}
    row = new["ProductionVariants"][0]
    assert set(INSTANCE_CHANGES) & set(row) == {"InstanceType"}
    assert ("VolumeSizeInGB" in row) is volume
    [text] = [text for text in plan.warnings if "belong to its old instances" in text]
    assert "InferenceAmiVersion" in text


def test_scaling_touches_no_configuration() -> None:
    """Scaling is one call with weights and counts, so that the configuration stays as it is."""
    now = detail(model_description(), config_description(without=("ServerlessConfig",)))
    [step] = plan_scale(now.endpoint, [VariantChange("AllTraffic", count=3)], PRICES).steps
    assert step.operation == "UpdateEndpointWeightsAndCapacities"


def test_deployment_guardrails_survive_an_update() -> None:
    """UpdateEndpoint reuses the last deployment configuration, which AWS otherwise forgets."""
    assert request_of(update(detail(model_description(), config_description())), "UpdateEndpoint") == {
        "EndpointName": "roads",
        "EndpointConfigName": request_of(
            update(detail(model_description(), config_description())), "CreateEndpointConfig"
        )["EndpointConfigName"],
        "RetainDeploymentConfig": True,
    }


def test_tags_of_model_and_configuration_are_copied() -> None:
    """The new model and configuration have the tags of the old ones, but not AWS's own, nor another lineage."""
    plan = update(detail(model_description(), config_description()))
    assert request_of(plan, "CreateModel")["Tags"] == [
        {"Key": "empty", "Value": ""},
        {"Key": "segdeck:job", "Value": "roads-8"},
        {"Key": "team", "Value": "maps"},
    ]
    assert request_of(plan, "CreateEndpointConfig")["Tags"] == [{"Key": "cost", "Value": "roads"}]
    unread = replace(detail(model_description(), config_description()), config_tags={}, tags_known=False)
    assert any(
        "tags of the configuration or of its models cannot be read" in text
        for text in update(unread).warnings
    )
    assert "Tags" not in request_of(update(unread), "CreateEndpointConfig")


def test_the_registry_settings_fit_the_image() -> None:
    """Settings for a private registry are not sent with an image of another one, and the plan says so."""
    old = model_description()
    old["PrimaryContainer"]["Image"] = "registry.example.com/mine:1"
    plan = update(detail(old, config_description()))
    assert "ImageConfig" not in request_of(plan, "CreateModel")["PrimaryContainer"]
    assert any("does not fit the new one: ImageConfig" in text for text in plan.warnings)


def test_a_new_endpoint_has_the_network_of_its_job() -> None:
    """A job's model is deployed into the job's VPC and with its network isolation, and the plan says so."""
    job = SecuritySettings(("subnet-1",), ("sg-1",), "key", "key", True, True)
    spec = EndpointSpec(
        "roads", ROLE, "ml.c5.xlarge", IMAGE, URI, job="roads-8", model_settings=job.model_settings
    )
    plan = plan_deploy(spec, PRICES)
    model = request_of(plan, "CreateModel")
    assert model["VpcConfig"] == {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}
    assert model["EnableNetworkIsolation"] is True
    assert plan.warnings[0] == "The model has the VPC and network isolation of the training job roads-8."
    assert SecuritySettings(output_kms_key="key").model_settings == {}


def test_an_unreadable_model_is_a_warning() -> None:
    """Where the old model cannot be read, the plan says that the new one may lack its network settings."""
    now = replace(detail(model_description(), config_description()), models=())
    plan = update(now, role_arn=ROLE)
    assert any("m1 cannot be read, so the new model may lack its VPC" in text for text in plan.warnings)


def test_an_existing_model_is_compared() -> None:
    """An existing model without the VPC or isolation of the current one is a warning; so is one not compared."""
    now = detail(model_description(), config_description())
    spec = replace(current_spec(now), model="m2")
    weak = Model("m2", "arn", IMAGE, URI, ROLE, T0, request={"ModelName": "m2"})
    texts = " ".join(plan_update(now, spec, PRICES, model=weak).warnings)
    assert "m1 has a VPC, which the new one does not have" in texts
    assert "m1 has network isolation" in texts
    same = replace(weak, request=now.models[0].request)
    assert "which the new one" not in " ".join(plan_update(now, spec, PRICES, model=same).warnings)
    assert "were not compared" in " ".join(plan_update(now, spec, PRICES).warnings)


@pytest.mark.parametrize(
    "kind", ["ml.g5.xlarge", "ml.m6i.large", "ml.c6i.xlarge", "ml.p2.xlarge", "ml.c7g.large"]
)
def test_an_unchanged_instance_type_is_no_complaint(kind: str) -> None:
    """An endpoint on any instance type gets a new model without an error or a warning about it."""
    plan = update(detail(model_description(), config_description(kind)))
    assert request_of(plan, "CreateEndpointConfig")["ProductionVariants"][0]["InstanceType"] == kind
    assert not any("documentation" in text for text in plan.warnings)


def test_an_undocumented_instance_type_is_a_warning() -> None:
    """Another instance type that AWS's documentation does not name for the algorithm is a warning, once."""
    now = detail(model_description(), config_description("ml.p3.2xlarge"))
    for kind, advice in (("ml.m6i.large", "Test it"), ("ml.c7g.large", "ARM processor")):
        [text] = [text for text in update(now, instance_type=kind).warnings if "documentation" in text]
        assert (kind in text, advice in text) == (True, True)
    with pytest.raises(InputError, match="instance type is 'large'"):
        update(now, instance_type="large")


@pytest.mark.parametrize("member", ["ServerlessConfig", "InstancePools"])
def test_a_variant_without_an_instance_type_gets_a_model(member: str) -> None:
    """A serverless variant, or one with instance pools, keeps those with a new model."""
    other = {
        "ServerlessConfig": ("InstancePools", "InitialInstanceCount"),
        "InstancePools": ("ServerlessConfig",),
    }
    config = config_description("", without=("InstanceType", *other[member]))
    plan = update(detail(model_description(), config))
    row = request_of(plan, "CreateEndpointConfig")["ProductionVariants"][0]
    assert differences(config["ProductionVariants"][0], row, ("ModelName",)) == {}
    own = any("keep their own models" in text for text in plan.warnings)
    assert own is (member == "InstancePools")
