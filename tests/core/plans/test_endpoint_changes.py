"""Endpoint changes as values."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from core.cost.training import shipped_prices
from core.endpoints.detail import EndpointDetail, Model, Scaling, Users
from core.endpoints.endpoint import EndpointConfig, config_from, endpoint_from, with_config
from core.endpoints.spec import EndpointSpec
from core.errors import InputError
from core.imaging.classes import Classes
from core.plans.delete import clean_up, plan_delete
from core.plans.deploy import ModelUpload, current_spec, plan_deploy, plan_update
from core.plans.plan import Plan
from core.plans.scale import VariantChange, plan_autoscale, plan_scale, plan_stop_autoscale

PRICES = shipped_prices("us-east-1")
CREATED = datetime(2026, 11, 22, tzinfo=UTC)
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"
ROLE = "arn:aws:iam::123456789012:role/Server"
URI = "s3://bucket/roads-8/output/model.tar.gz"
SPEC = EndpointSpec("roads", ROLE, "ml.g4dn.xlarge", IMAGE, URI, job="roads-8")


def row(name: str, model: str = "m1", kind: str = "ml.g4dn.xlarge", **more: Any) -> dict[str, Any]:
    return {
        "VariantName": name,
        "ModelName": model,
        "InstanceType": kind,
        "InitialInstanceCount": 1,
        "InitialVariantWeight": 1.0,
        **more,
    }


def config(*rows: dict[str, Any], name: str = "roads-config") -> EndpointConfig:
    return config_from(
        {"EndpointConfigName": name, "CreationTime": CREATED, "ProductionVariants": rows, "KmsKeyId": "key"}
    )


def detail(
    *rows: dict[str, Any], name: str = "roads", status: str = "InService", **values: Any
) -> EndpointDetail:
    """Return an endpoint whose state matches its configuration."""
    rows = rows or (row("AllTraffic"),)
    found = config(*rows)
    record = {
        "EndpointName": name,
        "EndpointArn": f"arn:aws:sagemaker:us-east-1:123456789012:endpoint/{name}",
        "EndpointStatus": status,
        "EndpointConfigName": found.name,
        "CreationTime": CREATED,
        "Tags": [{"Key": "segdeck:job", "Value": "roads-7"}],
        "ProductionVariants": [
            {
                "VariantName": asked["VariantName"],
                "CurrentWeight": asked["InitialVariantWeight"],
                "DesiredWeight": asked["InitialVariantWeight"],
                "CurrentInstanceCount": asked["InitialInstanceCount"],
                "DesiredInstanceCount": asked["InitialInstanceCount"],
            }
            for asked in rows
        ],
    }
    models = tuple(
        Model(model, "arn", IMAGE, f"s3://bucket/{model}/model.tar.gz", ROLE, CREATED)
        for model in found.models
    )
    return replace(EndpointDetail(with_config(endpoint_from(record), found), found, models), **values)


def calls(plan: Plan) -> list[str]:
    return [step.operation for step in plan.steps]


def test_a_deploy_makes_model_configuration_and_endpoint() -> None:
    """A deploy is three calls that reference each other, with an hourly price and a note about billing."""
    plan = plan_deploy(SPEC, PRICES, warnings=("Look.",))
    model, configuration, endpoint = plan.steps
    assert calls(plan) == ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"]
    assert configuration.params["ProductionVariants"][0]["ModelName"] == model.params["ModelName"]
    assert endpoint.params["EndpointConfigName"] == configuration.params["EndpointConfigName"]
    assert endpoint.params["Tags"] == [{"Key": "segdeck:job", "Value": "roads-8"}]
    assert (plan.verb, plan.target, plan.warnings[0]) == ("deploy", "roads", "Look.")
    assert "whether it is called or not" in plan.warnings[-1]
    text = str(plan)
    assert "$0.74 per hour, $537.57 per month, $6,450.86 per year" in text
    assert "AllTraffic on 1 × ml.g4dn.xlarge, weight 1" in text


def test_the_same_deploy_is_the_same_plan() -> None:
    """The same spec gives the same plan, including names; another artifact gives another model and configuration."""
    again = plan_deploy(replace(SPEC, tags={}), PRICES)
    assert plan_deploy(SPEC, PRICES) == again
    other = plan_deploy(SPEC.with_model(IMAGE, "s3://bucket/other/model.tar.gz"), PRICES)
    assert other.steps[0].params["ModelName"] != again.steps[0].params["ModelName"]
    assert other.steps[1].params["EndpointConfigName"] != again.steps[1].params["EndpointConfigName"]


def test_a_model_that_is_there_is_not_made() -> None:
    """A deploy of an existing SageMaker Model creates no other one."""
    plan = plan_deploy(EndpointSpec("roads", "", "ml.c5.xlarge", model="m1"), PRICES)
    assert calls(plan) == ["CreateEndpointConfig", "CreateEndpoint"]


def test_a_local_artifact_and_its_classes_are_uploaded_first() -> None:
    """A file and class names are uploaded to S3 first, never over an object, and the endpoint has their URIs."""
    upload = ModelUpload("/tmp/model.tar.gz", URI, 12_345_678, "ab" * 32)
    plan = plan_deploy(SPEC, PRICES, upload=upload, classes=Classes.numbered(2))
    assert calls(plan)[:3] == ["PutObject", "PutObject", "CreateModel"]
    artifact, classes = plan.steps[:2]
    assert artifact.params == {
        "Bucket": "bucket",
        "Key": "roads-8/output/model.tar.gz",
        "Filename": "/tmp/model.tar.gz",
        "Metadata": {"sha256": "ab" * 32},
        "IfNoneMatch": "*",
    }
    assert "12.3 MB" in artifact.what
    assert (classes.params["Key"], classes.params["IfNoneMatch"]) == ("roads-8/output/classes.json", "*")
    tags = {tag["Key"]: tag["Value"] for tag in plan.steps[-1].params["Tags"]}
    assert tags["segdeck:classes"] == "s3://bucket/roads-8/output/classes.json"


def test_a_bad_spec_gives_no_plan() -> None:
    """An invalid spec has no plan, and all its problems are reported."""
    with pytest.raises(InputError, match=r"'_'.*name of the endpoint.*families c5"):
        plan_deploy(replace(SPEC, name="_", instance_type="p2"), PRICES)


def test_an_unknown_price_is_a_warning() -> None:
    """A deploy without a known price has a warning."""
    plan = plan_deploy(SPEC, replace(PRICES, hosting={}))
    assert "No price is known for ml.g4dn.xlarge" in plan.warnings[0]
    assert "Price: unknown" in str(plan)


@pytest.mark.parametrize(
    "plan",
    [
        plan_deploy(SPEC, PRICES, classes=Classes.numbered(3)),
        plan_deploy(SPEC, replace(PRICES, hosting={})),
        plan_delete([detail()], Users()),
    ],
)
def test_a_plan_can_be_written_down_and_read_again(plan: Plan) -> None:
    """A plan can be restored from its JSON."""
    assert Plan.from_dict(plan.to_dict()) == plan


def test_an_update_gives_a_variant_another_model() -> None:
    """An update creates model and configuration, updates the endpoint, tags the lineage, and says what is kept."""
    now = detail()
    plan = plan_update(now, current_spec(now).with_model(IMAGE, URI, job="roads-8"), PRICES)
    assert calls(plan) == ["CreateModel", "CreateEndpointConfig", "UpdateEndpoint", "AddTags"]
    _, configuration, update, tags = plan.steps
    assert configuration.params["KmsKeyId"] == "key"
    assert update.params["EndpointConfigName"] == configuration.params["EndpointConfigName"] != "roads-config"
    assert tags.params["Tags"] == [{"Key": "segdeck:job", "Value": "roads-8"}]
    assert any("roads-config and the model m1 are kept," in text for text in plan.warnings)
    assert "roads-config" in plan.undo


def test_an_update_keeps_what_it_was_not_asked_to_change() -> None:
    """The other variants keep the weights and instances set since, and their models."""
    now = detail(row("a"), row("b", "m2", InitialVariantWeight=3.0))
    scaled = replace(now.endpoint.variants[1], desired_weight=5.0, desired_count=4)
    now = replace(now, endpoint=replace(now.endpoint, variants=(now.endpoint.variants[0], scaled)))
    plan = plan_update(now, replace(current_spec(now, "a"), instance_type="ml.c5.xlarge"), PRICES)
    assert calls(plan) == ["CreateEndpointConfig", "UpdateEndpoint"]
    first, second = plan.steps[0].params["ProductionVariants"]
    assert (first["InstanceType"], first["ModelName"]) == ("ml.c5.xlarge", "m1")
    assert (second["InitialVariantWeight"], second["InitialInstanceCount"]) == (5.0, 4)
    assert plan.price is not None
    assert str(plan.price.per_hour) == "$3.15"


def test_another_machine_loses_what_belongs_to_the_old_one() -> None:
    """Fields specific to an instance type are kept with it, and dropped when it changes."""
    image = {"InferenceAmiVersion": "al2-ami-sagemaker-inference-gpu-2"}
    now = detail(row("AllTraffic", **image, RoutingConfig={"RoutingStrategy": "RANDOM"}))
    bigger = plan_update(now, replace(current_spec(now), instance_count=2), PRICES)
    assert bigger.steps[0].params["ProductionVariants"][0]["InferenceAmiVersion"]
    other = plan_update(now, replace(current_spec(now), instance_type="ml.c5.xlarge"), PRICES)
    assert set(other.steps[0].params["ProductionVariants"][0]) == {*row("a"), "RoutingConfig"}


@pytest.mark.parametrize("variant", ["a", "added"])
def test_a_kms_key_does_not_fit_local_storage(variant: str) -> None:
    """AWS refuses a KMS key for instances with local storage: nothing is planned, and the key is never dropped."""
    now = detail(row("a", kind="ml.c5.xlarge"))
    spec = replace(current_spec(now), variant=variant)
    with pytest.raises(InputError, match=r"cannot use ml\.g5\.xlarge.*the KMS key key") as caught:
        plan_update(now, replace(spec, instance_type="ml.g5.xlarge"), PRICES)
    assert (caught.value.why, caught.value.todo) != ("", "")
    plan = plan_update(now, replace(spec, instance_type="ml.p3.2xlarge"), PRICES)
    assert plan.steps[0].params["KmsKeyId"] == "key"
    unencrypted = {key: value for key, value in now.config.request.items() if key != "KmsKeyId"}
    now = replace(now, config=replace(now.config, request=unencrypted))
    plan = plan_update(now, replace(spec, instance_type="ml.g5.xlarge"), PRICES)
    assert "KmsKeyId" not in plan.steps[0].params


def test_another_machine_ends_autoscaling() -> None:
    """AWS rejects another instance type while a variant is autoscaled: autoscaling stops first, with a warning."""
    now = detail(scaling=(Scaling("AllTraffic", 1, 3, 60.0),))
    plan = plan_update(now, replace(current_spec(now), instance_type="ml.c5.xlarge"), PRICES)
    assert calls(plan) == ["CreateEndpointConfig", "DeregisterScalableTarget", "UpdateEndpoint"]
    assert "Autoscaling of the variant AllTraffic stops" in plan.warnings[0]
    more = plan_update(now, replace(current_spec(now), instance_count=2), PRICES)
    assert calls(more) == ["CreateEndpointConfig", "UpdateEndpoint"]


def test_weights_are_not_set_back_by_an_update() -> None:
    """An update to the configuration before scaling is rejected: for AWS it would not be a new configuration."""
    first = plan_deploy(SPEC, PRICES).steps[1].params
    now = detail(*first["ProductionVariants"])
    asked = config_from({**first, "CreationTime": CREATED})
    scaled = replace(now.endpoint.variants[0], desired_count=3)
    now = replace(now, config=asked, endpoint=replace(now.endpoint, variants=(scaled,)))
    with pytest.raises(InputError, match="scale the endpoint"):
        plan_update(now, replace(current_spec(now), instance_count=1, job="roads-7"), PRICES)


def test_a_new_name_is_a_variant_more() -> None:
    """A new variant name adds a variant to the others; the endpoint's own lineage is kept."""
    now = detail()
    beside = replace(current_spec(now), variant="next", weight=0.25).with_model(IMAGE, URI, job="roads-8")
    plan = plan_update(now, beside, PRICES)
    assert calls(plan) == ["CreateModel", "CreateEndpointConfig", "UpdateEndpoint"]
    rows = plan.steps[1].params["ProductionVariants"]
    assert [(one["VariantName"], one["InitialVariantWeight"]) for one in rows] == [
        ("AllTraffic", 1.0),
        ("next", 0.25),
    ]


