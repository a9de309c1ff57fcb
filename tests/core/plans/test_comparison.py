"""What an update of an endpoint changes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from core.imaging.classes import Classes
from core.plans.comparison import class_warnings, compare
from core.plans.deploy import current_spec
from tests.core.plans.test_endpoint_changes import IMAGE, detail, row


def named(*names: str) -> Classes:
    return Classes.from_json(json.dumps({"classes": [{"name": name} for name in names]}))


STREET, AERIAL = named("sky", "road", "car"), named("grass", "water")


def test_current_and_new_values_are_compared() -> None:
    """Model, training job, classes and instances are listed, current and new; equal values are marked so."""
    now = detail(classes=STREET)
    spec = current_spec(now).with_model(IMAGE, "s3://bucket/aerial/model.tar.gz", job="aerial-1")
    assert [str(comparison) for comparison in compare(now, spec, AERIAL, 2)] == [
        "Model: s3://bucket/m1/model.tar.gz -> s3://bucket/aerial/model.tar.gz",
        "Training job: roads-7 -> aerial-1",
        "Classes: 3 (sky, road, car) -> 2 (grass, water)",
        "Instances: 1 x ml.g4dn.xlarge (unchanged)",
    ]


def test_more_instances_are_the_only_difference() -> None:
    """An update that keeps the model changes neither model nor training job."""
    now = detail(classes=STREET)
    comparisons = compare(now, replace(current_spec(now), instance_count=2), STREET)
    assert [str(comparison) for comparison in comparisons if comparison.changed] == [
        "Instances: 1 x ml.g4dn.xlarge -> 2 x ml.g4dn.xlarge"
    ]


def test_an_added_variant_has_no_current_values() -> None:
    """A variant that the update adds replaces nothing."""
    now = detail(row("a"), classes=STREET)
    spec = replace(current_spec(now), variant="b")
    assert {comparison.current for comparison in compare(now, spec, STREET)} == {""}


@pytest.mark.parametrize(
    ("instance_type", "text"),
    [
        ("", "Instances: serverless (unchanged)"),
        ("ml.c5.xlarge", "Instances: serverless -> 1 x ml.c5.xlarge"),
    ],
)
def test_a_serverless_variant_stays_serverless_without_an_instance_type(
    instance_type: str, text: str
) -> None:
    """A new model does not give a serverless variant instances; an instance type does."""
    now = detail()
    variants = (replace(now.endpoint.variants[0], serverless=True, instance_type="", desired_count=None),)
    now = replace(now, endpoint=replace(now.endpoint, variants=variants))
    spec = replace(current_spec(now), instance_type=instance_type).with_model(IMAGE, "s3://bucket/a.tar.gz")
    assert str(compare(now, spec, None)[-1]) == text


@pytest.mark.parametrize(
    ("new", "count", "text"),
    [
        (AERIAL, 2, "The current model has 3 classes, the new one 2."),
        (None, 6, "The current model has 3 classes, the new one 6."),
        (named("sky", "car", "road"), 3, "The class names differ: 1 road -> car, 2 car -> road."),
        (STREET, 3, ""),
        (None, 3, ""),
        (None, None, ""),
    ],
)
def test_other_classes_are_a_warning(new: Classes | None, count: int | None, text: str) -> None:
    """Another number of classes, or another name for a class id, is a warning that says what clients will misread."""
    warnings = class_warnings(STREET, new, count)
    assert len(warnings) == bool(text)
    assert all(warning.startswith(text) and "misread" in warning for warning in warnings)


def test_unknown_current_classes_give_no_warning() -> None:
    """Without the current model's class names there is nothing to compare."""
    assert class_warnings(None, AERIAL, 2) == ()
