"""Endpoints as values."""

from __future__ import annotations

import pytest

from core.endpoints import Variant, classes_beside, container_of, in_words, not_ready, variants_of


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
def test_class_names_lie_beside_the_model(model_uri: str, expected: str | None) -> None:
    """The names of a model's classes lie beside its artifact."""
    assert classes_beside(model_uri) == expected


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
    """A variant has its machine from the configuration and its count from the endpoint."""
    config = {
        "ProductionVariants": [
            {"VariantName": "a", "ModelName": "m", "InstanceType": "ml.c5.xlarge"},
            {"VariantName": "b", "ServerlessConfig": {}},
        ]
    }
    running = {"ProductionVariants": [{"VariantName": "a", "CurrentInstanceCount": 3}]}
    assert variants_of(running, config) == (
        Variant("a", "ml.c5.xlarge", 3, "m"),
        Variant("b", "", None, ""),
    )


def test_a_status_aws_added_later_is_shown_as_it_is() -> None:
    """Known statuses have words, unknown ones stay as AWS spells them."""
    assert in_words("Creating") == "being created"
    assert in_words("Dreaming") == "Dreaming"


@pytest.mark.parametrize("status", ["InService", "Updating", "SystemUpdating", "RollingBack", "Dreaming"])
def test_an_endpoint_that_may_answer_is_asked(status: str) -> None:
    """An endpoint goes on serving while it is updated, and an unknown status is no reason not to ask."""
    assert not_ready("x", status, "") is None


@pytest.mark.parametrize(("status", "advice"), [("Creating", "Wait"), ("Failed", "Pick another")])
def test_an_endpoint_that_cannot_answer_says_why(status: str, advice: str) -> None:
    """An endpoint that takes no requests has its status, AWS's reason and what to do."""
    error = not_ready("x", status, "No capacity.")
    assert error is not None
    assert (error.code, error.why) == (status, "No capacity.")
    assert in_words(status) in error.what
    assert error.todo.startswith(advice)