def test_names_alone_are_noted_without_a_move() -> None:
    """New class names for the same model need no new configuration."""
    now = detail()
    plan = plan_update(now, replace(current_spec(now), classes_uri="s3://bucket/classes.json"), PRICES)
    assert calls(plan) == ["AddTags"]


def test_an_update_that_changes_nothing_is_no_plan() -> None:
    """An update without changes, of an unreadable endpoint, or of an unknown variant is an error."""
    now = detail()
    with pytest.raises(InputError, match="would not change"):
        plan_update(now, current_spec(now), PRICES)
    with pytest.raises(InputError, match=r"cannot be read\. Denied\."):
        current_spec(replace(now, config=None, notes=("Denied.",)))
    with pytest.raises(InputError, match=r"no variant 'b'.*AllTraffic"):
        current_spec(now, "b")


@pytest.mark.parametrize(
    ("status", "advice"),
    [("Updating", "Wait"), ("Creating", "Wait"), ("Failed", "Delete it"), ("Deleting", "deploy")],
)
def test_nothing_is_changed_while_aws_is_at_work(status: str, advice: str) -> None:
    """An endpoint that is being changed, or has failed, is neither updated nor scaled."""
    now = detail(status=status)
    with pytest.raises(InputError, match=advice):
        plan_update(now, replace(current_spec(now), instance_count=2), PRICES)
    with pytest.raises(InputError, match=advice):
        plan_scale(now.endpoint, [VariantChange("AllTraffic", count=2)], PRICES)


