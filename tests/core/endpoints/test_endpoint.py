"""Endpoints as values."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from core.endpoints.endpoint import (
    Variant,
    classes_uri_for,
    config_from,
    container_of,
    endpoint_from,
    in_words,
    not_ready,
    variants_of,
    with_config,
)
from core.errors import UnexpectedAnswerError


@pytest.mark.parametrize(
    ("model_uri", "expected"),
    [
        ("s3://b/models/x/model.tar.gz", "s3://b/models/x/classes.json"),
        ("s3://b/model.tar.gz", "s3://b/classes.json"),
        ("s3://b/models/x/", "s3://b/models/x/classes.json"),
        ("s3://b", None),
        ("", None),
        ("https://b/model.tar.gz", None),
    ],
)
def test_class_names_are_next_to_the_model(model_uri: str, expected: str | None) -> None:
    """The class names of a model are next to its artifact."""
    assert classes_uri_for(model_uri) == expected


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"PrimaryContainer": {"Image": "i", "ModelDataUrl": "s3://b/m"}}, ("i", "s3://b/m")),
        ({"Containers": [{"Image": "i"}, {"Image": "j"}]}, ("i", "")),
        (
            {"PrimaryContainer": {"Image": "i", "ModelDataSource": {"S3DataSource": {"S3Uri": "s3://b/m/"}}}},
            ("i", "s3://b/m/"),
        ),
        ({}, ("", "")),
    ],
)
def test_a_models_container(model: dict[str, object], expected: tuple[str, str]) -> None:
    """A model's image and artifact are those of its first container, in any of SageMaker's three forms."""
    assert container_of(model) == expected


def test_variants_join_what_is_configured_with_what_runs() -> None:
    """A variant has its instance type from the configuration and its count from the endpoint."""
    config = {
        "ProductionVariants": [
            {"VariantName": "a", "ModelName": "m", "InstanceType": "ml.c5.xlarge"},
            {"VariantName": "b", "ServerlessConfig": {}},
        ]
    }
    running = {"ProductionVariants": [{"VariantName": "a", "CurrentInstanceCount": 3}]}
    assert variants_of(running, config) == (
        Variant("a", "ml.c5.xlarge", 3, "m"),
        Variant("b", "", None, "", serverless=True),
    )


def test_a_status_aws_added_later_is_shown_as_it_is() -> None:
    """Known statuses are shown in words, unknown ones as AWS spells them."""
    assert in_words("Creating") == "being created"
    assert in_words("Dreaming") == "Dreaming"


@pytest.mark.parametrize("status", ["InService", "Updating", "SystemUpdating", "RollingBack", "Dreaming"])
def test_an_endpoint_that_may_respond_is_invoked(status: str) -> None:
    """An endpoint keeps serving during an update, and an unknown status does not prevent an invocation."""
    assert not_ready("x", status, "") is None


@pytest.mark.parametrize(("status", "advice"), [("Creating", "Wait"), ("Failed", "Choose another")])
def test_an_endpoint_that_cannot_answer_says_why(status: str, advice: str) -> None:
    """An endpoint that accepts no requests is reported with its status, AWS's reason and what to do."""
    error = not_ready("x", status, "No capacity.")
    assert error is not None
    assert (error.code, error.why) == (status, "No capacity.")
    assert in_words(status) in error.what
    assert error.todo.startswith(advice)


CREATED = datetime(2026, 11, 22, 12, tzinfo=timezone(timedelta(hours=1)))
RECORD = {
    "EndpointName": "roads",
    "EndpointArn": "arn",
    "EndpointConfigName": "roads-1",
    "EndpointStatus": "Updating",
    "CreationTime": CREATED,
    "ProductionVariants": [
        {
            "VariantName": "a",
            "CurrentWeight": 1.0,
            "DesiredWeight": 0.5,
            "CurrentInstanceCount": 1,
            "DesiredInstanceCount": 2,
        },
    ],
    "Tags": [{"Key": "segdeck:job", "Value": "roads-8"}],
}
CONFIG = {
    "EndpointConfigName": "roads-1",
    "EndpointConfigArn": "arn",
    "CreationTime": CREATED,
    "ProductionVariants": [
        {
            "VariantName": "a",
            "ModelName": "m",
            "InstanceType": "ml.c5.xlarge",
            "InitialInstanceCount": 4,
            "InitialVariantWeight": 1.0,
        },
        {
            "VariantName": "b",
            "ModelName": "m",
            "InstanceType": "ml.g4dn.xlarge",
            "InitialInstanceCount": 1,
            "InitialVariantWeight": 3.0,
        },
    ],
    "KmsKeyId": "key",
    "ResponseMetadata": {},
}


def test_an_endpoint_is_read_from_searchs_record() -> None:
    """Search's record has status, variants with current and desired weights and counts, and tags; times are UTC."""
    found = endpoint_from(RECORD)
    assert (found.name, found.config, found.job, found.changing) == ("roads", "roads-1", "roads-8", True)
    assert found.created_at == found.modified_at == CREATED
    assert found.created_at.utcoffset() == timedelta(0)
    assert found.variants == (Variant("a", "", 1, "", 1.0, 0.5, 2),)


def test_its_configuration_adds_machines_and_models() -> None:
    """The configuration has instance types and models; current counts are kept, and the rest is desired."""
    config = config_from(CONFIG)
    found = with_config(endpoint_from(RECORD), config)
    assert found.variants == (
        Variant("a", "ml.c5.xlarge", 1, "m", 1.0, 0.5, 2),
        Variant("b", "ml.g4dn.xlarge", None, "m", None, 3.0, 1),
    )
    assert found.variant("b") == found.variants[1]
    assert found.variant("c") is None
    assert with_config(found, None) == found
    assert config.models == ("m",)
    assert set(config.request) == {"EndpointConfigName", "ProductionVariants", "KmsKeyId"}


@pytest.mark.parametrize("lacking", ["EndpointName", "EndpointStatus", "CreationTime"])
def test_a_cut_record_is_an_error(lacking: str) -> None:
    """A record without name, status or creation time is a truncated response, not an endpoint."""
    with pytest.raises(UnexpectedAnswerError, match=lacking):
        endpoint_from({key: value for key, value in RECORD.items() if key != lacking})
    with pytest.raises(UnexpectedAnswerError, match="EndpointConfigName"):
        config_from({})
