"""Specs of endpoints to deploy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.cost.training import shipped_prices
from core.endpoints.spec import (
    HOSTING_INSTANCES,
    EndpointSpec,
    check_spec,
    config_request,
    derived_name,
    endpoint_name,
    endpoint_tags,
    instance_warnings,
    is_derived,
    model_request,
    processor,
    processor_in_words,
    tag_rows,
    variant_request,
)

SPEC = EndpointSpec(
    name="roads",
    role_arn="arn:aws:iam::123456789012:role/Server",
    instance_type="ml.g4dn.xlarge",
    image="811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1",
    model_uri="s3://bucket/roads-8/output/model.tar.gz",
    job="roads-8",
)


def test_a_good_spec_has_no_problems() -> None:
    """A spec with an artifact, an image and a role can be deployed, and so can one with an existing model."""
    assert check_spec(SPEC) == ()
    there = replace(SPEC, model="roads-model", image="", model_uri="", role_arn="")
    assert check_spec(there) == ()
    assert there.model_name == "roads-model"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": ""}, "name of the endpoint is ''"),
        ({"name": "roads_8"}, "letters, digits and hyphens"),
        ({"name": "-roads"}, "no hyphen"),
        ({"name": "roads-"}, "no hyphen"),
        ({"name": "r" * 64}, "1 to 63"),
        ({"name": "a" + "-" * 62 + "b"}, "1 to 63"),
        ({"variant": "All Traffic"}, "name of the variant"),
        ({"model": "no_model"}, "name of the model"),
        ({"model_uri": ""}, "artifact is ''"),
        ({"model_uri": "s3://bucket/model.zip"}, "model.tar.gz"),
        ({"model_uri": "https://bucket/model.tar.gz"}, "s3://bucket/model.tar.gz"),
        ({"image": ""}, "No container image"),
        ({"role_arn": "Server"}, "arn:aws:iam::123456789012:role/NAME"),
        ({"instance_type": "c5"}, "CPU instances of the families c5, m5 and GPU instances"),
        ({"instance_type": "g4dn.xlarge"}, "instance type is 'g4dn.xlarge'; use one such as ml.c5.xlarge"),
        ({"instance_count": 0}, "instance count is 0; set it to 1 to 100"),
        ({"instance_count": 101}, "count is 101"),
        ({"weight": -1.0}, "weight is -1.0"),
        ({"weight": float("nan")}, "weight is nan"),
        ({"classes_uri": "s3://bucket/sch\u00f6n&gut.json"}, "tag segdeck:classes"),
        ({"tags": {"team": "x" * 257}}, "tag team"),
    ],
)
def test_a_bad_spec_says_what_to_do(change: dict[str, Any], said: str) -> None:
    """An invalid value is reported with the value found and the value expected."""
    (problem,) = check_spec(replace(SPEC, **change))
    assert said in problem


def test_all_that_is_wrong_is_told() -> None:
    """All problems of a spec are reported at once."""
    assert len(check_spec(replace(SPEC, name="_", instance_type="", instance_count=0))) == 3


def test_every_instance_to_choose_can_be_served_on_and_has_a_price() -> None:
    """Each instance type in the form is supported, has a processor, and has a price in the shipped table."""
    prices = shipped_prices("us-east-1")
    for kind in HOSTING_INSTANCES:
        assert processor_in_words(kind).startswith(str(processor(kind)))
        assert prices.per_hour(kind, "hosting") is not None
    assert (processor("ml.c5.large"), processor("ml.p3.2xlarge")) == ("CPU", "GPU")
    assert (processor("ml.g6.xlarge"), processor("ml.m6i.large"), processor("ml.c7i-flex.large")) == (
        "GPU", "CPU", "CPU",
    )  # fmt: skip
    for kind in ("ml.c7g.large", "ml.inf2.xlarge", ""):
        assert (processor(kind), processor_in_words(kind)) == (None, "")


def test_an_undocumented_instance_type_is_a_warning() -> None:
    """A family that the documentation does not name can be deployed on, with a warning; an unchanged one has none."""
    assert instance_warnings(SPEC) == ()
    for kind in ("ml.p2.xlarge", "ml.g5.xlarge", "ml.m6i.large", "ml.c6i.large"):
        spec = replace(SPEC, instance_type=kind)
        assert check_spec(spec) == ()
        assert f"does not name {kind}" in instance_warnings(spec)[0]
        assert instance_warnings(spec, kind) == ()
    assert check_spec(replace(SPEC, instance_type=""), "") == ()


def test_names_follow_from_what_they_hold() -> None:
    """The same content always gives the same names of model and configuration; other content gives other names."""
    assert model_request(SPEC)["ModelName"] == model_request(replace(SPEC, job="x"))["ModelName"]
    other = SPEC.with_model(SPEC.image, "s3://bucket/roads-9/output/model.tar.gz", job="roads-9")
    assert (other.job, other.classes_uri) == ("roads-9", "")
    config, moved = (
        config_request("roads", {"ProductionVariants": [variant_request(spec)]}) for spec in (SPEC, other)
    )
    assert config["EndpointConfigName"] != moved["EndpointConfigName"]
    assert config == config_request("roads", config)
    for name in (SPEC.model_name, other.model_name, config["EndpointConfigName"]):
        assert is_derived(name, "roads")
    assert SPEC.model_name != other.model_name
    assert not is_derived("roads-v2", "roads")
    assert not is_derived(SPEC.model_name, "road")


def test_a_derived_name_is_never_too_long() -> None:
    """A name derived from the longest endpoint name has at most 63 characters and no double hyphen at its end."""
    base = "r" * 53 + "-" + "s" * 9
    name = derived_name(base, {})
    assert (len(name), is_derived(name, base)) == (62, True)
    assert "--" not in name


def test_the_requests_are_those_of_aws() -> None:
    """A spec becomes AWS's own parameters; lineage is sent as tags where it is known."""
    spec = replace(SPEC, environment={"A": "1"}, tags={"team": "maps", "empty": ""})
    assert model_request(spec) == {
        "ModelName": spec.model_name,
        "PrimaryContainer": {
            "Image": spec.image,
            "ModelDataUrl": spec.model_uri,
            "Environment": {"A": "1"},
        },
        "ExecutionRoleArn": spec.role_arn,
        "Tags": [{"Key": "segdeck:job", "Value": "roads-8"}],
    }
    assert tag_rows(endpoint_tags(spec)) == [
        {"Key": "empty", "Value": ""},
        {"Key": "segdeck:job", "Value": "roads-8"},
        {"Key": "team", "Value": "maps"},
    ]


@pytest.mark.parametrize(
    ("base", "suffix", "expected"),
    [
        ("roads_8 (best)", "", "roads-8-best"),
        ("---", "", "endpoint"),
        ("r" * 80, "2", "r" * 61 + "-2"),
        ("straße", "", "stra-e"),
    ],
)
def test_any_text_gives_a_name(base: str, suffix: str, expected: str) -> None:
    """Any text, such as a job's name, gives a valid endpoint name."""
    name = endpoint_name(base, suffix)
    assert name == expected
    assert not check_spec(replace(SPEC, name=name))