def test_weights_and_counts_are_one_call() -> None:
    """Scaling is one call with only what changes, the new price, and how to undo it."""
    now = detail(row("a"), row("b", kind="ml.c5.xlarge")).endpoint
    plan = plan_scale(now, [VariantChange("a", weight=0.2), VariantChange("b", count=3)], PRICES)
    (step,) = plan.steps
    assert step.operation == "UpdateEndpointWeightsAndCapacities"
    assert step.params["DesiredWeightsAndCapacities"] == [
        {"VariantName": "a", "DesiredWeight": 0.2},
        {"VariantName": "b", "DesiredInstanceCount": 3},
    ]
    assert plan.price is not None
    assert str(plan.price.per_hour) == "$1.35"
    assert plan.undo == ("scale it back: a on 1 × ml.g4dn.xlarge, weight 1; b on 1 × ml.c5.xlarge, weight 1.")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (VariantChange("c", weight=1), "no variant 'c'"),
        (VariantChange("a", weight=1.0), "would not change"),
        (VariantChange("a"), "would not change"),
        (VariantChange("a", weight=0), "All weights"),
        (VariantChange("a", weight=-1), "0 or more"),
        (VariantChange("a", weight=float("inf")), "0 or more"),
        (VariantChange("a", count=0), "1 to 100"),
        (VariantChange("a", count=101), "1 to 100"),
    ],
)
def test_what_cannot_be_scaled_is_no_plan(change: VariantChange, said: str) -> None:
    """An unknown variant, an invalid weight or count, and no change at all are errors."""
    with pytest.raises(InputError, match=said):
        plan_scale(detail(row("a")).endpoint, [change], PRICES)


def test_autoscaling_is_a_range_and_a_goal() -> None:
    """Autoscaling registers the variant, sets its target, and shows the price at the maximum."""
    now = detail().endpoint
    plan = plan_autoscale(now, Scaling("AllTraffic", 1, 3, 60.0), PRICES)
    register, policy = plan.steps
    assert calls(plan) == ["RegisterScalableTarget", "PutScalingPolicy"]
    assert register.params == {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/roads/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        "MinCapacity": 1,
        "MaxCapacity": 3,
    }
    assert policy.params["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 60.0
    assert plan.price is not None
    assert (str(plan.price.per_hour), "$0.74 per hour" in plan.warnings[0]) == ("$2.21", True)
    assert calls(plan_stop_autoscale(now, "AllTraffic")) == ["DeregisterScalableTarget"]


@pytest.mark.parametrize(
    "scaling",
    [
        Scaling("AllTraffic", 0, 3, 60.0),
        Scaling("AllTraffic", 3, 1, 60.0),
        Scaling("AllTraffic", 1, 101, 60.0),
        Scaling("AllTraffic", 1, 3, None),
        Scaling("AllTraffic", 1, 3, 0.0),
        Scaling("b", 1, 3, 60.0),
    ],
)
def test_a_range_that_cannot_be_is_no_plan(scaling: Scaling) -> None:
    """An inverted or out-of-bounds range, no target, and an unknown variant are errors."""
    with pytest.raises(InputError):
        plan_autoscale(detail().endpoint, scaling, PRICES)


def test_a_delete_takes_all_and_says_what_stays() -> None:
    """A delete stops autoscaling, deletes the endpoint, waits for that, then deletes configuration and model."""
    now = detail(scaling=(Scaling("AllTraffic", 1, 3, 60.0),))
    old = Users(old_configs={"roads": ("roads-0a0a0a0a",)}, old_models={"roads": ("roads-0b0b0b0b",)})
    plan = plan_delete([now], old)
    assert calls(plan) == [
        "DeregisterScalableTarget",
        "DeleteEndpoint",
        "DescribeEndpoint",
        "DeleteEndpointConfig",
        "DeleteEndpointConfig",
        "DeleteModel",
        "DeleteModel",
    ]
    assert plan.steps[2].then == "endpoint_deleted"
    assert [step.params["ModelName"] for step in plan.steps[-2:]] == ["m1", "roads-0b0b0b0b"]
    assert plan.warnings == ("The artifact s3://bucket/m1/model.tar.gz stays in S3.",)


def test_what_others_use_stays() -> None:
    """A configuration or model that something else uses is kept, and its users are named."""
    users = Users(
        configs={"roads-config": ("the endpoint lakes",)},
        models={"m1": ("the endpoint lakes", "the configuration spare")},
    )
    plan = plan_delete([detail()], users)
    assert calls(plan) == ["DeleteEndpoint", "DescribeEndpoint"]
    assert plan.warnings[1:] == (
        "The configuration roads-config is kept: it is also used by the endpoint lakes.",
        "The model m1 is kept: it is also used by the endpoint lakes and the configuration spare.",
    )
    blind = plan_delete([detail()], Users(unreadable="The endpoints may not be listed."))
    assert calls(blind) == ["DeleteEndpoint", "DescribeEndpoint"]
    assert "roads-config, m1" in blind.warnings[1]


def test_many_are_deleted_at_once() -> None:
    """Several endpoints are deleted together: all deletes, then all waits, then shared resources once."""
    plan = plan_delete([detail(), detail(name="lakes")], Users())
    assert plan.target == "roads, lakes"
    assert calls(plan) == [
        *["DeleteEndpoint"] * 2,
        *["DescribeEndpoint"] * 2,
        "DeleteEndpointConfig",
        "DeleteModel",
    ]


def test_only_one_at_rest_is_deleted() -> None:
    """An endpoint being changed is not deleted; one being deleted is waited for; a failed one is deleted."""
    with pytest.raises(InputError, match="being updated"):
        plan_delete([detail(status="Updating")], Users())
    with pytest.raises(InputError, match="No endpoint is selected"):
        plan_delete([], Users())
    assert calls(plan_delete([detail(status="Deleting")], Users()))[0] == "DescribeEndpoint"
    assert calls(plan_delete([detail(status="Failed")], Users()))[0] == "DeleteEndpoint"
    unseen = plan_delete([replace(detail(), scaling_known=False)], Users())
    assert "The autoscaling of roads cannot be read" in unseen.warnings[-1]
    unread = replace(detail(), config=None, models=())
    assert "may be left" in plan_delete([unread], Users()).warnings[-1]


def test_a_cut_deploy_is_cleaned_up_from_its_end() -> None:
    """An interrupted deploy is removed in reverse; what existed before, was not started, or was uploaded is kept."""
    plan = plan_deploy(SPEC, PRICES, classes=Classes.numbered(2))
    cleaning = clean_up(plan, ["done", "already", "recovered", "start"])
    assert calls(cleaning) == [
        "DescribeEndpoint",
        "DeleteEndpoint",
        "DescribeEndpoint",
        "DeleteEndpointConfig",
    ]
    assert (cleaning.steps[0].then, cleaning.verb) == ("endpoint_settled", "clean up")
    assert "Write the class names" in cleaning.warnings[0]
    assert calls(clean_up(plan, ["already", "done", None, None])) == ["DeleteModel"]


@pytest.mark.parametrize(
    ("plan", "states"),
    [
        (plan_delete([detail()], Users()), ["done", "start", None, None]),
        (
            plan_update(detail(), replace(current_spec(detail()), instance_count=2), PRICES),
            ["done", "start"],
        ),
        (plan_deploy(SPEC, PRICES), ["already", None, None]),
    ],
)
def test_what_can_only_be_finished_is_not_cleaned_up(plan: Plan, states: list[Any]) -> None:
    """A delete, an update in progress, and a plan that created nothing cannot be cleaned up."""
    with pytest.raises(InputError, match=r"clean(ed)? up"):
        clean_up(plan, states)


def test_an_update_cut_before_its_move_is_cleaned_up() -> None:
    """Before the endpoint is updated, a new configuration and model can be removed."""
    now = detail()
    plan = plan_update(now, current_spec(now).with_model(IMAGE, URI), PRICES)
    assert calls(clean_up(plan, ["done", "start"])) == ["DeleteEndpointConfig", "DeleteModel"]


@pytest.mark.parametrize(
    ("status", "todo"),
    [
        ("Creating", "Wait until it is in service."),
        ("Dreaming", "Wait until it is in service."),
        ("Deleting", "Wait until it is deleted, then deploy it again."),
        ("Failed", "Delete it, then deploy it again."),
    ],
)
def test_what_to_do_where_no_change_is_taken(status: str, todo: str) -> None:
    """Deleting an endpoint is suggested only if AWS allows nothing else, and never for an unknown status."""
    now = detail(status=status)
    with pytest.raises(InputError) as caught:
        plan_update(now, current_spec(now).with_model(IMAGE, URI), PRICES)
    assert caught.value.todo == todo


def test_instances_in_place_of_serverless_are_a_warning() -> None:
    """An update that gives a serverless variant instances warns about billing; an unknown model is not named."""
    now = detail()
    variants = (replace(now.endpoint.variants[0], serverless=True, model=""),)
    now = replace(now, endpoint=replace(now.endpoint, variants=variants))
    plan = plan_update(now, replace(SPEC, model="m2", image="", model_uri=""), PRICES)
    assert "is serverless now, and will get instances, which are billed per hour." in " ".join(plan.warnings)
    assert plan.warnings[-1].startswith("The configuration roads-config is kept, so that you can go back.")


def test_a_plan_for_the_sandbox_never_says_that_it_bills() -> None:
    """Its price is marked as an estimate of AWS's, and no warning says that the endpoint or an update is billed."""
    prices = replace(PRICES, sandbox=True)
    for plan in (
        plan_deploy(SPEC, prices),
        plan_update(detail(), replace(current_spec(detail()), instance_type="ml.c5.xlarge"), prices),
    ):
        assert "AWS price (estimate): $" in str(plan)
        assert str(plan).replace("nothing is billed", "").count("bill") == 0
    assert "It is billed per hour" in str(plan_deploy(SPEC, PRICES))
    assert "\nPrice: $" in str(plan_deploy(SPEC, PRICES))
